"""From shards to batches."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from mmls_tf.bands import parse_bands
from mmls_tf.data.augment import random_d4
from mmls_tf.data.dataset import Dataset, open_dataset
from mmls_tf.data.normalise import Normalisation
from mmls_tf.data.pipeline import InputConfig, canonical_tiles, evaluation_batches, training_batches
from mmls_tf.errors import DatasetError, UsageError
from mmls_tf.schema import BandStatistics


def normalisation_of(dataset: Dataset, bands: str = "all") -> Normalisation:
    return Normalisation.from_statistics(dataset.manifest.statistics, parse_bands(bands))


def epoch(dataset: Dataset, config: InputConfig, steps: int) -> list[tuple[np.ndarray, np.ndarray]]:
    batches = training_batches(dataset, normalisation_of(dataset), config)
    return list(batches.take(steps).as_numpy_iterator())


def test_training_batches_have_static_shapes(built_data: Path) -> None:
    dataset = open_dataset(built_data)
    image, target = training_batches(
        dataset, normalisation_of(dataset, "rgb+dem"), InputConfig(4, augment="d4")
    ).element_spec
    assert image == tf.TensorSpec((4, 32, 32, 4), tf.float32)
    assert target == tf.TensorSpec((4, 32, 32, 2), tf.float32)


def test_every_train_tile_is_seen_equally_often_and_in_a_new_order_each_epoch(built_data: Path) -> None:
    batches = epoch(open_dataset(built_data), InputConfig(5, seed=1), steps=4)
    tiles = [tile.tobytes() for image, _ in batches for tile in image]
    first, second = tiles[:10], tiles[10:]
    assert len(set(first)) == 10
    assert set(first) == set(second)
    assert first != second


def test_the_same_seed_gives_the_same_batches_and_another_seed_others(built_data: Path) -> None:
    dataset = open_dataset(built_data)
    one, again, other = (epoch(dataset, InputConfig(4, seed, "d4"), 5) for seed in (7, 7, 8))
    assert all(
        np.array_equal(a[0], b[0]) and np.array_equal(a[1], b[1]) for a, b in zip(one, again, strict=True)
    )
    assert not np.array_equal(one[0][0], other[0][0])


def test_normalised_train_tiles_have_zero_mean_and_unit_deviation_where_valid(built_data: Path) -> None:
    batches = epoch(open_dataset(built_data), InputConfig(10), steps=1)
    image, target = batches[0]
    valid = target[..., 1] == 1
    assert not valid.all(), "the sample has tiles with a line of nodata"
    inside = image[valid].astype(np.float64)
    np.testing.assert_allclose(inside.mean(axis=0), 0.0, atol=1e-4)
    np.testing.assert_allclose(inside.std(axis=0), 1.0, atol=1e-4)
    assert (image[~valid] == 0.0).all()


def test_bands_are_picked_from_the_record_and_scaled_by_their_own_statistics(built_data: Path) -> None:
    dataset = open_dataset(built_data)
    normalisation = normalisation_of(dataset, "slope+red")
    batch = next(evaluation_batches(dataset, "val", normalisation, 3).as_numpy_iterator())
    by_key = {tile["key"]: tile for tile in canonical_tiles(dataset, "val").as_numpy_iterator()}
    statistics = {band.band: band for band in dataset.manifest.statistics}
    for key, image in zip(batch["key"], batch["image"], strict=True):
        for channel, (index, name) in enumerate(
            [(0, "red"), (4, "slope")]
        ):  # canonical order, not the flag's
            expected = (by_key[key]["image"][..., index] - statistics[name].mean) / statistics[name].std
            np.testing.assert_allclose(image[..., channel], expected, rtol=1e-4, atol=1e-4)


def test_a_band_that_is_constant_in_training_is_refused_by_name() -> None:
    statistics = [BandStatistics("red", 9, 0.5, 0.0, 0.5, 0.5)]
    with pytest.raises(DatasetError, match=r"red constant.*--bands"):
        Normalisation.from_statistics(statistics, [0])


def test_evaluation_sees_every_tile_once_and_fills_the_last_batch_with_tiles_that_count_nowhere(
    built_data: Path,
) -> None:
    dataset = open_dataset(built_data)
    batches = list(evaluation_batches(dataset, "test", normalisation_of(dataset), 4).as_numpy_iterator())
    assert [len(batch["key"]) for batch in batches] == [4, 4]
    keys = [key.decode() for batch in batches for key in batch["key"]]
    assert sorted(keys[:5]) == sorted(tile.key for tile in dataset.manifest.tiles if tile.split == "test")
    assert keys[5:] == ["", "", ""]
    assert (batches[1]["target"][1:, ..., 0] == 255).all()
    assert (batches[1]["target"][1:, ..., 1] == 0).all()


def test_a_split_that_reads_short_is_an_error_rather_than_a_smaller_split(own_data: Path) -> None:
    dataset = open_dataset(own_data)
    shard = Path(dataset.shard_files("test")[0])
    records = list(tf.data.TFRecordDataset(str(shard)).as_numpy_iterator())
    with tf.io.TFRecordWriter(str(shard)) as writer:
        for record in records[:-4]:
            writer.write(record)
    batches = evaluation_batches(dataset, "test", normalisation_of(dataset), 4)
    with pytest.raises(tf.errors.FailedPreconditionError):
        list(batches.as_numpy_iterator())


def test_a_batch_larger_than_the_split_is_refused_by_flag_name(built_data: Path) -> None:
    with pytest.raises(UsageError, match="--batch=11: expected at most 10"):
        epoch(open_dataset(built_data), InputConfig(11), 1)


def test_training_reads_no_shard_but_those_of_train(own_data: Path) -> None:
    for split in ("val", "test", "isolated"):
        shutil.rmtree(own_data / split)
    assert len(epoch(open_dataset(own_data), InputConfig(5), 2)) == 2


def test_d4_moves_image_and_target_together_through_all_eight_symmetries() -> None:
    image = np.arange(2 * 4 * 4, dtype=np.float32).reshape(1, 4, 4, 2)
    target = image * 10
    symmetries = [np.rot90(flipped, turns) for flipped in (image[0], image[0][:, ::-1]) for turns in range(4)]
    seen = set()
    for step in range(200):
        turned, moved = random_d4(tf.constant(image), tf.constant(target), tf.constant([5, step]))
        matches = [i for i, symmetry in enumerate(symmetries) if np.array_equal(symmetry, turned[0])]
        assert len(matches) == 1
        np.testing.assert_array_equal(moved[0], symmetries[matches[0]] * 10)
        seen.update(matches)
    assert seen == set(range(8))


def test_d4_turns_the_tiles_of_a_batch_independently() -> None:
    tile = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    batch = tf.constant(np.repeat(tile, 32, axis=0))
    turned, _ = random_d4(batch, batch, tf.constant([0, 0]))
    assert len({one.tobytes() for one in turned.numpy()}) > 4


def dropped(image: np.ndarray) -> np.ndarray:
    """Which channels of which tiles are 0.0 all over: [tiles, channels]."""
    return (image == 0.0).all(axis=(1, 2))


def test_band_dropout_takes_whole_bands_with_its_probability_and_never_all_of_a_tile(
    built_data: Path,
) -> None:
    plain = epoch(open_dataset(built_data), InputConfig(10, seed=3), steps=60)
    batches = epoch(open_dataset(built_data), InputConfig(10, seed=3, band_dropout=0.4), steps=60)
    gone = np.concatenate([dropped(image) for image, _ in batches])
    assert not gone.all(axis=1).any()
    np.testing.assert_allclose(gone.mean(axis=0), 0.4, atol=0.06)  # 600 tiles: three deviations
    assert abs(np.corrcoef(gone[:, 0], gone[:, 1])[0, 1]) < 0.15, "bands go one by one"
    for (image, target), (whole, same) in zip(batches, plain, strict=True):
        kept = ~dropped(image)[:, None, None, :] & np.ones_like(image, bool)
        np.testing.assert_array_equal(image[kept], whole[kept])
        np.testing.assert_array_equal(target, same)


def test_dropped_groups_go_together(built_data: Path) -> None:
    config = InputConfig(10, band_dropout=0.5, dropped_together="group")
    gone = np.concatenate([dropped(image) for image, _ in epoch(open_dataset(built_data), config, steps=20)])
    optical, terrain, thermal = gone[:, [0, 1, 2, 6]], gone[:, [3, 4]], gone[:, 5]
    assert (optical == optical[:, :1]).all()
    assert (terrain == terrain[:, :1]).all()
    patterns = {tuple(row) for row in np.column_stack([optical[:, 0], terrain[:, 0], thermal])}
    assert len(patterns) == 7, "every way of losing none, one or two of three"


def test_missing_bands_are_the_mean_of_training_and_the_others_untouched(built_data: Path) -> None:
    dataset = open_dataset(built_data)
    whole = normalisation_of(dataset)
    batches = [
        next(evaluation_batches(dataset, "val", one, 3).as_numpy_iterator())["image"]
        for one in (whole, whole.without(parse_bands("dem+red")))
    ]
    assert (batches[1][..., [0, 3]] == 0.0).all()
    np.testing.assert_array_equal(np.delete(batches[0], [0, 3], -1), np.delete(batches[1], [0, 3], -1))
