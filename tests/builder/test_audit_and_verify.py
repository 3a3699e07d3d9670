"""Every kind of leak is planted and found; every kind of damage is done and named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from small_world import (
    build_it,
    labels,
    manifest_of,
    place,
    raw_bands,
    write_challenge_image,
    write_challenge_mask,
    write_gdal,
    write_source,
)

from mmls_tf.errors import DatasetError
from mmls_tf.schema import Manifest
from tfrecords_builder.audit.findings import audit_tiles
from tfrecords_builder.stored import open_stored, stored_contents
from tfrecords_builder.verify.check import verify_sources, verify_stored

COUNTS = {"train": 4, "val": 2, "test": 2, "isolated": 2}


@pytest.fixture
def src(tmp_path: Path) -> Path:
    """Ten tiles in a row from west to east, split by split."""
    return write_source(tmp_path / "raw", COUNTS)


def audit(src: Path, out: Path):
    manifest = build_it(src, out)
    places = {tile.key: tile.place for tile in open_stored(out).tiles}
    return manifest, audit_tiles(places, stored_contents(out, manifest), manifest.tile_size)


def place_tile(src: Path, split: str, stem: str, seed: int, corner: float, noise: float = 0.0) -> None:
    """A tile with the pixels of `seed` (and noise) at a place `corner` tiles along the row."""
    bands = raw_bands(seed)
    bands["red"] = bands["red"] + np.random.default_rng(0).normal(0, noise, bands["red"].shape).astype(
        np.float32
    )
    image = src / split / "images" / f"{stem}.tif"
    write_challenge_image(image, bands)
    transform = (place(0)[0] + corner * 16 * 232.0, *place(0)[1:])
    order = ("thermal_inertia", "slope", "dem", "gray", "red", "green", "blue")
    write_gdal(image, [bands[name] for name in order], transform)
    write_gdal(src / split / "masks" / f"{stem}.tif", [labels(seed)], transform, nodata=0)


def test_splits_in_a_row_touch_at_their_ends_only_and_share_nothing(src: Path, tmp_path: Path) -> None:
    manifest, found = audit(src, tmp_path / "data")
    assert not found.leaks
    assert not found.overlaps_within
    contacts = {contact.split: contact.touching_train for contact in found.contacts}
    assert contacts == {"val": 1, "test": 0, "isolated": 0}
    by_key = {tile.key: tile for tile in manifest.tiles}
    assert by_key["val/t00"].touches_train
    assert not by_key["val/t01"].touches_train
    assert by_key["val/t00"].neighbours == {"W": "train/t03", "E": "val/t01"}
    assert found.isolated_distance.pixels == 0.0
    assert found.isolated_distance.other == "test/t01"


def test_an_overlap_between_splits_is_a_leak_with_its_share(src: Path, tmp_path: Path) -> None:
    place_tile(src, "test", "spy", seed=40, corner=1.25)
    manifest, found = audit(src, tmp_path / "data")
    assert found.leaks
    shares = {(pair.one, pair.other): pair.share for pair in found.overlaps_across}
    assert shares == pytest.approx(
        {("test/spy", "train/t01"): 0.75, ("test/spy", "train/t02"): 0.25}, abs=0.01
    )
    (spy,) = (tile for tile in manifest.tiles if tile.key == "test/spy")
    assert spy.train_overlap == pytest.approx(0.75, abs=0.01)


def test_an_overlap_inside_a_split_is_told_and_is_no_leak(src: Path, tmp_path: Path) -> None:
    place_tile(src, "train", "twin", seed=40, corner=-0.5)
    _, found = audit(src, tmp_path / "data")
    assert [(pair.one, pair.other) for pair in found.overlaps_within] == [("train/t00", "train/twin")]
    assert not found.leaks


def test_the_same_tile_under_another_name_and_place_is_an_exact_duplicate(src: Path, tmp_path: Path) -> None:
    place_tile(src, "isolated", "copy", seed=0, corner=50)
    _, found = audit(src, tmp_path / "data")
    assert [(pair.one, pair.other, pair.exact) for pair in found.duplicates] == [
        ("isolated/copy", "train/t00", True)
    ]
    assert found.leaks


def test_a_tile_with_a_little_noise_is_a_near_duplicate(src: Path, tmp_path: Path) -> None:
    place_tile(src, "test", "noisy", seed=1, corner=50, noise=2.0)
    _, found = audit(src, tmp_path / "data")
    (pair,) = found.duplicates
    assert (pair.one, pair.other, pair.exact) == ("test/noisy", "train/t01", False)
    assert 0 < pair.difference < 0.1


def test_the_distance_of_the_isolated_region_is_in_kilometres(src: Path, tmp_path: Path) -> None:
    shutil.rmtree(src / "isolated")
    place_tile(src, "isolated", "far", seed=50, corner=18)
    _, found = audit(src, tmp_path / "data")
    assert found.isolated_distance.pixels == pytest.approx(10 * 16)
    assert found.isolated_distance.km == pytest.approx(10 * 16 * 0.232)


def test_the_command_prints_the_leak_and_writes_json_and_a_map(
    src: Path, tmp_path: Path, command: Callable
) -> None:
    place_tile(src, "test", "spy", seed=40, corner=1.25)
    build_it(src, tmp_path / "data")
    result = command("tfrecords_builder.audit", f"--data={tmp_path / 'data'}")
    assert result.returncode == 0, result.stderr
    assert (
        "test/spy and train/t01 share 74" in result.stdout
        or "test/spy and train/t01 share 75" in result.stdout
    )
    assert "LEAK" in result.stdout
    assert json.loads((tmp_path / "data" / "audit.json").read_text())["leaks"]
    assert (tmp_path / "data" / "audit.png").stat().st_size > 5000


# Verification.


@pytest.fixture
def built(src: Path, tmp_path: Path) -> Path:
    build_it(src, tmp_path / "data")
    return tmp_path / "data"


def shard_of(data: Path) -> Path:
    return data / "train" / "train-00000-of-00001.tfrecord"


def records_of(path: Path) -> list[bytes]:
    return list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())


def rewrite(data: Path, records: list[bytes]) -> None:
    """Writes other records and mends the manifest's size and hash, as a careful saboteur would."""
    import hashlib

    with tf.io.TFRecordWriter(str(shard_of(data))) as writer:
        for record in records:
            writer.write(record)
    fields = manifest_of(data)
    content = shard_of(data).read_bytes()
    fields["splits"][0]["shards"][0].update(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    (data / "dataset.json").write_text(json.dumps(fields))


def problems(data: Path) -> list[str]:
    return list(verify_stored(data, open_stored(data)))


def test_a_data_set_as_built_has_no_problem_and_equals_its_sources(built: Path, src: Path) -> None:
    assert problems(built) == []
    assert list(verify_sources(built, open_stored(built), src, "GTiff")) == []


def test_a_shard_cut_at_a_record_boundary_is_named_with_the_tiles_it_lacks(built: Path) -> None:
    records = records_of(shard_of(built))
    with tf.io.TFRecordWriter(str(shard_of(built))) as writer:
        for record in records[:-1]:
            writer.write(record)
    text = "\n".join(problems(built))
    assert "train-00000-of-00001.tfrecord: expected 4 records, found 3" in text
    assert "is in no shard" in text


def test_a_flipped_bit_is_named_with_its_shard(built: Path) -> None:
    content = bytearray(shard_of(built).read_bytes())
    content[len(content) // 2] ^= 4
    shard_of(built).write_bytes(bytes(content))
    text = "\n".join(problems(built))
    assert "train/train-00000-of-00001.tfrecord: expected SHA-256" in text
    assert "found damage after" in text


def test_a_record_that_was_exchanged_is_named_even_if_the_shard_was_mended(built: Path) -> None:
    records = records_of(shard_of(built))
    example = tf.train.Example.FromString(records[2])
    pixels = bytearray(example.features.feature["image"].bytes_list.value[0])
    pixels[100] ^= 1
    example.features.feature["image"].bytes_list.value[0] = bytes(pixels)
    rewrite(built, [*records[:2], example.SerializeToString(deterministic=True), records[3]])
    (text,) = problems(built)
    assert "train-00000-of-00001.tfrecord, record 2: train/" in text
    assert "is not what the manifest's SHA-256 says" in text


def test_a_record_that_is_no_tile_and_one_that_comes_twice_are_named(built: Path) -> None:
    records = records_of(shard_of(built))
    rewrite(built, [records[0], b"junk", records[2], records[2]])
    text = "\n".join(problems(built))
    assert "record 1: expected a tile as in mmls_tf.schema" in text
    assert "record 3: train/" in text
    assert "is not expected here" in text


def test_a_source_that_changed_since_is_named(built: Path, src: Path) -> None:
    bands = raw_bands(0)
    bands["dem"][3, 3] += 1
    write_challenge_image(src / "train/images/t00.tif", bands)
    write_challenge_mask(src / "train/masks/t00.tif", 1 - labels(0))
    found = "\n".join(verify_sources(built, open_stored(built), src, "GTiff"))
    assert "train/images/t00.tif: the file is not the one that was built" in found
    assert "train/images/t00.tif: the record holds another image" in found
    assert "train/masks/t00.tif: the record holds another mask" in found


def test_a_fingerprint_that_is_not_that_of_the_tiles_is_told(built: Path) -> None:
    fields = manifest_of(built)
    fields["fingerprint"] = "0" * 64
    (built / "dataset.json").write_text(json.dumps(fields))
    assert problems(built) == ["dataset.json: the fingerprint is not that of its tiles"]


def test_the_command_ends_with_2_and_lists_problems_or_with_0(
    built: Path, src: Path, command: Callable
) -> None:
    good = command("tfrecords_builder.verify", f"--data={built}", f"--src={src}")
    assert good.returncode == 0, good.stderr
    assert "10 tiles in 4 shards are as stated, and each is what its files" in good.stdout
    shard_of(built).unlink()
    bad = command("tfrecords_builder.verify", f"--data={built}")
    assert bad.returncode == 2
    assert "train/train-00000-of-00001.tfrecord: expected a file, found none" in bad.stderr


def test_a_folder_that_is_no_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="expected a data set"):
        open_stored(tmp_path)


def test_the_manifest_reads_back_as_written(built: Path) -> None:
    text = (built / "dataset.json").read_text()
    assert Manifest.from_json(text).to_json() == text
