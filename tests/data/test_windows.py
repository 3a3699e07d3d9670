"""Windows that are larger than tiles, or lie across their borders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmls_tf.bands import parse_bands
from mmls_tf.data.dataset import Dataset, open_dataset
from mmls_tf.data.draws import InputConfig, draw_offsets, draw_tiles
from mmls_tf.data.ground import Ground, lay_ground, lenders, load_ground, require_memory
from mmls_tf.data.normalise import Normalisation
from mmls_tf.data.pipeline import batches_from_memory
from mmls_tf.data.scoring_input import ScoringInput
from mmls_tf.data.tiles import Tile
from mmls_tf.errors import UsageError
from mmls_tf.example import decode_example, encode_example
from mmls_tf.schema import Place
from mmls_tf.tfrecord import read_records, write_records
from tests.turned_labels import poisoned

SIZE, TILES, REACH = 8, 4, 20
SEEN = Normalisation((0, 3), (0.0, 0.0), (1.0, 1.0))  # two bands, as they are
Canvas = tuple[np.ndarray, np.ndarray, np.ndarray]


def is_train(key: str) -> bool:
    return key.startswith("train/")


@pytest.fixture
def canvas() -> Canvas:
    """Bands, validity and labels of a map of four by four tiles."""
    random = np.random.default_rng(0)
    side = SIZE * TILES
    valid = (random.random((side, side)) > 0.1).astype(np.uint8)
    image = random.normal(size=(side, side, 7)).astype(np.float32) * valid[..., None]
    return image, valid, random.integers(0, 2, (side, side)).astype(np.uint8)


def split_of(column: int, row: int) -> str:
    return "val" if (column, row) in ((1, 1), (2, 0)) else "train"


def cut(canvas: Canvas, without: str = "") -> tuple[list[Tile], dict[str, Place]]:
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
                tiles.append(Tile(key, image, valid, mask))
                places[key] = Place("map", 1000.0 + column * SIZE, -50.0 + row * SIZE, None)
    return tiles, places


def ground_of(canvas: Canvas, without: str = "", reach: int = REACH) -> Ground:
    return lay_ground(*cut(canvas, without), SEEN, SIZE, reach, is_train)


def labels_of(canvas: Canvas) -> np.ndarray:
    """The labels that training may see: those of train tiles."""
    labels = canvas[2].copy()
    for column, row in ((1, 1), (2, 0)):
        labels[row * SIZE : (row + 1) * SIZE, column * SIZE : (column + 1) * SIZE] = 255
    return labels


@pytest.mark.parametrize("size", [1, 5, 8, 19])
def test_a_window_is_what_a_look_at_the_map_shows_and_open_where_the_map_ends(
    canvas: Canvas, size: int
) -> None:
    ground = ground_of(canvas)
    padded = [
        np.pad(value, [(40, 40), (40, 40)] + [(0, 0)] * (value.ndim - 2), constant_values=open_)
        for value, open_ in ((canvas[0][..., [0, 3]], 0), (canvas[1], 0), (labels_of(canvas), 255))
    ]
    random = np.random.default_rng(1)
    for column, row in random.integers(0, TILES, (60, 2)):
        if split_of(column, row) == "val":
            continue
        right, down = random.integers(-REACH, SIZE + REACH - size, 2, endpoint=True)
        image, target = ground.window(f"train/{column}{row}", int(right), int(down), size)
        left, top = 40 + SIZE * column + right, 40 + SIZE * row + down
        part = (slice(top, top + size), slice(left, left + size))
        np.testing.assert_array_equal(image, padded[0][part])
        np.testing.assert_array_equal(target[..., 1], padded[1][part])
        np.testing.assert_array_equal(target[..., 0], padded[2][part])


def test_a_window_beyond_the_reach_is_an_error_and_not_some_other_ground(canvas: Canvas) -> None:
    ground = ground_of(canvas, reach=4)
    ground.window("train/12", -4, 3, 9)
    for right, down, side in ((-5, 0, 8), (0, -5, 8), (5, 0, 8), (0, 4, 9)):
        with pytest.raises(ValueError, match="expected a reach of 4 pixels"):
            ground.window("train/12", right, down, side)


def test_a_missing_tile_is_a_hole_and_nothing_else(canvas: Canvas) -> None:
    image, target = ground_of(canvas, without="train/21").window("train/12", -SIZE, -SIZE, 3 * SIZE)
    hole = np.zeros((3 * SIZE, 3 * SIZE), bool)
    hole[:SIZE, 2 * SIZE :] = True
    assert (target[hole] == (255, 0)).all()
    assert (image[hole] == 0).all()
    assert (target[~hole][:, 1] == canvas[1][SIZE : 4 * SIZE, : 3 * SIZE][~hole]).all()


def test_a_tile_of_unknown_place_stands_alone(canvas: Canvas) -> None:
    tiles, places = cut(canvas)
    del places["train/12"]
    ground = lay_ground(tiles, places, SEEN, SIZE, 4, is_train)
    valid = ground.window("train/12", -4, -4, 16)[1][..., 1].copy()
    assert (valid[4:12, 4:12] == tiles[9].valid).all()
    valid[4:12, 4:12] = 0
    assert not valid.any()


def test_groups_of_tiles_that_no_window_can_see_together_lie_side_by_side_not_at_their_distance() -> None:
    tiles = [
        Tile(
            f"train/{number}", *(np.full((SIZE, SIZE, *rest), number, np.float32) for rest in ((7,), (), ()))
        )
        for number in (1, 2, 3, 4)
    ]
    tiles = [
        Tile(t.key, t.image, np.ones((SIZE, SIZE), np.uint8), np.zeros((SIZE, SIZE), np.uint8)) for t in tiles
    ]
    corners = ((0, 0), (10**6, 0), (0, 10**6), (12, 0))
    places = {tile.key: Place("map", *corner, None) for tile, corner in zip(tiles, corners, strict=True)}
    ground = lay_ground(tiles, places, SEEN, SIZE, 5, is_train)
    assert ground.image.shape[0] * ground.image.shape[1] < 4 * (SIZE + 24) ** 2
    seen = [set(np.unique(ground.window(tile.key, -5, -5, 18)[0])) for tile in tiles]
    assert seen == [{0, 1, 4}, {0, 2}, {0, 3}, {0, 1, 4}]


def test_of_overlapping_tiles_the_asked_one_wins_then_a_labelled_one() -> None:
    tiles = [
        Tile(
            key,
            np.full((8, 8, 7), value, np.float32),
            np.ones((8, 8), np.uint8),
            np.full((8, 8), mask, np.uint8),
        )
        for key, value, mask in (("train/a", 1, 1), ("val/b", 2, 1), ("train/c", 3, 0), ("train/far", 4, 0))
    ]
    places = {"train/a": Place("map", 0, 0, None), "val/b": Place("map", 4, 0, None)}
    places |= {"train/c": Place("map", 6, 0, None), "train/far": Place("map", 100, 0, None)}
    ground = lay_ground(tiles, places, SEEN, 8, 6, is_train)
    assert ground.window("train/a", 0, 0, 14)[0][0, :, 0].tolist() == [1] * 8 + [3] * 6
    assert ground.window("train/c", -6, 0, 14)[0][0, :, 0].tolist() == [1] * 6 + [3] * 8
    assert ground.window("train/c", -6, 0, 14)[1][0, :, 0].tolist() == [1] * 6 + [0] * 8
    assert ground.window("train/far", -6, -6, 20)[0][6, :, 0].tolist() == [0] * 6 + [4] * 8 + [0] * 6
    both = lay_ground(tiles, places, SEEN, 8, 6, lambda key: key == "val/b")
    assert both.window("val/b", -4, 0, 14)[0][0, :, 0].tolist() == [1] * 4 + [2] * 8 + [3] * 2
    assert list(both.corners) == ["val/b"]


def normalisation_of(dataset: Dataset) -> Normalisation:
    return Normalisation.from_statistics(dataset.manifest.statistics, parse_bands("all"))


def batches_of(dataset: Dataset, config: InputConfig, steps: int = 4) -> list[dict[str, np.ndarray]]:
    reach = config.reach(dataset.manifest.tile_size)
    ground = load_ground(dataset, "train", normalisation_of(dataset), config.context_from, reach)
    windows = batches_from_memory(ground, normalisation_of(dataset), config, 0, augment=True)
    return list(windows.take(steps).as_numpy_iterator())


def test_every_train_tile_is_drawn_once_a_round_in_a_new_order_and_windows_stay_within_half_a_tile() -> None:
    config = InputConfig(4, windows="anywhere")
    drawn = np.concatenate([draw_tiles(config, step, 10) for step in range(50)])
    rounds = drawn.reshape(20, 10)
    assert (np.sort(rounds, axis=1) == np.arange(10)).all()
    assert len({tuple(one) for one in rounds}) == 20
    offsets = np.concatenate([draw_offsets(config, step, 32) for step in range(50)])
    assert offsets.min() == -16
    assert offsets.max() == 16
    assert len(set(map(tuple, offsets))) > 150
    assert not draw_offsets(InputConfig(4), 3, 32).any()


def test_labels_of_other_splits_never_reach_training_whoever_lends_images(
    built_data: Path, own_data: Path
) -> None:
    config = InputConfig(10, context=16, context_from="all", windows="anywhere")
    before = batches_of(open_dataset(built_data), config)
    after = batches_of(poisoned(own_data, ("val", "test", "isolated")), config)
    for batch, same in zip(before, after, strict=True):
        np.testing.assert_array_equal(batch["image"], same["image"])
        np.testing.assert_array_equal(batch["target"], same["target"])
    changed = batches_of(poisoned(own_data, ("train",)), config)
    assert not np.array_equal(before[0]["target"], changed[0]["target"]), "the poison works"


def test_images_of_other_splits_surround_train_tiles_if_they_may(built_data: Path) -> None:
    dataset = open_dataset(built_data)
    known = [
        load_ground(dataset, "train", normalisation_of(dataset), way, 16).target[..., 1].sum()
        for way in ("split", "all")
    ]
    assert known[0] < known[1]


def test_labels_around_a_tile_never_reach_its_evaluation(built_data: Path) -> None:
    dataset = open_dataset(built_data)
    normalisation = normalisation_of(dataset)
    for context_from in ("split", "all"):
        batches = ScoringInput(dataset, "val", normalisation, 2, 16, context_from)
        tiles = ScoringInput(dataset, "val", normalisation, 2)
        assert len(batches) == len(tiles) == 2
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


def test_no_pixel_of_another_split_reaches_the_evaluation_of_the_isolated_region(
    built_data: Path, own_data: Path
) -> None:
    for split in ("train", "val", "test"):
        for shard in (own_data / split).glob("*.tfrecord"):
            records = [decode_example(record) for record in read_records(shard)]
            for record in records:
                record["image"] = (np.frombuffer(record["image"], "<f4") + 9).astype("<f4").tobytes()
            write_records(shard, [encode_example(record) for record in records])
    before, after = open_dataset(built_data), open_dataset(own_data)
    normalisation = normalisation_of(before)
    for split, same in (("isolated", True), ("test", False)):
        scoring = [ScoringInput(data, split, normalisation, 2, 16, "all") for data in (before, after)]
        for one, other in zip(*scoring, strict=True):
            assert np.array_equal(one["image"], other["image"]) == same, (
                "tests see the poison, isolated does not"
            )


def test_tiles_that_do_not_fit_in_memory_are_refused_with_the_way_out() -> None:
    require_memory(10_000, 10_000, 7)
    with pytest.raises(UsageError, match=r"--input: expected .* 8 GiB of memory, found 25\.1 GiB; .*disk"):
        require_memory(30_000, 30_000, 7)
