"""Skipping bad tiles, halos, dry runs and the Beam runner."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from small_world import (
    SIZE,
    build_it,
    canonical,
    labels,
    manifest_of,
    place,
    raw_bands,
    shard_bytes,
    write_challenge_image,
    write_gdal,
    write_public_image,
    write_source,
)

from mmls_tf.data.records import parse_halo
from mmls_tf.errors import InputError, UsageError
from tfrecords_builder.config import BuildConfig

COUNTS = {"train": 5, "val": 2, "isolated": 3}


@pytest.fixture(scope="module")
def src(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten tiles in a row from west to east."""
    return write_source(tmp_path_factory.mktemp("options") / "raw", COUNTS)


# Skipping.


def test_skipping_gives_the_shards_of_a_folder_that_never_had_the_bad_tiles(
    src: Path, tmp_path: Path
) -> None:
    bad = Path(shutil.copytree(src, tmp_path / "raw"))
    (bad / "train/images/t03.tif").write_bytes(b"no raster")
    (bad / "isolated/masks/t01.tif").unlink()
    clean = Path(shutil.copytree(src, tmp_path / "clean"))
    for stem in ("train/{}/t03.tif", "isolated/{}/t01.tif"):
        for kind in ("images", "masks"):
            (clean / stem.format(kind)).unlink()
    build_it(bad, tmp_path / "skipped", on_error="skip")
    build_it(clean, tmp_path / "expected")
    assert shard_bytes(tmp_path / "skipped") == shard_bytes(tmp_path / "expected")
    skipped = {
        Path(tile["path"]).relative_to(bad).as_posix()
        for tile in manifest_of(tmp_path / "skipped")["skipped"]
    }
    assert skipped == {"train/images/t03.tif", "isolated/images/t01.tif"}
    assert manifest_of(tmp_path / "expected")["skipped"] == []


def test_the_command_skips_with_exit_code_3_and_a_list(src: Path, tmp_path: Path, command: Callable) -> None:
    bad = Path(shutil.copytree(src, tmp_path / "raw"))
    (bad / "train/images/t03.tif").write_bytes(b"no raster")
    words = ("tfrecords_builder", f"--src={bad}", f"--out={tmp_path / 'data'}", f"--tile_size={SIZE}")
    result = command(*words, "--on_error=skip")
    assert result.returncode == 3
    assert "left out: 1 files cannot be used" in result.stderr
    assert "train/images/t03.tif: expected" in result.stderr
    assert (tmp_path / "data/dataset.json").exists()


def test_skipping_everything_is_an_error(src: Path, tmp_path: Path) -> None:
    bad = Path(shutil.copytree(src, tmp_path / "raw"))
    for image in (bad / "train/images").iterdir():
        image.write_bytes(b"no raster")
    with pytest.raises(InputError):
        build_it(bad, tmp_path / "data", on_error="skip")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw"]


# Halos.


def halo_of(out: Path, key: str, width: int) -> tuple[np.ndarray, np.ndarray]:
    for shard in out.rglob("*.tfrecord"):
        for raw in tf.data.TFRecordDataset(str(shard)):
            features = tf.train.Example.FromString(raw.numpy()).features.feature
            if features["key"].bytes_list.value[0] == key.encode():
                halo = parse_halo(raw, SIZE, width)
                return halo["image"].numpy(), halo["valid"].numpy()
    raise AssertionError(key)


@pytest.fixture
def aligned(tmp_path: Path) -> Path:
    """A row of six tiles on one grid: train, train, val, train, isolated, isolated."""
    order = ("thermal_inertia", "slope", "dem", "gray", "red", "green", "blue")
    for number, split in enumerate(("train", "train", "val", "train", "isolated", "isolated")):
        transform = (place(0)[0] + number * SIZE * 232.0, *place(0)[1:])
        stem, bands = f"t{number}", raw_bands(number)
        write_gdal(tmp_path / f"raw/{split}/images/{stem}.tif", [bands[name] for name in order], transform)
        write_gdal(tmp_path / f"raw/{split}/masks/{stem}.tif", [labels(number)], transform, nodata=0)
    return tmp_path / "raw"


@pytest.mark.parametrize("width", [1, 5, SIZE])
def test_the_halo_is_what_a_mosaic_of_the_images_would_hold(
    aligned: Path, tmp_path: Path, width: int
) -> None:
    build_it(aligned, tmp_path / "data", halo=width, halo_from="all")
    mosaic = np.zeros((3 * SIZE, 6 * SIZE, 7), np.float32)
    known = np.zeros(mosaic.shape[:2], np.uint8)
    for number in range(4):  # the isolated region lends nothing
        mosaic[SIZE : 2 * SIZE, number * SIZE : (number + 1) * SIZE] = canonical(raw_bands(number))
        known[SIZE : 2 * SIZE, number * SIZE : (number + 1) * SIZE] = 1
    for key, number in (("train/t1", 1), ("val/t2", 2), ("train/t3", 3)):
        image, valid = halo_of(tmp_path / "data", key, width)
        rows = slice(SIZE - width, 2 * SIZE + width)
        columns = slice(number * SIZE - width, (number + 1) * SIZE + width)
        np.testing.assert_array_equal(image, mosaic[rows, columns])
        np.testing.assert_array_equal(valid, known[rows, columns])


def test_by_default_only_tiles_of_the_same_split_lend_pixels(aligned: Path, tmp_path: Path) -> None:
    build_it(aligned, tmp_path / "data", halo=4)
    _, valid = halo_of(tmp_path / "data", "train/t1", 4)
    assert valid[4:-4, :4].all(), "the train tile in the west lends"
    assert not valid[4:-4, -4:].any(), "the val tile in the east does not"


