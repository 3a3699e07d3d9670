"""Dealing tiles to splits."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from small_world import build_it, manifest_of, write_source

from mmls_tf.errors import UsageError
from mmls_tf.raster.places import gap_px
from mmls_tf.schema import Place
from tfrecords_builder.splits import deal_by_blocks, deal_randomly, parse_shares

SHARES = {"train": 0.6, "val": 0.1, "test": 0.1, "isolated": 0.2}


def strip(length: int = 40, rows: int = 3) -> dict[str, Place]:
    return {
        f"t{x:02d}_{y}": Place("map 232", x * 16.0, y * 16.0, 232.0)
        for x in range(length)
        for y in range(rows)
    }


def test_random_dealing_keeps_the_shares_and_follows_the_seed_alone() -> None:
    keys = [f"t{i}" for i in range(100)]
    one = deal_randomly(keys, SHARES, seed=1).splits
    assert Counter(one.values()) == {"train": 60, "val": 10, "test": 10, "isolated": 20}
    assert deal_randomly(keys[::-1], SHARES, seed=1).splits == one
    assert deal_randomly(keys, SHARES, seed=2).splits != one


@pytest.mark.parametrize("count", range(4, 30))
def test_no_split_is_ever_empty(count: int) -> None:
    splits = deal_randomly([f"t{i}" for i in range(count)], SHARES, 0).splits
    assert set(splits.values()) == set(SHARES)
    assert len(splits) == count


def test_fewer_tiles_than_splits_are_refused() -> None:
    with pytest.raises(UsageError, match="expected at least 4 tiles for 4 splits, found 3"):
        deal_randomly(["a", "b", "c"], SHARES, 0)


@pytest.mark.parametrize("buffer_px", [0.0, 16.0, 40.0])
@pytest.mark.parametrize("seed", range(3))
def test_blocks_keep_their_distance(buffer_px: float, seed: int) -> None:
    places = strip()
    deal = deal_by_blocks(places, SHARES, 16, buffer_px, seed)
    assert set(deal.splits.values()) == set(SHARES)
    assert len(deal.splits) + len(deal.buffer) == len(places)
    for one, split in deal.splits.items():
        for other, another in deal.splits.items():
            if split != another:
                assert gap_px(places[one], places[other], 16) >= buffer_px
    assert bool(deal.buffer) == (buffer_px > 0)


def test_blocks_are_contiguous_along_the_longer_side_of_the_map() -> None:
    places = {
        key: Place(place.frame, place.y, place.x, 232.0) for key, place in strip().items()
    }  # lies north-south
    splits = deal_by_blocks(places, SHARES, 16, 0.0, 0).splits
    order = [splits[key] for key in sorted(splits, key=lambda key: (places[key].y, key))]
    changes = sum(one != other for one, other in pairwise(order))
    assert changes == 3


def test_blocks_never_share_pixels_even_without_a_buffer() -> None:
    places = {
        f"t{i:02d}": Place("map 232", i * 10.0, 0.0, 232.0) for i in range(40)
    }  # every tile overlaps the next
    splits = deal_by_blocks(places, SHARES, 16, 0.0, 0).splits
    pairs = [(a, b) for a in splits for b in splits if splits[a] != splits[b]]
    assert all(abs(places[a].x - places[b].x) >= 16 for a, b in pairs)


def test_a_buffer_that_eats_a_split_is_refused() -> None:
    with pytest.raises(UsageError, match=r"found none left in .*make the buffer smaller"):
        deal_by_blocks(strip(8, 1), SHARES, 16, 200.0, 0)


def test_blocks_of_two_maps_are_refused() -> None:
    places = {**strip(4, 1), "elsewhere": Place("map 100", 0.0, 0.0, 100.0)}
    with pytest.raises(UsageError, match="expected tiles on one map, found map 100, map 232"):
        deal_by_blocks(places, SHARES, 16, 0.0, 0)


@pytest.mark.parametrize(
    "text",
    ["train=0.5,val=0.6", "train=1,val=0", "val=1", "train=x", "train=0.5,train=0.5", "left=1", "train=-1"],
)
def test_shares_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--shares="):
        parse_shares(text)


def test_shares_are_read() -> None:
    assert parse_shares("train=0.75, val=0.25") == {"train": 0.75, "val": 0.25}


@pytest.mark.parametrize("method", ["random", "blocks"])
def test_a_build_deals_all_labelled_tiles_anew_and_says_so(tmp_path: Path, method: str) -> None:
    src = write_source(tmp_path / "raw", {"train": 14, "val": 3, "test": 3})
    flags = {"split_by": method, "shares": "train=0.5,val=0.25,isolated=0.25", "buffer_tiles": 0.0}
    build_it(src, tmp_path / "data", **flags)
    manifest = manifest_of(tmp_path / "data")
    assert {split["name"]: split["tiles"] for split in manifest["splits"]} == {
        "train": 10,
        "val": 5,
        "isolated": 5,
    }
    assert manifest["split_by"].startswith(f"{method} train=0.5,val=0.25,isolated=0.25 seed 0")
    assert all(tile["key"].startswith(tile["split"]) for tile in manifest["tiles"])


def test_stems_that_folders_share_stay_apart_when_pooled(tmp_path: Path) -> None:
    src = write_source(tmp_path / "raw", {"train": 3, "val": 2})
    build_it(src, tmp_path / "data", split_by="random", shares="train=0.6,val=0.4")
    stems = {tile["key"].partition("/")[2] for tile in manifest_of(tmp_path / "data")["tiles"]}
    assert stems == {"train-t00", "train-t01", "t02", "val-t00", "val-t01"}
