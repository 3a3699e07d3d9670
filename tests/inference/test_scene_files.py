"""Scenes as users have them: one raster, tiles, a file a band; with what GDAL and `stack` make of the same files."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from map_world import NODATA, ORDER, TRANSFORM, WKT, moved, read, scene_pixels, write_raster
from osgeo import gdal

from mmls_tf.errors import InputError, MmlsError, UsageError
from mmls_tf.raster import map_scene
from mmls_tf.raster.geotiff import same_crs
from mmls_tf.raster.map_scene import MapScene, open_scene_files
from mmls_tf.raster.scene_files import find_scene
from mmls_tf.raster.windows import Window
from tfrecords_builder.stack.config import StackConfig
from tfrecords_builder.stack.stack import make_mosaic

GTIFF = ("GTiff",)


def opened(scene: object, order: tuple[str, ...] = (), resample: bool = False) -> MapScene:
    return open_scene_files(find_scene(str(scene), GTIFF), order, GTIFF, resample)


def everything(scene: MapScene) -> np.ndarray:
    return scene.read(Window(0, 0, scene.width, scene.height))


def by_windows(scene: MapScene, side: int) -> np.ndarray:
    """The same read in small windows, some of which reach beyond the scene."""
    result = np.zeros((7, scene.height, scene.width), np.float32)
    for row in range(0, scene.height, side):
        for col in range(0, scene.width, side):
            part = scene.read(Window(col, row, side, side))
            height, width = min(side, scene.height - row), min(side, scene.width - col)
            assert (part[:, height:] == NODATA).all()
            assert (part[:, :, width:] == NODATA).all()
            result[:, row : row + height, col : col + width] = part[:, :height, :width]
    return result


def test_one_raster_is_read_as_it_is(scene_file: Path, pixels: np.ndarray) -> None:
    scene = opened(scene_file)
    np.testing.assert_array_equal(everything(scene), pixels)
    assert scene.grid is not None
    assert scene.grid.geotransform == TRANSFORM
    assert same_crs(scene.grid.crs_wkt, WKT)
    assert scene.files == (str(scene_file),)


def test_threads_take_turns_since_a_dataset_of_gdal_serves_one_at_a_time(
    scene_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene, inside, most = opened(scene_file), [0], [0]

    def slow(dataset: object, window: Window, outside: float) -> np.ndarray:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        time.sleep(0.005)
        inside[0] -= 1
        return np.zeros((7, window.height, window.width), np.float32)

    monkeypatch.setattr(map_scene, "read_window", slow)
    with ThreadPoolExecutor(4) as threads:
        read_all = list(threads.map(scene.read, [Window(0, 0, 4, 4)] * 12))
    assert len(read_all) == 12
    assert most == [1]


def test_descriptions_or_the_flag_tell_another_order_of_bands(pixels: np.ndarray, tmp_path: Path) -> None:
    turned = ORDER[::-1]
    told = write_raster(tmp_path / "told.tif", pixels[::-1], names=turned)
    mute = write_raster(tmp_path / "mute.tif", pixels[::-1])
    np.testing.assert_array_equal(everything(opened(told)), pixels)
    np.testing.assert_array_equal(everything(opened(mute, turned)), pixels)


def test_a_raster_may_lack_bands_if_its_descriptions_say_so(pixels: np.ndarray, tmp_path: Path) -> None:
    scene = opened(write_raster(tmp_path / "six.tif", pixels[:6], names=ORDER[:6]))
    np.testing.assert_array_equal(everything(scene)[:6], pixels[:6])
    assert (everything(scene)[6] == NODATA).all()


def test_the_nodata_tag_of_a_file_counts(pixels: np.ndarray, tmp_path: Path) -> None:
    scene = opened(write_raster(tmp_path / "tagged.tif", pixels, nodata=100.0))
    np.testing.assert_array_equal(everything(scene), np.where(pixels == 100.0, NODATA, pixels))


def cut(pixels: np.ndarray, folder: Path) -> Path:
    """Tiles of 32 pixels with a gap at the upper right and an overlap at the right."""
    for row, col in ((0, 0), (0, 32), (32, 0), (32, 32), (32, 64), (32, 68)):
        tile = pixels[:, row : row + 32, col : col + 32]
        write_raster(folder / f"{row}_{col}.tif", tile, moved(col, row))
    return folder


@pytest.mark.parametrize("inside", ["", "images"])
def test_a_folder_of_tiles_is_joined_by_georeference_with_gaps_as_nodata(
    pixels: np.ndarray, tmp_path: Path, inside: str
) -> None:
    cut(pixels, tmp_path / "tiles" / inside)
    scene = opened(tmp_path / "tiles")
    expected = pixels[:, :64].copy()
    expected[:, :32, 64:] = NODATA
    np.testing.assert_array_equal(everything(scene), expected)
    np.testing.assert_array_equal(by_windows(scene, 24), expected)
    assert scene.grid is not None
    assert scene.grid.geotransform == TRANSFORM
    assert len(scene.files) == 6


def test_rasters_joined_by_commas_are_one_scene(pixels: np.ndarray, tmp_path: Path) -> None:
    west = write_raster(tmp_path / "west.tif", pixels[:, :, :50])
    east = write_raster(tmp_path / "east.tif", pixels[:, :, 50:], moved(50, 0))
    np.testing.assert_array_equal(everything(opened(f"{east}, {west}")), pixels)


@pytest.fixture
def singles(pixels: np.ndarray, tmp_path: Path) -> Callable[..., dict[str, str]]:
    """A file a band, colours in one of three bands, the gray one on finer pixels of its own."""

    def write(*without: str) -> dict[str, str]:
        finer = (TRANSFORM[0] - 300.0, 100.0, 0.0, TRANSFORM[3] + 300.0, 0.0, -100.0)
        gray = np.random.default_rng(0).integers(1, 255, (200, 260)).astype(np.float32)
        colours = write_raster(tmp_path / "colours.tif", pixels[4:7])
        paths = {name: f"{colours}:{index}" for index, name in enumerate(ORDER[4:7], 1)}
        paths["gray"] = str(write_raster(tmp_path / "gray.tif", gray, finer))
        for name in ("dem", "slope", "thermal_inertia"):
            paths[name] = str(write_raster(tmp_path / f"{name}.tif", pixels[ORDER.index(name)]))
        return {name: path for name, path in paths.items() if name not in without}

    return write


@pytest.mark.parametrize("without", [(), ("slope",)], ids=["all", "slope derived"])
def test_a_file_a_band_is_what_stack_makes_of_them(
    singles: Callable[..., dict[str, str]], tmp_path: Path, without: tuple[str, ...]
) -> None:
    paths = singles(*without)
    make_mosaic(StackConfig(out=str(tmp_path / "mosaic.tif"), **paths))
    scene = opened(",".join(f"{name}={path}" for name, path in paths.items()))
    expected = read(tmp_path / "mosaic.tif")
    np.testing.assert_array_equal(everything(scene), expected)
    np.testing.assert_array_equal(by_windows(scene, 40), expected)
    assert scene.grid is not None
    assert scene.grid.geotransform == TRANSFORM
    assert len(scene.files) == 5 - len(without)


def test_bands_that_are_not_given_have_no_data(singles: Callable[..., dict[str, str]]) -> None:
    paths = singles("gray", "thermal_inertia")
    found = everything(opened(",".join(f"{name}={path}" for name, path in paths.items())))
    empty = [name for name, plane in zip(ORDER, found, strict=True) if (plane == NODATA).all()]
    assert empty == ["thermal_inertia", "gray"]


def test_pixels_of_another_size_are_refused_with_both_figures_or_resampled_as_gdalwarp_does(
    tmp_path: Path,
) -> None:
    fine = scene_pixels(120, 150)
    transform = (TRANSFORM[0], 116.0, 0.0, TRANSFORM[3], 0.0, -116.0)
    path = write_raster(tmp_path / "fine.tif", fine, transform)
    with pytest.raises(
        UsageError, match=r"fine.tif: expected pixels of 232 m.*found 116 x 116 m; --resample"
    ):
        opened(path)
    scene = opened(path, resample=True)
    assert (scene.height, scene.width, scene.resampled_from_m) == (60, 75, 116.0)
    expected = gdal.Warp(
        "", str(path), format="MEM", xRes=232, yRes=232, resampleAlg="bilinear", dstNodata=float(NODATA)
    )
    assert scene.grid is not None
    assert scene.grid.geotransform == expected.GetGeoTransform()
    np.testing.assert_allclose(everything(scene), expected.ReadAsArray(), rtol=1e-5, atol=1e-3)


def test_a_scene_without_georeference_has_no_grid(pixels: np.ndarray, tmp_path: Path) -> None:
    scene = opened(write_raster(tmp_path / "bare.tif", pixels, transform=None))
    assert scene.grid is None
    np.testing.assert_array_equal(everything(scene), pixels)


MOON = WKT.replace("3396190", "1737400").replace("Mars", "Moon")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p, d: d / "absent.tif", r"absent.tif: expected a raster.*found no such file"),
        (lambda p, d: write_raster(d / "three.tif", p[:3]), r"three.tif: expected 7 bands .*found 3"),
        (
            lambda p, d: write_raster(d / "moon.tif", p, wkt=MOON),
            r"moon.tif: expected a CRS on Mars \(radius 3396.2 km\), found .*1737.4 km",
        ),
        (
            lambda p, d: write_raster(d / "page.tif", p[0, :50, :7], transform=None),
            r"page.tif: expected a raster of the 7 bands, found .*public release.*mmls_tf.submit",
        ),
        (
            lambda p, d: write_raster(d / "unnamed.tif", p, wkt=""),
            r"unnamed.tif: expected a coordinate reference system, found none",
        ),
        (
            lambda p, d: write_raster(d / "turned.tif", p, (0.0, 200.0, 100.0, 0.0, 100.0, -200.0)),
            r"turned.tif: expected rows from west to east",
        ),
        (lambda p, d: (d / "empty").mkdir() or d / "empty", r"--scene=.*empty: expected tiles, \*.tif"),
        (lambda p, d: f"dem={d / 'x.tif'},{d / 'y.tif'}", r"--scene: expected NAME=PATH for every file"),
        (lambda p, d: f"dem={d / 'x.tif'},dem={d / 'y.tif'}", r"expected each band once, found dem twice"),
        (
            lambda p, d: f"red={write_raster(d / 'many.tif', p)}",
            r"red=.*many.tif: expected the number of one of its 7 bands, as in .*many.tif:1; found none",
        ),
        (
            lambda p, d: f"red={write_raster(d / 'many.tif', p)}:8",
            r"many.tif: expected a band 8 for --scene: red, found 7 bands",
        ),
        (
            lambda p, d: f"dem={write_raster(d / 'bare.tif', p[2], transform=None)}",
            r"bare.tif: expected a georeferenced raster",
        ),
    ],
)
def test_what_cannot_be_a_scene_is_said_in_one_message(
    make: Callable[[np.ndarray, Path], object], message: str, pixels: np.ndarray, tmp_path: Path
) -> None:
    with pytest.raises(MmlsError, match=message):
        opened(make(pixels, tmp_path))


def test_tiles_that_do_not_fit_are_named(pixels: np.ndarray, tmp_path: Path) -> None:
    folder = tmp_path / "tiles"
    write_raster(folder / "a.tif", pixels[:, :32, :32])
    write_raster(folder / "b.tif", pixels[:, :32, 32:64], (TRANSFORM[0] + 77.0, *moved(0, 0)[1:]))
    with pytest.raises(InputError, match=r"b.tif: expected the pixels of .*a.tif"):
        opened(folder)
    write_raster(folder / "b.tif", pixels[:5, :32, 32:64], moved(32, 0), names=ORDER[:5])
    with pytest.raises(InputError, match=r"b.tif: expected bands .*as .*a.tif has them, found thermal"):
        opened(folder)
