"""Stacking: what GDAL's own tools make of the whole, made window by window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from osgeo import gdal
from own_world import (
    LONLAT_WKT,
    METRES_PER_DEGREE,
    NODATA,
    ORDER,
    TRANSFORM,
    WKT,
    memory,
    read,
    relief,
    scene_bands,
    transform_of,
    write,
    write_scene,
)

from mmls_tf.raster.geotiff import same_crs
from tfrecords_builder.stack import stack
from tfrecords_builder.stack.config import StackConfig
from tfrecords_builder.stack.stack import Outcome, make_mosaic
from tfrecords_builder.stack.summary import summary

WIDTH, HEIGHT = 90, 60
WEST, NORTH = TRANSFORM[0], TRANSFORM[3]


def stretched(pixel: float, by: float = 3000.0) -> tuple[float, ...]:
    """The geotransform of a raster that reaches `by` metres beyond the scene's upper-left corner."""
    return (WEST - by, pixel, 0.0, NORTH + by, 0.0, -pixel)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A DEM on the scene's grid; colour in degrees, thermal inertia at 100 m, gray coarse and with a gap."""
    root, rng = tmp_path_factory.mktemp("sources"), np.random.default_rng(5)
    write(root / "dem.tif", relief(WIDTH, HEIGHT, 2), kind=gdal.GDT_Int16, nodata=-32768)
    degrees = tuple(value / METRES_PER_DEGREE for value in stretched(185.0))
    colour = rng.integers(30, 220, (3, 130, 160))
    write(root / "colour.tif", colour, degrees, LONLAT_WKT, kind=gdal.GDT_Byte)
    write(
        root / "inertia.tif", rng.integers(1, 254, (220, 280)), stretched(100.0), kind=gdal.GDT_Byte, nodata=0
    )
    gray = rng.integers(1, 255, (40, 50)).astype(np.float32)
    gray[15:22, 20:30] = NODATA  # without a tag
    write(root / "gray.tif", gray, stretched(701.0))
    return {
        "dem": str(root / "dem.tif"),
        **{name: f"{root / 'colour.tif'}:{band}" for band, name in enumerate(("red", "green", "blue"), 1)},
        "thermal_inertia": str(root / "inertia.tif"),
        "gray": str(root / "gray.tif"),
    }


def stack_it(out: Path, sources: dict[str, str], **flags: Any) -> tuple[np.ndarray, Outcome]:
    outcome = make_mosaic(StackConfig(out=str(out), **{**sources, **flags}))
    return read(out), outcome


def warped(
    text: str, transform: tuple[float, ...], width: int, height: int, how: str, **more: Any
) -> np.ndarray:
    """One band by `gdal.Warp` over the whole grid, nodata as -3.4e38."""
    path, _, band = text.rpartition(":") if text[-2] == ":" else (text, "", "1")
    single = gdal.Translate("", gdal.Open(path), format="MEM", bandList=[int(band)])
    west, across, _, north, _, down = transform
    return gdal.Warp(
        "", single, format="MEM", dstSRS=WKT, outputBounds=(west, north + height * down, west + width * across, north),
        width=width, height=height, resampleAlg=how, errorThreshold=0, outputType=gdal.GDT_Float32,
        dstNodata=float(NODATA), srcNodata=single.GetRasterBand(1).GetNoDataValue() or float(NODATA), **more,
    ).ReadAsArray()  # fmt: skip


@pytest.mark.parametrize("resampling", ["bilinear", "nearest", "cubic", "average"])
@pytest.mark.parametrize("windows", [(2048, 256), (17, 13)], ids=["one", "many"])
def test_every_band_is_what_gdalwarp_makes_of_the_whole(
    resampling: str,
    windows: tuple[int, int],
    sources: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stack, "_WINDOW_PX", windows)
    mosaic, outcome = stack_it(tmp_path / "mosaic.tif", sources, resampling=resampling)
    assert mosaic.shape == (7, HEIGHT, WIDTH)
    assert transform_of(tmp_path / "mosaic.tif") == TRANSFORM
    how = "near" if resampling == "nearest" else resampling
    for name, text in sources.items():
        found = mosaic[ORDER.index(name)]
        expected = warped(text, TRANSFORM, WIDTH, HEIGHT, how)
        np.testing.assert_array_equal(found == NODATA, expected == NODATA, err_msg=name)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3, err_msg=name)
        assert outcome.valid[name] == (expected != NODATA).mean()
    assert 0.5 < outcome.valid["gray"] < 1.0


