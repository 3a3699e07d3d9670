"""Shards are planned evenly, written the same every time, and described truly by the manifest."""

from __future__ import annotations

import hashlib
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from osgeo import osr
from small_world import (
    MARS,
    build_it,
    labels,
    manifest_of,
    raw_bands,
    records,
    shard_bytes,
    write_challenge_image,
    write_challenge_mask,
    write_source,
)

from tfrecords_builder.assemble import fingerprint
from tfrecords_builder.shard_job import map_ahead
from tfrecords_builder.shards import cut_evenly, in_record_order, plan_shards, shard_count
from tfrecords_builder.sources import Source

BIG = 128  # two records of this size fill a megabyte, the least that --shard_mb takes
COUNTS = {"train": 5, "val": 1}


def source(stem: str, split: str = "train") -> Source:
    return Source(split, stem, Path(f"{stem}.tif"), None)


@pytest.fixture(scope="module")
def src(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_source(tmp_path_factory.mktemp("big") / "raw", COUNTS, size=BIG)


@pytest.fixture(scope="module")
def out(src: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("big_out") / "data"
    build_it(src, out, tile_size=BIG, shard_mb=1, workers=1)
    return out


@pytest.mark.parametrize("parts", range(1, 24))
def test_parts_differ_by_at_most_one_none_is_empty_and_nothing_is_lost(parts: int) -> None:
    for total in range(parts, 3 * parts + 8):
        items = list(range(total))
        pieces = cut_evenly(items, parts)
        lengths = [len(piece) for piece in pieces]
        assert len(pieces) == parts
        assert max(lengths) - min(lengths) <= 1
        assert min(lengths) >= 1
        assert [item for piece in pieces for item in piece] == items


@pytest.mark.parametrize("tile_size", [8, 32, 128, 512, 1024])
def test_no_shard_is_planned_above_its_size_unless_one_record_is(tile_size: int) -> None:
    record = tile_size * tile_size * 30
    for tiles in (1, 2, 7, 132, 930):
        for megabytes in (1, 3, 32):
            count = shard_count(tiles, tile_size, megabytes)
            largest = -(-tiles // count)
            assert 1 <= count <= tiles
            assert largest == 1 or (largest - 1) * record < megabytes * 1e6
            assert count == 1 or tiles * (record + 300) > (count - 1) * megabytes * 1e6


def test_the_plan_of_a_split_is_spelt_out() -> None:
    plans = plan_shards([source(f"t{number}") for number in range(7)], "train", 128, 1)
    assert [(plan.path, [member.stem for member in plan.sources]) for plan in plans] == [
        ("train/train-00000-of-00004.tfrecord", ["t3"]),
        ("train/train-00001-of-00004.tfrecord", ["t6", "t4"]),
        ("train/train-00002-of-00004.tfrecord", ["t2", "t5"]),
        ("train/train-00003-of-00004.tfrecord", ["t1", "t0"]),
    ]


def test_the_record_order_is_a_function_of_the_keys_alone() -> None:
    members = [source(f"t{number}") for number in range(50)]
    assert in_record_order(members) == in_record_order(members[::-1])
    assert in_record_order(members) != members
    others = [source(member.stem, "val") for member in members]
    assert [one.stem for one in in_record_order(others)] != [one.stem for one in in_record_order(members)]


@pytest.mark.parametrize("workers", [1, 3, 8])
def test_any_number_of_workers_writes_the_same_bytes(
    src: Path, out: Path, tmp_path: Path, workers: int
) -> None:
    build_it(src, tmp_path / "data", tile_size=BIG, shard_mb=1, workers=workers)
    assert shard_bytes(tmp_path / "data") == shard_bytes(out)
    assert manifest_of(tmp_path / "data") == manifest_of(out)


def test_results_come_in_order_whichever_thread_is_done_first() -> None:
    def slow_at_first(number: int) -> int:
        time.sleep(0.02 if number % 5 == 0 else 0.0)
        return number

    with ThreadPoolExecutor(4) as pool:
        assert list(map_ahead(pool, slow_at_first, range(40), 4)) == list(range(40))


def test_only_a_few_results_wait_at_a_time() -> None:
    taken: list[int] = []
    items = (taken.append(number) or number for number in range(1000))
    with ThreadPoolExecutor(2) as pool:
        results = map_ahead(pool, str, items, 2)  # type: ignore[arg-type]
        for number in range(20):
            assert next(results) == str(number)
            assert len(taken) <= number + 6


def test_the_order_of_the_directory_listing_does_not_matter(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backwards = write_source(tmp_path / "raw", COUNTS, size=BIG, backwards=True)
    listing = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda path: sorted(listing(path), reverse=True))
    build_it(backwards, tmp_path / "data", tile_size=BIG, shard_mb=1)
    assert shard_bytes(tmp_path / "data") == shard_bytes(out)
    assert manifest_of(tmp_path / "data")["tiles"] == manifest_of(out)["tiles"]


def test_the_fingerprint_does_not_depend_on_the_order_of_the_tiles(src: Path, tmp_path: Path) -> None:
    manifest = build_it(src, tmp_path / "data", tile_size=BIG)
    assert fingerprint(manifest.tiles) == fingerprint(manifest.tiles[::-1]) == manifest.fingerprint


def test_sharding_does_not_change_the_fingerprint_but_the_number_of_shards(
    src: Path, out: Path, tmp_path: Path
) -> None:
    build_it(src, tmp_path / "data", tile_size=BIG, shard_mb=32)
    one, other = manifest_of(out), manifest_of(tmp_path / "data")
    assert [len(split["shards"]) for split in one["splits"]] == [3, 1]
    assert [len(split["shards"]) for split in other["splits"]] == [1, 1]
    assert one["fingerprint"] == other["fingerprint"]
    assert one["statistics"] == other["statistics"]


@pytest.mark.parametrize("change", ["pixel", "label", "name", "split"])
def test_the_fingerprint_changes_with_any(change: str, out: Path, tmp_path: Path) -> None:
    src = write_source(tmp_path / "raw", COUNTS, size=BIG)
    bands, mask = raw_bands(0, BIG), labels(0, BIG)
    stem, split = "t00", "train"
    for kind in ("images", "masks"):
        (src / f"train/{kind}/t00.tif").unlink()
    if change == "pixel":
        bands["dem"][5, 5] += 1
    elif change == "label":
        mask[5, 5] = 1 - mask[5, 5]
    elif change == "name":
        stem = "u00"
    else:
        split = "test"
    write_challenge_image(src / f"{split}/images/{stem}.tif", bands)
    write_challenge_mask(src / f"{split}/masks/{stem}.tif", mask)
    changed = build_it(src, tmp_path / "data", tile_size=BIG)
    assert changed.fingerprint != manifest_of(out)["fingerprint"]


def test_the_manifest_tells_the_truth_about_every_shard(out: Path) -> None:
    described = [shard for split in manifest_of(out)["splits"] for shard in split["shards"]]
    assert {shard["path"] for shard in described} == shard_bytes(out).keys()
    for shard in described:
        content = (out / shard["path"]).read_bytes()
        assert shard["bytes"] == len(content)
        assert shard["bytes"] <= 1_000_000
        assert shard["sha256"] == hashlib.sha256(content).hexdigest()
        assert shard["records"] == sum(1 for _ in tf.data.TFRecordDataset(str(out / shard["path"])))


def test_the_manifest_tells_the_truth_about_every_tile(src: Path, out: Path) -> None:
    found = records(out)
    serialized = [
        record
        for shard in sorted(out.rglob("*.tfrecord"))
        for record in tf.data.TFRecordDataset(str(shard)).as_numpy_iterator()
    ]
    tiles = manifest_of(out)["tiles"]
    assert [tile["key"] for tile in tiles] == sorted(found)
    assert {tile["record_sha256"] for tile in tiles} == {
        hashlib.sha256(one).hexdigest() for one in serialized
    }
    for tile in tiles:
        assert tile["image"] == f"{tile['key'].replace('/', '/images/')}.tif"
        assert tile["mask"] == f"{tile['key'].replace('/', '/masks/')}.tif"
        for kind in ("image", "mask"):
            assert tile[f"{kind}_sha256"] == hashlib.sha256((src / tile[kind]).read_bytes()).hexdigest()
        mask = np.frombuffer(found[tile["key"]]["mask"], np.uint8)
        assert (tile["foreground_pixels"], tile["labelled_pixels"]) == (mask.sum(), BIG * BIG)


def test_the_manifest_tells_the_truth_about_splits_bands_and_crs(out: Path) -> None:
    manifest = manifest_of(out)
    assert [(split["name"], split["tiles"]) for split in manifest["splits"]] == [("train", 5), ("val", 1)]
    assert manifest["splits"][0]["foreground_share"] == np.mean([labels(seed, BIG) for seed in range(5)])
    assert manifest["splits"][0]["valid_share"] == 1.0
    assert manifest["tile_size"] == BIG
    names = [band["name"] for band in manifest["bands"]]
    assert names == ["red", "green", "blue", "dem", "slope", "thermal_inertia", "gray"]
    written = osr.SpatialReference(wkt=MARS)
    assert written.IsSame(osr.SpatialReference(wkt=manifest["crs_wkt"]))
    assert manifest["command"] == "python -m tfrecords_builder --src raw"
