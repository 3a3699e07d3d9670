"""Train and val dealt anew."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from mmls_tf.bands import BAND_NAMES
from mmls_tf.config import TrainConfig, parse_folds
from mmls_tf.data.dataset import Dataset, open_dataset
from mmls_tf.data.folds import train_statistics, with_folds
from mmls_tf.data.scoring_input import ScoringInput
from mmls_tf.data.tiles import read_tiles
from mmls_tf.errors import DatasetError, UsageError
from mmls_tf.schema import Place


def keys(dataset: Dataset, split: str) -> set[str]:
    return {tile.key for tile in read_tiles(dataset, split)}


@pytest.mark.parametrize("folds", [("random", 4), ("blocks", 3)])
def test_every_tile_of_train_and_val_is_val_exactly_once(built_data: Path, folds: tuple[str, int]) -> None:
    dataset = open_dataset(built_data)
    development = keys(dataset, "train") | keys(dataset, "val")
    seen: list[str] = []
    for fold in range(folds[1]):
        dealt = with_folds(dataset, folds, fold)
        train, val = keys(dealt, "train"), keys(dealt, "val")
        assert not train & val
        assert (len(train), len(val)) == (dealt.tiles("train"), dealt.tiles("val"))
        assert keys(dealt, "test") == keys(dataset, "test")
        if folds[0] == "random":
            assert train | val == development
        seen += val
    assert sorted(seen) == sorted(development)


def test_random_folds_are_the_same_every_time_and_mixed(built_data: Path) -> None:
    dataset = open_dataset(built_data)
    one, again = (with_folds(dataset, ("random", 2), 0) for _ in range(2))
    assert one.dealt == again.dealt
    assert {key.partition("/")[0] for key in keys(one, "val")} == {"train", "val"}


def strip(dataset: Dataset, length: int, step: int) -> Dataset:
    """The same tiles in a row, `step` pixels apart."""
    tiles = [tile for tile in dataset.manifest.tiles if tile.split in ("train", "val")][:length]
    moved = [
        dataclasses.replace(tile, place=Place("map", step * index, 0, None))
        for index, tile in enumerate(tiles)
    ]
    return dataclasses.replace(dataset, manifest=dataclasses.replace(dataset.manifest, tiles=tuple(moved)))


def test_blocks_are_contiguous_and_a_tile_wide_ring_around_val_is_left_out(built_data: Path) -> None:
    dataset = strip(open_dataset(built_data), 12, 32)
    places = {tile.key: tile.place.x // 32 for tile in dataset.manifest.tiles if tile.place}
    for fold in range(3):
        dealt = with_folds(dataset, ("blocks", 3), fold)
        split = {
            name: {places[key] for key, of in dealt.dealt.items() if of == name} for name in ("train", "val")
        }
        assert split["val"] == set(range(4 * fold, 4 * fold + 4))
        ring = {min(split["val"]) - 1, max(split["val"]) + 1}
        assert split["train"] == set(range(12)) - split["val"] - ring


def test_statistics_are_those_of_the_train_tiles_of_the_fold(built_data: Path) -> None:
    dealt = with_folds(open_dataset(built_data), ("random", 3), 1)
    pixels = np.concatenate([tile.image[tile.valid == 1] for tile in read_tiles(dealt, "train")]).astype(
        float
    )
    found = train_statistics(dealt)
    assert [band.band for band in found] == list(BAND_NAMES)
    np.testing.assert_allclose([band.mean for band in found], pixels.mean(axis=0))
    np.testing.assert_allclose([band.std for band in found], pixels.std(axis=0))
    np.testing.assert_allclose([band.min for band in found], pixels.min(axis=0))
    assert {band.pixels for band in found} == {len(pixels)}
    whole = open_dataset(built_data)
    assert train_statistics(whole) == whole.manifest.statistics


def test_scoring_val_is_scoring_the_fold(built_data: Path) -> None:
    from mmls_tf.data.normalise import Normalisation

    dealt = with_folds(open_dataset(built_data), ("random", 4), 2)
    normalisation = Normalisation.from_statistics(train_statistics(dealt), range(7))
    scored = {str(key) for batch in ScoringInput(dealt, "val", normalisation, 2) for key in batch["key"]} - {
        ""
    }
    assert scored == keys(dealt, "val")


def test_too_few_tiles_are_refused(built_data: Path) -> None:
    with pytest.raises(
        DatasetError, match="expected 20 tiles or more in train and val for 10 folds, found 13"
    ):
        with_folds(open_dataset(built_data), ("random", 10), 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"folds": "5"}, "--folds=5: expected random:K or blocks:K"),
        ({"folds": "blocks:1"}, "--folds=blocks:1: expected"),
        ({"folds": "blocks:3", "fold": 3}, "--fold=3: expected a number from 0 to 2"),
        ({"fold": 1}, "--fold=1: expected --folds with it"),
    ],
)
def test_folds_that_make_no_sense_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        TrainConfig(**changes)
    assert parse_folds("random:5", 4) == ("random", 5)
