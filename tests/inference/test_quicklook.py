"""The quick-look: its relief is GDAL's, its landslides lie where the mask says, its edges say where that is."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inventory_world import base_map_of, blobs, grid_of_size, memory_scene, write_bytes
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.lines import Line2D
from matplotlib.text import Text
from osgeo import gdal, osr
from scipy import ndimage

from mmls_tf.inference import base_map
from mmls_tf.inference.quicklook import painted, round_length, write_quicklook
from mmls_tf.raster import overview
from mmls_tf.raster.graticule import degree_extent, degree_text, ground_width_m
from mmls_tf.raster.grid import Grid
from mmls_tf.raster.map_scene import MapScene
from mmls_tf.raster.mars import MARS_WKT
from mmls_tf.raster.nodata import NODATA
from mmls_tf.raster.raster import RasterError

gdal.UseExceptions()
osr.UseExceptions()
COLOURS = ("red", "green", "blue")


def relief(height: int, width: int, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(height, width))
    return np.asarray(4000.0 * ndimage.gaussian_filter(noise, 4, mode="wrap"), np.float32)


def scene_of(dem: np.ndarray) -> MapScene:
    return memory_scene(grid_of_size(*dem.shape), {"dem": dem})


def mask_of(folder: Path, values: np.ndarray) -> Path:
    return write_bytes(folder / "mask.tif", values.astype(np.uint8), grid_of_size(*values.shape))


def by_gdaldem(folder: Path, dem: np.ndarray, pixel_m: float) -> np.ndarray:
    """What the command `gdaldem hillshade` makes of an elevation."""
    source, target = folder / "dem.tif", folder / "shade.tif"
    dataset = gdal.GetDriverByName("GTiff").Create(str(source), *dem.shape[::-1], 1, gdal.GDT_Float32)
    dataset.SetGeoTransform((0, pixel_m, 0, 0, 0, -pixel_m))
    dataset.GetRasterBand(1).SetNoDataValue(float(NODATA))
    dataset.WriteArray(dem[None])
    del dataset  # closes the file
    words = [
        "gdaldem",
        "hillshade",
        str(source),
        str(target),
        "-z",
        str(base_map.EXAGGERATION),
        "-compute_edges",
    ]
    subprocess.run([*words, "-q"], check=True)
    return gdal.Open(str(target)).ReadAsArray()


def draw(scene: MapScene, mask: Path, target: Path) -> None:
    write_quicklook(base_map_of(scene, mask), scene.grid, target)


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are saved."""
    kept: list[Figure] = []
    save = Figure.savefig

    def keep(figure: Figure, *args: Any, **named: Any) -> None:
        kept.append(figure)
        save(figure, *args, **named)

    monkeypatch.setattr(Figure, "savefig", keep)
    return kept


def words_of(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def test_the_relief_is_that_of_gdaldem(tmp_path: Path) -> None:
    dem = relief(60, 90)
    dem[20:25, 30:40] = NODATA
    base = base_map_of(scene_of(dem), mask_of(tmp_path, np.zeros((60, 90))), 100)
    expected = by_gdaldem(tmp_path, dem, 232.0)
    assert base.ground.std() > 20
    np.testing.assert_array_equal(base.ground, expected)
    np.testing.assert_array_equal(base.known, dem != NODATA)


def test_a_reduced_relief_is_that_of_mean_elevations(tmp_path: Path) -> None:
    dem = relief(60, 90)
    base = base_map_of(scene_of(dem), mask_of(tmp_path, np.zeros((60, 90))), 30)
    assert (base.cells.factor, base.cells.rows, base.cells.columns) == (3, 20, 30)
    means = dem.reshape(20, 3, 30, 3).mean(axis=(1, 3), dtype=np.float64).astype(np.float32)
    expected = by_gdaldem(tmp_path, means, 3 * 232.0)
    assert np.abs(base.ground.astype(int) - expected).max() <= 1


def test_cells_are_means_of_data_whatever_the_windows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dem = relief(47, 61)
    dem[np.random.default_rng(1).random(dem.shape) < 0.3] = NODATA
    dem[:10, :10] = NODATA
    scene, mask = scene_of(dem), blobs(47, 61, 2)
    mask[30:, 40:] = 255
    path = mask_of(tmp_path, mask)
    cells = overview.cells_of(scene, 16)
    assert (cells.factor, cells.rows, cells.columns) == (4, 12, 16)
    padded = np.full((48, 64), np.nan)
    padded[:47, :61] = np.where(dem == NODATA, np.nan, dem)
    groups = padded.reshape(12, 4, 16, 4).swapaxes(1, 2).reshape(12, 16, 16)
    shares = np.full((48, 64), np.nan)
    shares[:47, :61] = np.where(mask == 255, np.nan, mask)
    for window in (1024, 8, 4):
        monkeypatch.setattr(overview, "_WINDOW_PX", window)
        (found,) = overview.band_overview(scene, ["dem"], cells)
        known = ~np.isnan(groups).all(axis=-1)
        np.testing.assert_array_equal(~np.isnan(found), known)
        np.testing.assert_allclose(found[known], np.nanmean(groups[known], axis=-1), rtol=1e-5, atol=1e-3)
        share = overview.share_overview(path, scene, cells)
        blocks = shares.reshape(12, 4, 16, 4).swapaxes(1, 2).reshape(12, 16, 16)
        there = ~np.isnan(blocks).all(axis=-1)
        np.testing.assert_array_equal(~np.isnan(share), there)
        np.testing.assert_allclose(share[there], np.nanmean(blocks[there], axis=-1), atol=1e-6)


def test_no_more_than_a_window_is_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "_WINDOW_PX", 32)
    sizes = []
    read = MapScene.read
    monkeypatch.setattr(
        MapScene,
        "read",
        lambda scene, window: sizes.append((window.width, window.height)) or read(scene, window),
    )
    base_map_of(scene_of(relief(90, 130)), mask_of(tmp_path, np.zeros((90, 130))), 20)
    assert len(sizes) > 10
    assert np.max(sizes) <= 32


