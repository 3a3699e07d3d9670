"""Tiles whose labels a run was adapted with, and those that overlap them, count in no score."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from mmls_tf.data.dataset import Dataset, open_dataset
from mmls_tf.errors import DatasetError
from mmls_tf.prediction.member import Member, load_member
from mmls_tf.prediction.tiles import tiles_to_score
from mmls_tf.schema import Place
from mmls_tf.training.adaptation import Adaptation


@pytest.fixture(scope="module")
def member(trained_run: Path) -> Member:
    return load_member(trained_run, "best", "tensorflow")


def adapted(member: Member, dataset: Dataset, *keys: str) -> Member:
    """The same as if the masks of these tiles had been used."""
    entries = {tile.key: tile.image_sha256 for tile in dataset.manifest.tiles}
    adaptation = Adaptation(
        *("a", "best", "0", "b", "1", "isolated", 4, ("finetune",), "few labels"),
        {f"elsewhere/{key}": entries[key] for key in keys},
        0,
        {},
    )
    return dataclasses.replace(member, record=dataclasses.replace(member.record, adaptation=adaptation))


def placed(dataset: Dataset, places: dict[str, Place]) -> Dataset:
    tiles = tuple(dataclasses.replace(tile, place=places.get(tile.key)) for tile in dataset.manifest.tiles)
    return dataclasses.replace(dataset, manifest=dataclasses.replace(dataset.manifest, tiles=tiles))


def keys(dataset: Dataset, split: str) -> list[str]:
    return [tile.key for tile in dataset.manifest.tiles if tile.split == split]


def test_a_run_that_saw_no_labels_of_the_target_is_scored_on_all(member: Member, built_data: Path) -> None:
    dataset = open_dataset(built_data)
    assert tiles_to_score([member], dataset, "isolated") is None
    assert tiles_to_score([adapted(member, dataset)], dataset, "isolated") is None


def test_tiles_are_known_by_their_image_files_under_whatever_key(member: Member, built_data: Path) -> None:
    dataset = open_dataset(built_data)
    first, *others = keys(dataset, "isolated")
    known = adapted(member, dataset, first)
    assert tiles_to_score([known], placed(dataset, {}), "isolated") == set(others)
    assert tiles_to_score([member, known], placed(dataset, {}), "isolated") == set(others)
    assert tiles_to_score([known], placed(dataset, {}), "test") == set(keys(dataset, "test"))


def test_a_tile_that_has_a_pixel_in_common_is_left_out_and_one_beside_is_not(
    member: Member, built_data: Path
) -> None:
    dataset = open_dataset(built_data)
    first, second, third, fourth = keys(dataset, "isolated")
    places = {
        first: Place("map", 0.0, 0.0, 232.0),
        second: Place("map", 31.0, 31.0, 232.0),
        third: Place("map", 32.0, 0.0, 232.0),
        fourth: Place("another map", 0.0, 0.0, 232.0),
    }
    known = adapted(member, dataset, first)
    assert tiles_to_score([known], placed(dataset, places), "isolated") == {third, fourth}


def test_a_split_of_which_nothing_is_left_is_refused(member: Member, built_data: Path) -> None:
    dataset = open_dataset(built_data)
    known = adapted(member, dataset, *keys(dataset, "isolated"))
    with pytest.raises(DatasetError, match="expected tiles in isolated that no run was adapted with"):
        tiles_to_score([known], dataset, "isolated")
