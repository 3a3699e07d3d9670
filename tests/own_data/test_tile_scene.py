"""Cutting a scene: every pixel is where it was, and nothing half-done is left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from osgeo import gdal
from own_world import (
    NODATA,
    ORDER,
    RINGS,
    TRANSFORM,
    WKT,
    rasterised,
    read,
    to_metres,
    transform_of,
    write,
    write_polygons,
    write_scene,
)

from mmls_tf.errors import InputError
from mmls_tf.raster.geotiff import same_crs
from tfrecords_builder.tile import cut
from tfrecords_builder.tile.config import TileConfig
from tfrecords_builder.tile.cut import Outcome, cut_scene
from tfrecords_builder.tile.summary import summary

WIDTH, HEIGHT, SIZE = 100, 70, 32


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene of 100 x 70 pixels and three polygons over it."""
    root = tmp_path_factory.mktemp("scene")
    write_scene(root / "scene.tif", WIDTH, HEIGHT)
    write_polygons(root / "slides.gpkg", [to_metres(ring) for ring in RINGS])
    return root


def cut_it(world: Path, out: Path, **flags: Any) -> Outcome:
    values = {
        "scene": str(world / "scene.tif"),
        "polygons": str(world / "slides.gpkg"),
        "tile_size": SIZE,
        **flags,
    }
    return cut_scene(TileConfig(out=str(out), **values))


def tiles(out: Path, split: str = "train") -> dict[tuple[int, int], tuple[np.ndarray, np.ndarray | None]]:
    """Image and mask of every tile by its first column and row in the scene."""
    found = {}
    for path in (out / split / "images").iterdir():
        transform = transform_of(path)
        col, row = (transform[0] - TRANSFORM[0]) / 232.0, (TRANSFORM[3] - transform[3]) / 232.0
        assert abs(col - round(col)) < 1e-6 and abs(row - round(row)) < 1e-6
        mask = out / split / "masks" / path.name
        if mask.exists():
            assert transform_of(mask) == transform
        found[round(col), round(row)] = read(path), read(mask) if mask.exists() else None
    return found


@pytest.mark.parametrize(
    ("flags", "columns", "rows"),
    [
        ({}, (0, 32, 64, 68), (0, 32, 38)),
        ({"edge": "drop"}, (0, 32, 64), (0, 32)),
        ({"stride": 20}, (0, 20, 40, 60, 68), (0, 20, 38)),
    ],
)
def test_tiles_are_slices_of_the_scene_and_of_the_whole_mask(
    flags: dict[str, Any], columns: tuple[int, ...], rows: tuple[int, ...], world: Path, tmp_path: Path
) -> None:
    scene, mask = read(world / "scene.tif"), rasterised(world / "slides.gpkg", WIDTH, HEIGHT)
    outcome = cut_it(world, tmp_path / "raw", **flags)
    found = tiles(tmp_path / "raw")
    assert set(found) == {(col, row) for col in columns for row in rows}
    assert outcome.written == len(found)
    for (col, row), (image, label) in found.items():
        np.testing.assert_array_equal(image, scene[:, row : row + SIZE, col : col + SIZE])
        np.testing.assert_array_equal(label, mask[row : row + SIZE, col : col + SIZE])
    assert outcome.foreground == sum(int(label.sum()) for _, label in found.values() if label is not None)
    assert outcome.foreground > 0


def test_files_are_in_the_challenges_form(world: Path, tmp_path: Path) -> None:
    cut_it(world, tmp_path / "raw", split="isolated")
    names = sorted(path.name for path in (tmp_path / "raw/isolated/images").iterdir())
    assert names[0] == "col00000_row00000.tif" and names[-1] == "col00003_row00002.tif"
    image = gdal.Open(str(tmp_path / "raw/isolated/images/col00001_row00001.tif"))
    assert image.RasterCount == 7 and image.GetRasterBand(1).DataType == gdal.GDT_Float32
    assert image.GetMetadataItem("COMPRESSION", "IMAGE_STRUCTURE") == "LZW"
    assert image.GetRasterBand(1).GetNoDataValue() is None
    assert same_crs(image.GetProjection(), WKT)
    mask = gdal.Open(str(tmp_path / "raw/isolated/masks/col00001_row00001.tif"))
    assert mask.GetRasterBand(1).DataType == gdal.GDT_Byte and mask.GetRasterBand(1).GetNoDataValue() == 0


def test_without_polygons_there_are_images_only(world: Path, tmp_path: Path) -> None:
    outcome = cut_it(world, tmp_path / "raw", polygons="")
    assert [path.name for path in (tmp_path / "raw/train").iterdir()] == ["images"]
    assert outcome.written == 12 and outcome.polygons is None