def test_landslides_are_tinted_and_what_has_no_data_is_transparent(tmp_path: Path) -> None:
    dem = relief(40, 50)
    dem[:5] = NODATA
    mask = np.zeros((40, 50), np.uint8)
    mask[10:20, 15:30], mask[:, 45:] = 1, 255
    base = base_map_of(scene_of(dem), mask_of(tmp_path, mask), 100)
    picture = painted(base).astype(int)
    np.testing.assert_array_equal(picture[..., 3] > 0, (mask != 255) & (dem != NODATA))
    orange = picture[..., 0] - picture[..., 2] > 40
    np.testing.assert_array_equal(orange, mask == 1)
    gray = (mask == 0) & (dem != NODATA)
    np.testing.assert_array_equal(picture[gray][:, :3], base.ground[gray][:, None].repeat(3, axis=1))


def test_the_file_shows_a_landslide_in_its_size_and_place(tmp_path: Path) -> None:
    scene, empty = scene_of(relief(60, 100)), np.zeros((60, 100), np.uint8)
    slide = empty.copy()
    slide[10:20, 30:60] = 1
    pictures = []
    for mask in (empty, slide):
        draw(scene, mask_of(tmp_path, mask), tmp_path / "quicklook.png")
        pictures.append(imread(tmp_path / "quicklook.png"))
    changed = np.abs(pictures[0] - pictures[1]).max(axis=-1) > 0.1
    changed &= ndimage.binary_opening(changed, iterations=30)
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    assert abs(np.ptp(rows) + 1 - 90) <= 4  # nine pixels a cell
    assert abs(np.ptp(columns) + 1 - 270) <= 4
    height, width = changed.shape
    assert rows[0] < height - rows[-1]  # it lies in the north
    assert abs((columns[0] + columns[-1]) / 2 / width - 0.45) < 0.05


def test_the_edges_and_the_bar_say_where_and_how_large(tmp_path: Path, figures: list[Figure]) -> None:
    scene = scene_of(relief(250, 400))
    draw(scene, mask_of(tmp_path, np.zeros((250, 400))), tmp_path / "quicklook.png")
    words = words_of(figures[0])
    assert {"longitude", "latitude", "N \N{UPWARDS ARROW}", "Predicted landslides"} <= set(words)
    assert "87\N{DEGREE SIGN} W" in words
    assert "14\N{DEGREE SIGN} N" in words
    (axes,) = figures[0].axes
    assert scene.grid is not None
    degree_m = np.pi * 3396190 / 180
    ticks = {
        tick.get_text(): place for tick, place in zip(axes.get_xticklabels(), axes.get_xticks(), strict=True)
    }
    expected = (-87 * degree_m - scene.grid.geotransform[0]) / 232.0
    assert ticks["87\N{DEGREE SIGN} W"] == pytest.approx(expected, abs=0.01)
    (length,) = (float(word.removesuffix(" km")) for word in words if word.endswith(" km"))
    (bar,) = (line for line in figures[0].findobj(Line2D) if line.get_transform() is figures[0].transFigure)
    share = np.ptp(np.asarray(bar.get_xdata(), float)) / axes.get_position().width
    middle = np.radians((scene.grid.geotransform[3] - 125 * 232.0) / degree_m)
    assert share * 400 * 232.0 * np.cos(middle) / 1000.0 == pytest.approx(length, rel=1e-3)


