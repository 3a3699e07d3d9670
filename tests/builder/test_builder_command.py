"""The builder as a user starts it: exit codes, messages, help, and what it leaves behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from small_world import SIZE, build_it, manifest_of, shard_bytes, write_source

ROOT = Path(__file__).parents[2]
FLAGS = ("src", "out", "layout", "tile_size", "shard_mb", "workers", "on_error", "overwrite")


def command(folder: Path, *arguments: str, without: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Runs the builder in `folder`; the modules in `without` cannot be imported."""
    blocked = folder / "blocked"
    for name in without:
        blocked.mkdir(exist_ok=True)
        (blocked / f"{name}.py").write_text("raise ImportError('not here')")
    return subprocess.run(
        [sys.executable, "-m", "tfrecords_builder", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{blocked}{os.pathsep}{ROOT}", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_build_prints_a_summary_and_equals_one_in_another_process(tmp_path: Path) -> None:
    src = write_source(tmp_path / "raw", {"train": 3, "val": 1})
    done = command(tmp_path, "--src=raw", "--out", "data", f"--tile_size={SIZE}")
    assert done.returncode == 0, done.stderr
    assert "data: challenge layout, tiles of 16 x 16" in done.stdout
    assert manifest_of(tmp_path / "data")["fingerprint"][:12] in done.stdout
    build_it(src, tmp_path / "again")
    assert shard_bytes(tmp_path / "data") == shard_bytes(tmp_path / "again")
    manifest = manifest_of(tmp_path / "data")
    assert manifest["command"] == "python -m tfrecords_builder --src=raw --out data --tile_size=16"
    assert {**manifest, "command": ""} == {**manifest_of(tmp_path / "again"), "command": ""}


def test_bad_input_ends_with_2_and_one_list_on_stderr(tmp_path: Path) -> None:
    src = write_source(tmp_path / "raw", {"train": 3, "val": 1})
    (src / "train/images/t01.tif").write_bytes(b"")
    (src / "val/masks/t00.tif").write_text("not a raster")
    done = command(tmp_path, "--src=raw", f"--tile_size={SIZE}")
    assert done.returncode == 2
    assert "error: 2 files cannot be used:" in done.stderr
    assert (
        "raw/train/images/t01.tif: expected a readable TIFF with 7 bands of 16 x 16, found an empty file"
        in done.stderr
    )
    assert "raw/val/masks/t00.tif: expected a readable TIFF with 1 band of 16 x 16, found" in done.stderr
    assert "Nothing was written to data." in done.stderr
    assert "Traceback" not in done.stderr
    assert (
        sorted(path.name for path in tmp_path.iterdir())
        == ["raw"] + ["blocked"] * (tmp_path / "blocked").exists()
    )


def test_help_needs_neither_tensorflow_nor_gdal_and_lists_the_flags(tmp_path: Path) -> None:
    done = command(tmp_path, "--help", without=("tensorflow", "keras", "osgeo", "tifffile"))
    assert done.returncode == 0, done.stderr
    for name in FLAGS:
        assert f"--{name}:" in done.stdout or f"--[no]{name}:" in done.stdout
    assert "<auto|challenge|public" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--src=raw", "--colour=red"), "colour"),
        (("--src=raw", "data"), "expected flags only, found 'data'"),
        (("--src=raw", "--layout=v0"), "layout"),
        (("--src=raw", "--tile_size=large"), "tile_size"),
        (("--src=raw", "--tile_size=0"), "--tile_size=0: expected 8 or more"),
        (("--out=data",), "src"),
        (("--flagfile=absent.flags",), "absent.flags"),
    ],
)
def test_a_mistake_ends_with_2_and_says_which(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    done = command(tmp_path, *arguments, without=("tensorflow", "osgeo"))
    assert done.returncode == 2
    assert done.stdout == ""
    assert "error: " in done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data").exists()
