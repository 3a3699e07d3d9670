"""Windows that are larger than tiles, or lie across their borders."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from mmls_tf.bands import parse_bands
from mmls_tf.data.dataset import Dataset, open_dataset
from mmls_tf.data.ground import Ground, require_memory
from mmls_tf.data.normalise import Normalisation
from mmls_tf.data.pipeline import InputConfig, evaluation_batches, training_batches
from mmls_tf.data.windows import draw_windows, evaluation_windows, lenders, training_windows
from mmls_tf.errors import UsageError
from mmls_tf.schema import Place
from tfrecords_builder.example import decode_example, encode_example
from tfrecords_builder.tfrecord import read_records, write_records

SIZE, TILES = 8, 4
SEEN = Normalisation((0, 3), (0.0, 0.0), (1.0, 1.0))  # two bands, as they are


@pytest.fixture
def canvas() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bands, validity and labels of a map of four by four tiles."""
    random = np.random.default_rng(0)
    side = SIZE * TILES
    valid = (random.random((side, side)) > 0.1).astype(np.uint8)
    image = random.normal(size=(side, side, 7)).astype(np.float32) * valid[..., None]
    return image, valid, random.integers(0, 2, (side, side)).astype(np.uint8)


def split_of(column: int, row: int) -> str:
    return "val" if (column, row) in ((1, 1), (2, 0)) else "train"


def cut(canvas: tuple[np.ndarray, ...], without: str = "") -> tuple[list[dict], dict[str, Place]]:
    tiles, places = [], {}
    for row in range(TILES):
        for column in range(TILES):
            key = f"{split_of(column, row)}/{column}{row}"
            part = (
                slice(row * SIZE, (row + 1) * SIZE),
                slice(column * SIZE, (column + 1) * SIZE),
            )
            image, valid, mask = (value[part] for value in canvas)
            if key != without:
                tiles.append({"key": key.encode(), "image": image, "valid": valid, "mask": mask})
                places[key] = Place("map", 1000.0 + column * SIZE, -50.0 + row * SIZE, None)
    return tiles, places


def ground_of(canvas: tuple[np.ndarray, ...], without: str = "") -> Ground:
    return Ground(*cut(canvas, without), SEEN, SIZE, labelled=("train",))


def labels_of(canvas: tuple[np.ndarray, ...]) -> np.ndarray:
    """The labels that training may see: those of train tiles."""
    labels = canvas[2].copy()
    for column, row in ((1, 1), (2, 0)):
        labels[row * SIZE : (row + 1) * SIZE, column * SIZE : (column + 1) * SIZE] = 255
    return labels


@pytest.mark.parametrize("size", [1, 5, 8, 19])
def test_a_window_is_what_a_look_at_the_map_shows_and_open_where_the_map_ends(
    canvas: tuple[np.ndarray, ...], size: int
) -> None:
    ground = ground_of(canvas)
    padded = [
        np.pad(value, [(20, 20), (20, 20)] + [(0, 0)] * (value.ndim - 2), constant_values=open_)
        for value, open_ in ((canvas[0][..., [0, 3]], 0), (canvas[1], 0), (labels_of(canvas), 255))
    ]
    for right, down in np.random.default_rng(1).integers(-20, 12, (60, 2)):
        window = ground.window("train/12", int(right), int(down), size)
        left, top = 20 + SIZE + right, 20 + 2 * SIZE + down
        part = (slice(top, top + size), slice(left, left + size))
        np.testing.assert_array_equal(window.image, padded[0][part])
        np.testing.assert_array_equal(window.valid, padded[1][part])
        np.testing.assert_array_equal(window.mask, padded[2][part])


def test_a_missing_tile_is_a_hole_and_nothing_else(canvas: tuple[np.ndarray, ...]) -> None:
    window = ground_of(canvas, without="train/21").window("train/12", -SIZE, -SIZE, 3 * SIZE)
    hole = np.zeros((3 * SIZE, 3 * SIZE), bool)
    hole[:SIZE, 2 * SIZE :] = True
    assert (window.valid[hole] == 0).all()
    assert (window.mask[hole] == 255).all()
    assert (window.image[hole] == 0).all()
    assert (window.valid[~hole] == canvas[1][SIZE : 4 * SIZE, : 3 * SIZE][~hole]).all()


def test_a_tile_of_unknown_place_stands_alone(canvas: tuple[np.ndarray, ...]) -> None:
    tiles, places = cut(canvas)
    del places["train/12"]
    window = Ground(tiles, places, SEEN, SIZE, ("train",)).window("train/12", -4, -4, 16)
    assert (window.valid[4:12, 4:12] == tiles[9]["valid"]).all()
    window.valid[4:12, 4:12] = 0
    assert not window.valid.any()


def test_of_overlapping_tiles_the_asked_one_wins_then_a_labelled_one(canvas: tuple[np.ndarray, ...]) -> None:
    tiles = [
        {"key": key, "image": np.full((8, 8, 7), value), "valid": np.ones((8, 8), np.uint8), "mask": mask}
        for key, value, mask in (
            (b"train/a", 1.0, np.ones((8, 8), np.uint8)),
            (b"val/b", 2.0, np.ones((8, 8), np.uint8)),
            (b"train/c", 3.0, np.zeros((8, 8), np.uint8)),
        )
    ]
    places = {"train/a": Place("map", 0, 0, None), "val/b": Place("map", 4, 0, None)}
    places["train/c"] = Place("map", 6, 0, None)
    ground = Ground(tiles, places, SEEN, 8, ("train",))
    seen = {key: ground.window(key, 0, 0, 8).image[0, :, 0].tolist() for key in places}
    assert seen["train/a"] == [1] * 8
    assert seen["val/b"] == [2] * 8
    assert ground.window("train/a", 0, 0, 14).image[0, :, 0].tolist() == [1] * 8 + [3] * 6
    assert ground.window("train/c", -6, 0, 14).mask[0].tolist() == [1] * 6 + [0] * 8