def test_the_isolated_region_takes_from_itself_only(aligned: Path, tmp_path: Path) -> None:
    build_it(aligned, tmp_path / "data", halo=4, halo_from="all")
    _, valid = halo_of(tmp_path / "data", "isolated/t4", 4)
    assert not valid[4:-4, :4].any(), "train tile t3 lies there"
    assert valid[4:-4, -4:].all()


def test_labels_of_other_tiles_never_get_into_a_halo(aligned: Path, tmp_path: Path) -> None:
    build_it(aligned, tmp_path / "one", halo=4, halo_from="all")
    mask = aligned / "val/masks/t2.tif"
    content = [1 - labels(2)]
    write_gdal(mask, content, (place(0)[0] + 2 * SIZE * 232.0, *place(0)[1:]), nodata=0)
    build_it(aligned, tmp_path / "other", halo=4, halo_from="all")
    one, other = (
        {tile["key"]: tile["record_sha256"] for tile in manifest_of(tmp_path / name)["tiles"]}
        for name in ("one", "other")
    )
    assert {key for key in one if one[key] != other[key]} == {"val/t2"}


def test_a_halo_without_georeference_is_refused(tmp_path: Path) -> None:
    src = write_source(tmp_path / "raw", {"train": 2}, layout="public")
    with pytest.raises(UsageError, match="--halo=4: expected a georeference in every image"):
        build_it(src, tmp_path / "data", halo=4)


# Dry runs.


def test_a_dry_run_shows_counts_shares_and_shifts_and_writes_nothing(
    src: Path, tmp_path: Path, command: Callable
) -> None:
    words = (
        "tfrecords_builder",
        f"--src={src}",
        f"--out={tmp_path / 'data'}",
        f"--tile_size={SIZE}",
        "--dry_run",
    )
    result = command(*words)
    assert result.returncode == 0, result.stderr
    lines = {line.split()[0]: line.split() for line in result.stdout.splitlines() if line}
    train = [raw_bands(seed)["red"] for seed in range(5)]
    val = [raw_bands(seed)["red"] for seed in range(5, 7)]
    assert lines["train"][1:4] == ["5", f"{np.mean([labels(seed) for seed in range(5)]):.1%}", "+0.00"]
    assert float(lines["val"][3]) == pytest.approx((np.mean(val) - np.mean(train)) / np.std(train), abs=0.006)
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_of_bad_input_lists_it(src: Path, tmp_path: Path, command: Callable) -> None:
    bad = Path(shutil.copytree(src, tmp_path / "raw"))
    (bad / "train/images/t03.tif").write_bytes(b"")
    result = command("tfrecords_builder", f"--src={bad}", f"--tile_size={SIZE}", "--dry_run")
    assert result.returncode == 2
    assert "train/images/t03.tif: expected" in result.stderr


# Runners.


def test_beam_writes_the_same_shards_and_fingerprint(src: Path, tmp_path: Path) -> None:
    pytest.importorskip("apache_beam", reason="Apache Beam is not installed (extra [beam])")
    local = build_it(src, tmp_path / "local")
    beam = build_it(src, tmp_path / "beam", runner="beam", beam_args="--runner=DirectRunner")
    assert shard_bytes(tmp_path / "beam") == shard_bytes(tmp_path / "local")
    assert beam == local


def test_beam_lists_bad_tiles_like_the_local_runner(src: Path, tmp_path: Path) -> None:
    pytest.importorskip("apache_beam", reason="Apache Beam is not installed (extra [beam])")
    bad = Path(shutil.copytree(src, tmp_path / "raw"))
    (bad / "train/images/t03.tif").write_bytes(b"no raster")
    (bad / "isolated/images/t00.tif").write_bytes(b"no raster")
    with pytest.raises(InputError) as caught:
        build_it(bad, tmp_path / "data", runner="beam")
    assert [Path(issue.path).name for issue in caught.value.issues] == ["t00.tif", "t03.tif"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw"]


def test_beam_arguments_without_beam_are_refused() -> None:
    with pytest.raises(UsageError, match="--beam_args"):
        BuildConfig(src="raw", beam_args="--runner=FlinkRunner")


# Releases are not mixed.


def test_a_folder_of_two_layouts_names_the_odd_files(src: Path, tmp_path: Path) -> None:
    mixed = Path(shutil.copytree(src, tmp_path / "raw"))
    write_public_image(mixed / "val/images/t01.tif", raw_bands(6))
    with pytest.raises(
        InputError, match=r"val/images/t01\.tif: expected the challenge layout, as 9 of 10 images"
    ):
        build_it(mixed, tmp_path / "data")


def test_the_manifest_says_how_values_are_scaled(src: Path, tmp_path: Path) -> None:
    build_it(src, tmp_path / "data")
    assert json.loads((tmp_path / "data/dataset.json").read_text())["scaling"] == "mmlsv2"


def test_a_tile_whose_bands_are_in_another_order_is_refused_unless_unchecked(tmp_path: Path) -> None:
    src = write_source(tmp_path / "raw", {"train": 2})
    bands = raw_bands(0)
    bands["slope"], bands["dem"] = bands["dem"], bands["slope"]
    write_challenge_image(src / "train/images/t00.tif", bands)
    with pytest.raises(InputError, match=r"t00\.tif"):
        build_it(src, tmp_path / "data")
    build_it(src, tmp_path / "data", check_order=False)
