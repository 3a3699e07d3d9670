"""A scene to be mapped: one raster or many tiles joined, of all bands or some, on the pixels of training."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mmls_tf.bands import BAND_NAMES, BANDS
from mmls_tf.errors import UsageError
from mmls_tf.raster.band_stack import check_planet, open_band_files, read_stacked
from mmls_tf.raster.crs import describe, is_geographic, is_mars, metres_per_unit
from mmls_tf.raster.grid import Grid, grid_of, resized
from mmls_tf.raster.layouts import CHALLENGE
from mmls_tf.raster.mars import MARS_RADIUS_M, PIXEL_M
from mmls_tf.raster.mosaic import open_mosaic
from mmls_tf.raster.nodata import NODATA, marked
from mmls_tf.raster.opening import limit_cache, open_raster
from mmls_tf.raster.raster import FloatArray, RasterError
from mmls_tf.raster.scene_files import SceneFiles
from mmls_tf.raster.warp import open_warped
from mmls_tf.raster.windows import Window, read_window

_PIXEL_TOLERANCE = 0.01  # a tile of 128 pixels is then 1.3 pixels longer or shorter


@dataclass(frozen=True)
class MapScene:
    """An open scene, which several threads may read; they take turns, since a dataset of GDAL serves one at a time.

    Attributes:
      datasets: one GDAL dataset of all bands, or one a band where they are brought to another grid.
      grid: where its pixels lie; None where the file does not say.
      height, width: in pixels.
      order: canonical names of the bands that it has, in the order of the file.
      nodata: the file's nodata tag a band, in the order of the file.
      resampled_from_m: the pixel size of the file where pixels were brought to another, else None.
      files: that it is read from.
      notes: what cannot be told from the files, for the user.
      turn: held while a window is read.
    """

    datasets: tuple[Any, ...]
    grid: Grid | None
    height: int
    width: int
    order: tuple[str, ...]
    nodata: tuple[float | None, ...]
    resampled_from_m: float | None = None
    files: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    turn: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def read(self, window: Window) -> FloatArray:
        """Returns raw values in the challenge's band order, float32 [7, height, width], `NODATA` where missing.

        The window may reach beyond the scene.
        """
        with self.turn:
            return self._read(window)

    def _read(self, window: Window) -> FloatArray:
        outside = float(NODATA)
        parts = [read_window(dataset, window, outside) for dataset in self.datasets]
        pixels = marked(np.concatenate(parts) if len(parts) > 1 else parts[0], self.nodata)
        if self.order == CHALLENGE.order:
            return pixels
        result = np.full((len(BANDS), window.height, window.width), NODATA, np.float32)
        for place, name in enumerate(CHALLENGE.order):
            if name in self.order:
                result[place] = pixels[self.order.index(name)]
        return result


@dataclass(frozen=True)
class StackedScene(MapScene):
    """A scene with a file a band, brought onto the grid of the elevation; `datasets` and `order` go together.

    Where there is no file of the slope, it is that of the elevation.
    """

    def _read(self, window: Window) -> FloatArray:
        assert self.grid is not None
        return read_stacked(dict(zip(self.order, self.datasets, strict=True)), self.grid, window)


def open_scene_files(
    files: SceneFiles, order: Sequence[str] = (), drivers: Sequence[str] = ("GTiff",), resample: bool = False
) -> MapScene:
    """Opens the files of a scene, of which nothing is read yet; see `open_map_scene` and `open_bands`."""
    if not files.bands:
        return open_map_scene(files.rasters, order, drivers, resample)
    if order:
        raise UsageError("--order: expected none with a file a band, whose names say which is which")
    return open_bands(files.bands, drivers, resample)


def open_bands(
    bands: Mapping[str, str], drivers: Sequence[str] = ("GTiff",), resample: bool = False
) -> StackedScene:
    """Opens a file a band and brings all onto the grid of the elevation (bilinear), as `stack` does.

    Args:
      bands: `PATH` or `PATH:N` by canonical band name. Without elevation, the grid is that of the first band; without
        slope, it is that of the elevation.
      drivers: the only GDAL drivers that may open the files.
      resample: whether a grid of another pixel size than 232 m is brought to it.

    Raises:
      RasterError: a file cannot be opened, has no georeference or no such band, or lies elsewhere than on Mars.
      UsageError: pixels of another size, and `resample` is off; or no band number.
    """
    opened = open_band_files(bands, drivers, lambda name: f"--scene: {name}")
    main = opened.get("dem") or next(iter(opened.values()))
    grid = grid_of(main.dataset, main.path)
    notes = check_planet(opened, grid.crs_wkt, None, "`gdal_edit.py -a_srs` writes one into the file")
    limit_cache(*{file.path: file.dataset for file in opened.values()}.values())
    derived = "dem" in opened and "slope" not in opened
    target = _target_grid(main.path, grid, resample, must_be_metres=derived)
    warped = {
        name: open_warped(file.dataset, file.path, file.band, target, "bilinear")
        for name, file in opened.items()
    }
    return StackedScene(
        tuple(warped.values()),
        target,
        target.height,
        target.width,
        tuple(warped),
        tuple(tag for dataset in warped.values() for tag in _tags_of(dataset)),
        None if target is grid else pixel_metres_of(grid)[0],
        _files_of(*(file.dataset for file in opened.values())),
        notes,
    )


def open_map_scene(
    paths: Sequence[str | os.PathLike[str]],
    order: Sequence[str] = (),
    drivers: Sequence[str] = ("GTiff",),
    resample: bool = False,
) -> MapScene:
    """Opens one raster, or several on one grid as a virtual mosaic, of which nothing is read yet.

    Args:
      order: canonical band names in the order of the files; empty: their band descriptions where these are names of
        bands, else the challenge's order.
      drivers: the only GDAL drivers that may open the files.
      resample: whether pixels of another size than 232 m are brought to it.

    Raises:
      RasterError: a file cannot be opened, is in the layout of the public release, has other bands or no usable
        georeference, or lies elsewhere than on Mars.
      UsageError: pixels of another size, and `resample` is off.
    """
    found: dict[str, tuple[str, ...]] = {}
    files: list[str] = []
    for path in (os.fspath(path) for path in paths):
        found[path], read = _order_of(path, order, drivers)
        files += read
    first, bands = next(iter(found.items()))
    for path, other in found.items():
        if other != bands:
            raise RasterError(path, f"bands {', '.join(bands)}, as {first} has them", ", ".join(other))
    dataset = open_raster(first, drivers) if len(found) == 1 else open_mosaic(list(found), drivers)
    limit_cache(dataset)
    # Tiles of a mosaic are thousands of files: GDAL reads the tag of each, and the mosaic has one of its own.
    nodata = _tags_of(dataset)
    height, width, sources = dataset.RasterYSize, dataset.RasterXSize, tuple(dict.fromkeys(files))
    if not _is_georeferenced(dataset):
        return MapScene((dataset,), None, height, width, bands, nodata, files=sources)
    grid = grid_of(dataset, first)
    if not is_mars(grid.crs_wkt):
        raise RasterError(first, "a CRS on Mars (radius 3396.2 km)", describe(grid.crs_wkt))
    target = _target_grid(first, grid, resample)
    if target is grid:
        return MapScene((dataset,), grid, height, width, bands, nodata, files=sources)
    warped = tuple(open_warped(dataset, first, index + 1, target, "bilinear") for index in range(len(bands)))
    tags = tuple(tag for single in warped for tag in _tags_of(single))
    across = pixel_metres_of(grid)[0]
    return MapScene(warped, target, target.height, target.width, bands, tags, across, sources)


def _target_grid(path: str, grid: Grid, resample: bool, must_be_metres: bool = False) -> Grid:
    """Returns `grid` itself where its pixels are those of training, else, if asked for, one whose pixels are."""
    across, down = pixel_metres_of(grid)
    alike = max(abs(across / PIXEL_M - 1), abs(down / PIXEL_M - 1)) <= _PIXEL_TOLERANCE
    if alike and not (must_be_metres and is_geographic(grid.crs_wkt)):
        return grid
    if resample:
        return resized(grid, PIXEL_M)
    if alike:
        raise UsageError(
            f"--scene={path}: expected pixels in metres, since slope is to be derived from elevations in metres, "
            f"found degrees; --resample brings them to {PIXEL_M:g} m, or give slope=PATH"
        )
    raise UsageError(
        f"--scene={path}: expected pixels of {PIXEL_M:g} m, on which networks are trained, found "
        f"{across:.6g} x {down:.6g} m; --resample brings them to {PIXEL_M:g} m"
    )


def pixel_metres_of(grid: Grid) -> tuple[float, float]:
    """Returns width and height of a pixel in metres; of one in degrees, as the simple cylindrical projection has it."""
    degree = math.pi * MARS_RADIUS_M / 180.0
    metres = degree if is_geographic(grid.crs_wkt) else metres_per_unit(grid.crs_wkt)
    return grid.geotransform[1] * metres, -grid.geotransform[5] * metres


def _order_of(
    path: str, order: Sequence[str], drivers: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns (bands of a file, files that it is read from); it is closed again: there may be thousands."""
    dataset = open_raster(path, drivers)
    return _names_of(dataset, path, order), _files_of(dataset)