def normalisation_of(dataset: Dataset) -> Normalisation:
    return Normalisation.from_statistics(dataset.manifest.statistics, parse_bands("all"))


def batches_of(dataset: Dataset, config: InputConfig, steps: int = 4) -> list[tuple[np.ndarray, np.ndarray]]:
    windows = training_windows(dataset, normalisation_of(dataset), config)
    return list(windows.take(steps).as_numpy_iterator())


def test_windows_without_context_on_tiles_are_the_tiles(built_data: Path) -> None:
    dataset = open_dataset(built_data)
    (windows,) = batches_of(dataset, InputConfig(10, seed=1), steps=1)
    tiles = next(
        training_batches(dataset, normalisation_of(dataset), InputConfig(10, seed=2)).as_numpy_iterator()
    )
    for one, other in zip(windows, tiles, strict=True):
        assert sorted(tile.tobytes() for tile in one) == sorted(tile.tobytes() for tile in other)


def test_windows_have_static_shapes_and_a_function_of_seed_and_step(built_data: Path) -> None:
    dataset = open_dataset(built_data)
    config = InputConfig(4, seed=5, context=8, context_from="all", windows="anywhere", augment="d4")
    image, target = training_windows(dataset, normalisation_of(dataset), config).element_spec
    assert image == tf.TensorSpec((4, 48, 48, 7), tf.float32)
    assert target == tf.TensorSpec((4, 48, 48, 2), tf.float32)
    one, again, other = (batches_of(dataset, c) for c in (config, config, replace(config, seed=6)))
    for (image, target), (same, alike) in zip(one, again, strict=True):
        np.testing.assert_array_equal(image, same)
        np.testing.assert_array_equal(target, alike)
    assert not np.array_equal(one[0][0], other[0][0])


def test_every_train_tile_is_drawn_once_an_epoch_and_at_most_half_a_tile_off(built_data: Path) -> None:
    dataset = open_dataset(built_data)
    config = InputConfig(5, windows="anywhere")
    ground = Ground([], {}, SEEN, 32, ("train",))
    ground.keys = [tile.key for tile in dataset.manifest.tiles if tile.split == "train"]
    drawn = [one for step in range(40) for one in draw_windows(ground, 10, step, config)]
    for start in range(0, 200, 10):
        assert sorted(key for key, _, _ in drawn[start : start + 10]) == sorted(ground.keys)
    offsets = np.array([offset for _, *offset in drawn])
    assert offsets.min() >= -16
    assert offsets.max() <= 16
    assert len(set(map(tuple, offsets))) > 150
    assert all(offset == [0, 0] for _, *offset in draw_windows(ground, 10, 0, InputConfig(5)))


def poisoned(data: Path, splits: tuple[str, ...]) -> Dataset:
    """Turns every label of some splits around, under the same manifest."""
    for split in splits:
        for shard in (data / split).glob("*.tfrecord"):
            records = [decode_example(record) for record in read_records(shard)]
            for record in records:
                record["mask"] = (1 - np.frombuffer(record["mask"], np.uint8)).tobytes()
            write_records(shard, [encode_example(record) for record in records])
    return open_dataset(data)


def test_labels_of_other_splits_never_reach_training_whoever_lends_images(
    built_data: Path, own_data: Path
) -> None:
    config = InputConfig(10, context=16, context_from="all", windows="anywhere")
    before = batches_of(open_dataset(built_data), config)
    after = batches_of(poisoned(own_data, ("val", "test", "isolated")), config)
    for (image, target), (same, alike) in zip(before, after, strict=True):
        np.testing.assert_array_equal(image, same)
        np.testing.assert_array_equal(target, alike)
    changed = batches_of(poisoned(own_data, ("train",)), config)
    assert not np.array_equal(before[0][1], changed[0][1]), "the poison works"


def test_labels_around_a_tile_never_reach_its_evaluation(built_data: Path) -> None:
    dataset = open_dataset(built_data)
    normalisation = normalisation_of(dataset)
    for context_from in ("split", "all"):
        batches = evaluation_windows(dataset, "val", normalisation, 2, 16, context_from).as_numpy_iterator()
        tiles = evaluation_batches(dataset, "val", normalisation, 2).as_numpy_iterator()
        for window, tile in zip(batches, tiles, strict=True):
            np.testing.assert_array_equal(window["key"], tile["key"])
            middle = (slice(None), slice(16, 48), slice(16, 48))
            np.testing.assert_array_equal(window["image"][middle], tile["image"])
            np.testing.assert_array_equal(window["target"][middle], tile["target"])
            around = np.ones((64, 64), bool)
            around[16:48, 16:48] = False
            assert (window["target"][:, around] == [255, 0]).all()


def test_the_isolated_region_takes_from_itself_only_and_lends_to_none(built_data: Path) -> None:
    dataset = open_dataset(built_data)
    assert lenders(dataset, "isolated", "all") == ("isolated",)
    assert set(lenders(dataset, "train", "all")) == {"train", "val", "test"}
    assert lenders(dataset, "test", "all")[0] == "test"
    assert lenders(dataset, "val", "split") == ("val",)


def test_tiles_that_do_not_fit_in_memory_are_refused_with_the_way_out() -> None:
    require_memory(10_000, 128, 7)
    with pytest.raises(
        UsageError, match=r"--context: expected .* 8 GiB of memory, found 22\.9 GiB; .*--halo"
    ):
        require_memory(50_000, 128, 7)
