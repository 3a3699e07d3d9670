"""A scene to be mapped: one raster or many tiles joined, of all bands or some, on the pixels of training."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmls_tf.bands import BAND_NAMES, BANDS
from mmls_tf.errors import UsageError
from mmls_tf.raster.crs import describe, is_geographic, is_mars, metres_per_unit
from mmls_tf.raster.grid import Grid, grid_of, resized
from mmls_tf.raster.layouts import CHALLENGE
from mmls_tf.raster.mars import MARS_RADIUS_M, PIXEL_M
from mmls_tf.raster.mosaic import open_mosaic
from mmls_tf.raster.nodata import NODATA, marked
from mmls_tf.raster.opening import limit_cache, open_raster
from mmls_tf.raster.raster import FloatArray, RasterError
from mmls_tf.raster.warp import open_warped
from mmls_tf.raster.windows import Window, read_window

_PIXEL_TOLERANCE = 0.01  # a tile of 128 pixels is then 1.3 pixels longer or shorter


@dataclass(frozen=True)
class MapScene:
    """An open scene.

    Attributes:
      datasets: one GDAL dataset of all bands, or one a band where they are brought to another grid.
      grid: where its pixels lie; None where the file does not say.
      height, width: in pixels.
      order: canonical names of the bands that it has, in the order of the file.
      nodata: the file's nodata tag a band, in the order of the file.
      resampled_from_m: the pixel size of the file where pixels were brought to another, else None.
    """

    datasets: tuple[Any, ...]
    grid: Grid | None
    height: int
    width: int
    order: tuple[str, ...]
    nodata: tuple[float | None, ...]
    resampled_from_m: float | None = None

    def read(self, window: Window) -> FloatArray:
        """Returns raw values in the challenge's band order, float32 [7, height, width], `NODATA` where missing.

        The window may reach beyond the scene.
        """
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
    found = {os.fspath(path): _order_of(os.fspath(path), order, drivers) for path in paths}
    first, bands = next(iter(found.items()))
    for path, other in found.items():
        if other != bands:
            raise RasterError(path, f"bands {', '.join(bands)}, as {first} has them", ", ".join(other))
    dataset = open_raster(first, drivers) if len(found) == 1 else open_mosaic(list(found), drivers)
    limit_cache(dataset)
    # Tiles of a mosaic are thousands of files: GDAL reads the tag of each, and the mosaic has one of its own.
    nodata = tuple(dataset.GetRasterBand(index + 1).GetNoDataValue() for index in range(len(bands)))
    height, width = dataset.RasterYSize, dataset.RasterXSize
    if not _is_georeferenced(dataset):
        return MapScene((dataset,), None, height, width, bands, nodata)
    grid = grid_of(dataset, first)
    if not is_mars(grid.crs_wkt):
        raise RasterError(first, "a CRS on Mars (radius 3396.2 km)", describe(grid.crs_wkt))
    across, down = pixel_metres_of(grid)
    if max(abs(across / PIXEL_M - 1), abs(down / PIXEL_M - 1)) <= _PIXEL_TOLERANCE:
        return MapScene((dataset,), grid, height, width, bands, nodata)
    if not resample:
        raise UsageError(
            f"--scene={first}: expected pixels of {PIXEL_M:g} m, on which networks are trained, found "
            f"{across:.6g} x {down:.6g} m; --resample brings them to {PIXEL_M:g} m"
        )
    target = resized(grid, PIXEL_M)
    warped = tuple(open_warped(dataset, first, index + 1, target, "bilinear") for index in range(len(bands)))
    tags = tuple(single.GetRasterBand(1).GetNoDataValue() for single in warped)
    return MapScene(warped, target, target.height, target.width, bands, tags, across)


def pixel_metres_of(grid: Grid) -> tuple[float, float]:
    """Returns width and height of a pixel in metres; of one in degrees, as the simple cylindrical projection has it."""
    degree = math.pi * MARS_RADIUS_M / 180.0
    metres = degree if is_geographic(grid.crs_wkt) else metres_per_unit(grid.crs_wkt)
    return grid.geotransform[1] * metres, -grid.geotransform[5] * metres


def _order_of(path: str, order: Sequence[str], drivers: Sequence[str]) -> tuple[str, ...]:
    """Returns the names of the bands of a file; it is closed again, since there may be thousands."""
    dataset = open_raster(path, drivers)
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


def _is_georeferenced(dataset: Any) -> bool:
    return bool(dataset.GetGeoTransform(can_return_null=True) is not None or dataset.GetProjection())