def test_a_scene_without_georeference_has_no_bar_and_says_pixels(
    tmp_path: Path, figures: list[Figure]
) -> None:
    scene = replace(scene_of(relief(60, 90)), grid=None)
    draw(scene, mask_of(tmp_path, np.zeros((60, 90))), tmp_path / "quicklook.png")
    words = words_of(figures[0])
    assert "column (pixels; no georeference)" in words
    assert not [word for word in words if "km" in word or "\N{UPWARDS ARROW}" in word]


@pytest.mark.parametrize(
    ("names", "subject", "coloured"),
    [
        (COLOURS, "red, green, blue", True),
        (("gray", "red"), "gray band", False),
        (("slope",), "slope", False),
    ],
)
def test_without_an_elevation_other_bands_are_drawn(
    tmp_path: Path, names: tuple[str, ...], subject: str, coloured: bool
) -> None:
    rng = np.random.default_rng(3)
    bands = {name: rng.uniform(0, 200, (40, 50)) for name in names}
    scene = memory_scene(grid_of_size(40, 50), bands, names)
    base = base_map_of(scene, mask_of(tmp_path, np.ones((40, 50))), 100)
    assert (base.subject, base.in_colours) == (subject, coloured)
    picture = painted(base).astype(int)
    bluer = (picture[..., 2] > picture[..., 0]).mean()
    assert bluer > 0.6 if coloured else bluer < 0.1


def test_an_elevation_without_data_counts_as_none(tmp_path: Path) -> None:
    bands = {"dem": np.full((40, 50), NODATA), "gray": np.random.default_rng(0).uniform(0, 200, (40, 50))}
    scene = memory_scene(grid_of_size(40, 50), bands, ("dem", "gray"))
    assert base_map_of(scene, mask_of(tmp_path, np.zeros((40, 50))), 100).subject == "gray band"


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (300, 2), (50, 5000)])
def test_any_size_gives_a_picture_of_bounded_size(tmp_path: Path, size: tuple[int, int]) -> None:
    mask = np.ones(size, np.uint8)
    mask[0, 0] = 255
    draw(scene_of(relief(*size)), mask_of(tmp_path, mask), tmp_path / "quicklook.png")
    height, width = imread(tmp_path / "quicklook.png").shape[:2]
    assert max(height, width) <= 2000
    assert min(height, width) >= 400
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mask.tif", "quicklook.png"]


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RasterError, match="expected 60 x 90 pixels, as the scene has, found 60 x 91"):
        draw(scene_of(relief(60, 90)), mask_of(tmp_path, np.zeros((60, 91))), tmp_path / "q.png")


def test_degrees_are_given_where_meridians_and_parallels_are_straight() -> None:
    grid = grid_of_size(100, 200)
    degree_m = np.pi * 3396190 / 180
    expected = np.array(grid.extent) / degree_m
    np.testing.assert_allclose(degree_extent(grid), expected, atol=1e-9)
    assert ground_width_m(grid) == pytest.approx(232.0 * np.cos(np.radians(expected[[1, 3]].mean())))
    polar = osr.SpatialReference()
    polar.SetProjCS("Mars north pole")
    polar.CopyGeogCSFrom(osr.SpatialReference(wkt=MARS_WKT))
    polar.SetPS(90.0, 0.0, 1.0, 0.0, 0.0)
    bent = Grid((100000.0, 232.0, 0.0, 900000.0, 0.0, -232.0), 300, 300, polar.ExportToWkt())
    assert degree_extent(bent) is None
    assert ground_width_m(bent) == 232.0
    geographic = osr.SpatialReference(wkt=MARS_WKT).CloneGeogCS().ExportToWkt()
    degrees = Grid((-60.0, 0.004, 0.0, -10.0, 0.0, -0.004), 100, 50, geographic)
    assert degree_extent(degrees) == degrees.extent


def test_numbers_are_written_for_people() -> None:
    texts = [degree_text(*one) for one in ((-60.5, "EW"), (7.25, "NS"), (0.0, "EW"), (-0.12345, "NS", 2))]
    assert texts == ["60.5° W", "7.25° N", "0°", "0.12° S"]
    assert [round_length(most) for most in (0.97, 1.0, 4.9, 70.0, 999.0)] == [0.5, 1.0, 2.0, 50.0, 500.0]
