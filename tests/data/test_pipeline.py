"""From shards to batches: by memory, by disk and on the device."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmls_tf.bands import parse_bands
from mmls_tf.config import AUGMENTATIONS
from mmls_tf.data.augment import Augmentation
from mmls_tf.data.batches import StepDraws
from mmls_tf.data.dataset import Dataset, open_dataset
from mmls_tf.data.draws import InputConfig
from mmls_tf.data.ground import load_ground
from mmls_tf.data.normalise import Normalisation
from mmls_tf.data.pipeline import batches_from_disk, batches_from_memory, keys_on_disk, scoring_batches, timed
from mmls_tf.data.scoring_input import ScoringInput
from mmls_tf.data.tiles import read_tiles
from mmls_tf.errors import DatasetError, UsageError
from mmls_tf.losses import BceDice
from mmls_tf.schema import BandStatistics
from mmls_tf.training.step import TrainingStep

Batches = list[dict[str, np.ndarray]]
EVERYTHING = InputConfig(4, seed=3, augment=AUGMENTATIONS, band_dropout=0.2)


def normalisation_of(dataset: Dataset, bands: str = "all") -> Normalisation:
    return Normalisation.from_statistics(dataset.manifest.statistics, parse_bands(bands))


def from_memory(dataset: Dataset, config: InputConfig, steps: int, first: int = 0) -> Batches:
    normalisation = normalisation_of(dataset)
    ground = load_ground(dataset, "train", normalisation, config.context_from, config.reach(32))
    batches = batches_from_memory(ground, normalisation, config, first, augment=True)
    return list(batches.take(steps).as_numpy_iterator())


def from_disk(dataset: Dataset, config: InputConfig, steps: int, first: int = 0) -> Batches:
    batches = batches_from_disk(dataset, normalisation_of(dataset), config, first, augment=True)
    return list(batches.take(steps).as_numpy_iterator())


def on_device(dataset: Dataset, config: InputConfig, steps: int, first: int = 0) -> Batches:
    """What the network is shown: a "network" whose logits are its images."""
    normalisation = normalisation_of(dataset)
    ground = load_ground(dataset, "train", normalisation, config.context_from, config.reach(32))
    side = 32 + 2 * config.context
    image = keras.Input((side, side, 7))
    network = keras.Model(image, keras.layers.Identity()(image))
    step = TrainingStep(network, Augmentation(normalisation, side), BceDice(), ground)
    draws = StepDraws(ground, normalisation, config, steps, first)
    seen = [step(draws[number][0], training=True) for number in range(steps)]
    return [{"image": one["logits"].numpy(), "target": one["target"].numpy()} for one in seen]


WAYS = {"memory": from_memory, "disk": from_disk, "device": on_device}
Way = Callable[..., Batches]
every_way = pytest.mark.parametrize("way", list(WAYS.values()), ids=list(WAYS))


def assert_same(some: Batches, others: Batches, tolerance: float = 0.0) -> None:
    assert len(some) == len(others) > 0
    for one, other in zip(some, others, strict=True):
        np.testing.assert_allclose(one["image"], other["image"], atol=tolerance)
        np.testing.assert_array_equal(one["target"], other["target"])


@pytest.mark.parametrize("way", [batches_from_memory, batches_from_disk], ids=["memory", "disk"])
def test_training_batches_have_static_shapes(built_data: Path, way: Callable[..., tf.data.Dataset]) -> None:
    dataset = open_dataset(built_data)
    normalisation = normalisation_of(dataset, "rgb+dem")
    first = (
        load_ground(dataset, "train", normalisation, "split", 0) if way is batches_from_memory else dataset
    )
    spec = way(first, normalisation, EVERYTHING, 0, True).element_spec
    assert spec == {
        "image": tf.TensorSpec((4, 32, 32, 4), tf.float32),
        "target": tf.TensorSpec((4, 32, 32, 2), tf.float32),
    }


@every_way
def test_every_train_tile_is_seen_equally_often_and_in_a_new_order_each_epoch(
    built_data: Path, way: Way
) -> None:
    batches = way(open_dataset(built_data), InputConfig(5, seed=1), 4)
    tiles = [tile.tobytes() for batch in batches for tile in batch["image"]]
    first, second = tiles[:10], tiles[10:]
    assert len(set(first)) == 10
    assert set(first) == set(second)
    assert first != second


@every_way
def test_the_same_seed_gives_the_same_batches_and_another_seed_others(built_data: Path, way: Way) -> None:
    dataset = open_dataset(built_data)
    one, again, other = (way(dataset, replace(EVERYTHING, seed=seed), 3) for seed in (7, 7, 8))
    assert_same(one, again)
    assert not np.array_equal(one[0]["image"], other[0]["image"])


@every_way
def test_a_run_that_goes_on_sees_what_it_would_have_seen(built_data: Path, way: Way) -> None:
    dataset = open_dataset(built_data)
    assert_same(way(dataset, EVERYTHING, 7)[3:], way(dataset, EVERYTHING, 4, first=3))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"augment": ()},
        {"context": 8, "context_from": "all", "windows": "anywhere"},
        *({"augment": (name,), "band_dropout": 0.0} for name in AUGMENTATIONS),
    ],
)
def test_memory_and_device_show_the_network_the_same(built_data: Path, changes: dict[str, object]) -> None:
    dataset, config = open_dataset(built_data), replace(EVERYTHING, **changes)
    assert_same(from_memory(dataset, config, 3), on_device(dataset, config, 3), tolerance=1e-5)


def test_disk_shows_the_same_tiles_in_another_order(built_data: Path) -> None:
    dataset, config = open_dataset(built_data), InputConfig(5)
    some, others = (
        sorted(tile.tobytes() for batch in way(dataset, config, 2) for tile in batch["image"])
        for way in (from_memory, from_disk)
    )
    assert some == others


def test_disk_is_augmented_by_the_same_draws(built_data: Path) -> None:
    dataset = open_dataset(built_data)
    plain, changed = (
        from_disk(dataset, replace(EVERYTHING, augment=names), 2) for names in ((), AUGMENTATIONS)
    )
    assert not np.array_equal(plain[0]["image"], changed[0]["image"])


def test_the_keys_of_a_step_read_from_disk_can_be_told(built_data: Path) -> None:
    dataset, config = open_dataset(built_data), InputConfig(4, seed=2)
    by_key = {tile.key: tile for tile in read_tiles(dataset, "train")}
    batch = from_disk(dataset, config, 4)[3]
    for key, target in zip(keys_on_disk(dataset, config)(3), batch["target"], strict=True):
        np.testing.assert_array_equal(by_key[key].mask, target[..., 0])


@every_way
def test_normalised_train_tiles_have_zero_mean_and_unit_deviation_where_valid(
    built_data: Path, way: Way
) -> None:
    (batch,) = way(open_dataset(built_data), InputConfig(10), 1)
    valid = batch["target"][..., 1] == 1
    assert not valid.all(), "the sample has tiles with a line of nodata"
    inside = batch["image"][valid].astype(np.float64)
    np.testing.assert_allclose(inside.mean(axis=0), 0.0, atol=1e-4)
    np.testing.assert_allclose(inside.std(axis=0), 1.0, atol=1e-4)
    assert (batch["image"][~valid] == 0.0).all()


def test_bands_are_picked_from_the_record_and_scaled_by_their_own_statistics(built_data: Path) -> None:
    dataset = open_dataset(built_data)
    (batch,) = ScoringInput(dataset, "val", normalisation_of(dataset, "slope+red"), 3)
    by_key = {tile.key: tile for tile in read_tiles(dataset, "val")}
    statistics = {band.band: band for band in dataset.manifest.statistics}
    for key, image in zip(batch["key"], batch["image"], strict=True):
        # canonical order, not the flag's
        for channel, (index, name) in enumerate([(0, "red"), (4, "slope")]):
            expected = (by_key[key].image[..., index] - statistics[name].mean) / statistics[name].std
            np.testing.assert_allclose(image[..., channel], expected, rtol=1e-4, atol=1e-4)


def test_a_band_that_is_constant_in_training_is_refused_by_name() -> None:
    statistics = [BandStatistics("red", 9, 0.5, 0.0, 0.5, 0.5)]
    with pytest.raises(DatasetError, match=r"red constant.*--bands"):
        Normalisation.from_statistics(statistics, [0])


def test_scoring_sees_every_tile_once_and_fills_the_last_batch_with_tiles_that_count_nowhere(
    built_data: Path,
) -> None:
    dataset = open_dataset(built_data)
    scoring = ScoringInput(dataset, "test", normalisation_of(dataset), 4)
    batches = list(scoring)
    assert [len(batch["key"]) for batch in batches] == [4, 4]
    keys = [str(key) for batch in batches for key in batch["key"]]
    assert sorted(keys[:5]) == sorted(tile.key for tile in dataset.manifest.tiles if tile.split == "test")
    assert keys[5:] == ["", "", ""]
    assert (batches[1]["target"][1:, ..., 0] == 255).all()
    assert (batches[1]["target"][1:, ..., 1] == 0).all()
    assert (batches[1]["image"][1:] == 0).all()
    for one, other in zip(scoring_batches(scoring).as_numpy_iterator(), batches, strict=True):
        np.testing.assert_array_equal(one["image"], other["image"])
        np.testing.assert_array_equal(one["target"], other["target"])


def test_a_split_that_reads_short_is_an_error_rather_than_a_smaller_split(own_data: Path) -> None:
    dataset = open_dataset(own_data)
    shard = Path(dataset.shard_files("test")[0])
    records = list(tf.data.TFRecordDataset(str(shard)).as_numpy_iterator())
    with tf.io.TFRecordWriter(str(shard)) as writer:
        for record in records[:-4]:
            writer.write(record)
    with pytest.raises(DatasetError, match="expected 5 tiles in test, found 1"):
        list(ScoringInput(dataset, "test", normalisation_of(dataset), 4))


def test_a_damaged_record_is_named_by_its_shard(own_data: Path) -> None:
    (shard,) = (own_data / "test").glob("*.tfrecord")
    content = bytearray(shard.read_bytes())
    content[5000] ^= 1
    shard.write_bytes(content)
    with pytest.raises(DatasetError, match=r"test-00000.*found a checksum does not fit"):
        list(read_tiles(open_dataset(own_data), "test"))


def test_a_batch_larger_than_the_split_is_refused_by_flag_name(built_data: Path) -> None:
    with pytest.raises(UsageError, match="--batch=11: expected at most 10"):
        from_disk(open_dataset(built_data), InputConfig(11), 1)


@every_way
def test_training_reads_no_shard_but_those_of_train(own_data: Path, way: Way) -> None:
    for split in ("val", "test", "isolated"):
        shutil.rmtree(own_data / split)
    assert len(way(open_dataset(own_data), InputConfig(5), 2)) == 2


def test_missing_bands_are_the_mean_of_training_and_the_others_untouched(built_data: Path) -> None:
    dataset = open_dataset(built_data)
    whole = normalisation_of(dataset)
    some, less = (
        next(iter(ScoringInput(dataset, "val", one, 3)))["image"]
        for one in (whole, whole.without(parse_bands("dem+red")))
    )
    assert (less[..., [0, 3]] == 0.0).all()
    np.testing.assert_array_equal(np.delete(some, [0, 3], -1), np.delete(less, [0, 3], -1))


def test_the_time_that_a_step_waits_is_counted_and_the_batches_are_the_same() -> None:
    def slow(number: tf.Tensor) -> dict[str, tf.Tensor]:
        waited = tf.numpy_function(lambda n: (time_of(n), n)[1], [number], tf.int64)
        return {"number": tf.ensure_shape(waited, ())}

    import time

    def time_of(_: object) -> None:
        time.sleep(0.02)

    batches, waited = timed(tf.data.Dataset.range(10).map(slow))
    assert [int(batch["number"]) for batch in islice(batches.as_numpy_iterator(), 10)] == list(range(10))
    assert waited() >= 0.2, "ten times twenty milliseconds"