def _names_of(dataset: Any, path: str, order: Sequence[str]) -> tuple[str, ...]:
    count = dataset.RasterCount
    if count == 1 and dataset.RasterXSize == len(BANDS):
        raise RasterError(
            path,
            f"a raster of the {len(BANDS)} bands",
            f"one of {dataset.RasterYSize} x {len(BANDS)} with a single band: the layout of the public release, whose "
            "pages are rows of one tile, scaled and without a place on the map; `python -m mmls_tf.submit` predicts "
            "such tiles",
        )
    if order and count == len(order):
        return tuple(order)
    names = tuple(dataset.GetRasterBand(index + 1).GetDescription() for index in range(count))
    if not order and set(names) <= set(BAND_NAMES) and len(set(names)) == count:
        return names
    if count != len(BANDS) or order:
        expected = f"{len(BANDS)} bands ({', '.join(order or CHALLENGE.order)})"
        described = " or band descriptions that say which ones it has"
        raise RasterError(path, expected + ("" if order else described), str(count))
    return CHALLENGE.order


def _tags_of(dataset: Any) -> tuple[float | None, ...]:
    return tuple(dataset.GetRasterBand(index + 1).GetNoDataValue() for index in range(dataset.RasterCount))


def _files_of(*datasets: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(path for dataset in datasets for path in dataset.GetFileList() or ()))


def _is_georeferenced(dataset: Any) -> bool:
    return bool(dataset.GetGeoTransform(can_return_null=True) is not None or dataset.GetProjection())