def test_windows_and_whole_give_the_same_bits(
    sources: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = stack_it(tmp_path / "whole.tif", sources, pixel_m=150.0)
    monkeypatch.setattr(stack, "_WINDOW_PX", (19, 7))
    parts, _ = stack_it(tmp_path / "parts.tif", sources, pixel_m=150.0)
    np.testing.assert_array_equal(whole, parts)


@pytest.mark.parametrize("pixel_m", [0.0, 150.0, 500.0])
def test_slope_is_gdaldems_slope_of_the_whole_dem_band(
    pixel_m: float, sources: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack, "_WINDOW_PX", (19, 7))
    mosaic, _ = stack_it(tmp_path / "mosaic.tif", sources, pixel_m=pixel_m)
    transform = transform_of(tmp_path / "mosaic.tif")
    source = memory(mosaic[2], transform)
    source.GetRasterBand(1).SetNoDataValue(float(NODATA))
    expected = gdal.DEMProcessing("", source, "slope", format="MEM").ReadAsArray()
    assert (expected == -9999).sum() == 2 * sum(mosaic.shape[1:]) - 4, "the outermost pixels, no others"
    np.testing.assert_array_equal(mosaic[1], np.where(expected == -9999, NODATA, expected))


def test_a_hole_in_the_dem_is_a_larger_hole_in_the_slope(sources: dict[str, str], tmp_path: Path) -> None:
    dem = relief(WIDTH, HEIGHT, 2)
    dem[30, 40] = -32768
    path = write(tmp_path / "dem.tif", dem, kind=gdal.GDT_Int16, nodata=-32768)
    mosaic, _ = stack_it(tmp_path / "mosaic.tif", sources, dem=str(path))
    assert (mosaic[2, 30, 40] == NODATA) and (mosaic[2] == NODATA).sum() == 1
    assert (mosaic[1, 29:32, 39:42] == NODATA).all()
    assert (mosaic[1, 1:-1, 1:-1] == NODATA).sum() == 9


def test_a_slope_file_is_taken_as_it_is(sources: dict[str, str], tmp_path: Path) -> None:
    slope = np.random.default_rng(0).uniform(0, 60, (HEIGHT, WIDTH)).astype(np.float32)
    mosaic, _ = stack_it(tmp_path / "mosaic.tif", sources, slope=str(write(tmp_path / "slope.tif", slope)))
    np.testing.assert_array_equal(mosaic[1], slope)


def test_the_file_says_what_it_holds(sources: dict[str, str], tmp_path: Path) -> None:
    config = StackConfig(out=str(tmp_path / "new/mosaic.tif"), **sources)
    text = summary(config, make_mosaic(config))
    dataset = gdal.Open(str(tmp_path / "new/mosaic.tif"))
    bands = [dataset.GetRasterBand(index + 1) for index in range(7)]
    assert tuple(band.GetDescription() for band in bands) == ORDER
    assert {band.GetNoDataValue() for band in bands} == {float(NODATA)}
    assert {band.DataType for band in bands} == {gdal.GDT_Float32}
    assert same_crs(dataset.GetProjection(), WKT)
    assert f"{HEIGHT} rows x {WIDTH} columns, pixels of 232 metre" in text
    assert "slope       derived" in text and "dem 100.0%" in text


def test_the_grid_of_another_file(sources: dict[str, str], tmp_path: Path) -> None:
    like = write(tmp_path / "like.tif", np.zeros((30, 40), np.float32), stretched(500.0, -2000.0))
    mosaic, _ = stack_it(tmp_path / "mosaic.tif", sources, like=str(like), resampling="nearest")
    assert transform_of(tmp_path / "mosaic.tif") == stretched(500.0, -2000.0)
    np.testing.assert_array_equal(
        mosaic[2], warped(sources["dem"], stretched(500.0, -2000.0), 40, 30, "near")
    )


def test_a_dem_in_degrees_needs_pixels_in_metres(sources: dict[str, str], tmp_path: Path) -> None:
    pixel = 232.0 / METRES_PER_DEGREE
    transform = (WEST / METRES_PER_DEGREE, pixel, 0.0, NORTH / METRES_PER_DEGREE, 0.0, -pixel)
    dem = write(tmp_path / "dem.tif", relief(WIDTH, HEIGHT, 2), transform, LONLAT_WKT)
    with pytest.raises(Exception, match=r"--slope: .* in degrees.*--pixel_m=232"):
        stack_it(tmp_path / "mosaic.tif", sources, dem=str(dem))
    mosaic, outcome = stack_it(tmp_path / "mosaic.tif", sources, dem=str(dem), pixel_m=232.0)
    reference, _ = stack_it(tmp_path / "reference.tif", sources)
    assert mosaic.shape == reference.shape
    assert same_crs(outcome.grid.crs_wkt, gdal.Open(str(tmp_path / "reference.tif")).GetProjection())
    np.testing.assert_allclose(mosaic[2], reference[2], atol=0.01)
    np.testing.assert_allclose(mosaic[1][1:-1, 1:-1], reference[1][1:-1, 1:-1], atol=0.01)


def test_a_missing_crs_is_assumed_only_when_asked(sources: dict[str, str], tmp_path: Path) -> None:
    gray = np.random.default_rng(1).integers(1, 255, (HEIGHT, WIDTH)).astype(np.float32)
    path = str(write(tmp_path / "gray.tif", gray, wkt=""))
    with pytest.raises(
        Exception, match=r"gray.tif: expected a coordinate reference system, found none; --assume"
    ):
        stack_it(tmp_path / "mosaic.tif", sources, gray=path)
    mosaic, _ = stack_it(tmp_path / "mosaic.tif", sources, gray=path, assume_crs=True)
    np.testing.assert_array_equal(mosaic[3], gray)


def test_an_alpha_band_marks_what_has_no_data(sources: dict[str, str], tmp_path: Path) -> None:
    alpha = np.full((HEIGHT, WIDTH), 255)
    alpha[:, :20] = 0
    gray = np.random.default_rng(1).integers(1, 255, (HEIGHT, WIDTH))
    path = write(tmp_path / "gray.tif", np.stack([gray, alpha]), kind=gdal.GDT_Byte, options=["ALPHA=YES"])
    mosaic, _ = stack_it(tmp_path / "mosaic.tif", sources, gray=str(path))
    assert (mosaic[3, :, :20] == NODATA).all()
    np.testing.assert_array_equal(mosaic[3, :, 20:], gray[:, 20:])


def test_latitudes_of_another_kind_are_mentioned(sources: dict[str, str], tmp_path: Path) -> None:
    ellipsoid = WKT.replace('"Mars",3396190,0', '"Mars_2000_IAU_IAG",3396190,169.8944472')
    path = write(tmp_path / "gray.tif", np.ones((HEIGHT, WIDTH), np.float32), wkt=ellipsoid)
    _, outcome = stack_it(tmp_path / "mosaic.tif", sources, gray=str(path))
    assert len(outcome.notes) == 1 and "ellipsoid" in outcome.notes[0]
    assert stack_it(tmp_path / "plain.tif", sources)[1].notes == ()


def test_tiles_become_the_mosaic_they_were_cut_from(tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "scene.tif", 96, 64)
    for folder, (col, row) in zip("aabab", [(0, 0), (32, 0), (64, 32), (32, 20), (0, 32)], strict=True):
        (tmp_path / folder).mkdir(exist_ok=True)
        transform = (WEST + 232.0 * col, 232.0, 0.0, NORTH - 232.0 * row, 0.0, -232.0)
        write(tmp_path / folder / f"{col}_{row}.tif", scene[:, row : row + 32, col : col + 32], transform)
    make_mosaic(StackConfig(out=str(tmp_path / "mosaic.tif"), tiles=f"{tmp_path / 'a'},{tmp_path / 'b'}"))
    expected = scene.copy()
    expected[:, :32, 64:] = NODATA
    expected[:, 52:, 32:64] = NODATA
    np.testing.assert_array_equal(read(tmp_path / "mosaic.tif"), expected)
    assert transform_of(tmp_path / "mosaic.tif") == TRANSFORM


def test_an_interrupted_stack_leaves_nothing(
    sources: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack, "_WINDOW_PX", (32, 32))

    def fail(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(stack, "read_stacked", fail)
    with pytest.raises(KeyboardInterrupt):
        stack_it(tmp_path / "mosaic.tif", sources)
    assert list(tmp_path.iterdir()) == []


def test_the_references_slope_is_gdals() -> None:
    assert scene_bands(20, 20)["slope"].min() >= 0.0