def test_band_order_from_the_flag_and_from_descriptions(tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "scene.tif", 40, 40)
    shuffled = [3, 5, 0, 6, 2, 1, 4]
    names = [ORDER[index] for index in shuffled]
    write(tmp_path / "described.tif", scene[shuffled], names=names)
    write(tmp_path / "plain.tif", scene[shuffled])
    for name, order in (("described", ""), ("plain", ",".join(names))):
        out = tmp_path / name
        cut_it(tmp_path, out, scene=str(tmp_path / f"{name}.tif"), polygons="", order=order, edge="drop")
        np.testing.assert_array_equal(tiles(out)[0, 0][0], scene[:, :SIZE, :SIZE])


def test_nodata_is_marked_and_tiles_with_little_data_are_left_out(tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "clean.tif", 96, 32)
    scene[2, :, :8] = -3.4e38  # untagged nodata in the first tile: 24 of 32 columns have data
    scene[4, :, 32:52] = np.nan  # 12 of 32 columns have data
    scene[0, :5, 70] = np.inf
    write(tmp_path / "scene.tif", scene)
    outcome = cut_it(tmp_path, tmp_path / "raw", polygons="")
    found = tiles(tmp_path / "raw")
    assert set(found) == {(0, 0), (64, 0)} and outcome.too_empty == 1
    expected = np.where(np.isfinite(scene) & (np.abs(scene) < 1e30), scene, NODATA)
    np.testing.assert_array_equal(found[0, 0][0], expected[:, :, :32])
    np.testing.assert_array_equal(found[64, 0][0], expected[:, :, 64:])
    assert "1 with data in all bands on less than 50%" in summary(TileConfig(scene="s", out="o"), outcome)
    assert cut_it(tmp_path, tmp_path / "all", polygons="", min_valid=0.3).written == 3
    with pytest.raises(InputError, match=r"(?s)found 3 with too little.*Lower --min_valid=1.0"):
        cut_it(tmp_path, tmp_path / "strict", polygons="", min_valid=1.0)
    assert not (tmp_path / "strict").exists()


def test_the_files_own_nodata_tag_counts(tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "clean.tif", 32, 32)
    scene[3, 4:6, 7] = 77.0
    write(tmp_path / "scene.tif", scene, nodata=77.0)
    cut_it(tmp_path, tmp_path / "raw", polygons="")
    image = tiles(tmp_path / "raw")[0, 0][0]
    np.testing.assert_array_equal(image, np.where(scene == 77.0, NODATA, scene))
    assert (image[3, 4:6, 7] == NODATA).all()


def test_rescaling_brings_back_raw_values_and_leaves_nodata(tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "clean.tif", 32, 32)
    stored = scene.copy()
    stored[2] /= 1000.0
    stored[4] = (stored[4] - 10.0) / 240.0
    stored[4, 3, 3] = NODATA
    write(tmp_path / "scene.tif", stored)
    cut_it(tmp_path, tmp_path / "raw", polygons="", rescale="dem=1000,0; red=240,10")
    image = tiles(tmp_path / "raw")[0, 0][0]
    assert image[4, 3, 3] == NODATA
    image[4, 3, 3] = scene[4, 3, 3]
    np.testing.assert_allclose(image, scene, rtol=1e-5, atol=1e-3)


def test_overwriting_replaces_the_split_and_only_it(world: Path, tmp_path: Path) -> None:
    out = tmp_path / "raw"
    cut_it(world, out)
    cut_it(world, out, split="val", edge="drop")
    cut_it(world, out, edge="drop", overwrite=True)
    assert len(list((out / "train/images").iterdir())) == 6
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw"]
    assert sorted(path.name for path in out.iterdir()) == ["train", "val"]


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError, RuntimeError])
def test_an_interrupted_cut_leaves_nothing(
    failure: type[BaseException], world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_one, calls = cut.write_geotiff, []

    def fail_later(*arguments: Any, **named: Any) -> None:
        calls.append(arguments)
        if len(calls) > 7:
            raise failure("now")
        write_one(*arguments, **named)

    monkeypatch.setattr(cut, "write_geotiff", fail_later)
    with pytest.raises(failure):
        cut_it(world, tmp_path / "raw")
    assert list(tmp_path.iterdir()) == []


def test_the_summary_says_what_happened(world: Path, tmp_path: Path) -> None:
    config = TileConfig(
        scene=str(world / "scene.tif"), polygons=str(world / "slides.gpkg"), out=str(tmp_path / "raw"),
        tile_size=SIZE, edge="drop",
    )  # fmt: skip
    outcome = cut_scene(config)
    lines = summary(config, outcome)
    assert "6 tiles of 32 x 32 written (images and masks)" in lines
    assert f"{outcome.foreground / (6 * SIZE * SIZE):.2%} of the pixels; 3 of 3 polygons" in lines
    assert "4 columns and 6 rows of pixels at the edges" in lines
