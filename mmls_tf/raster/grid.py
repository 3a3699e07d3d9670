"""The grid of a raster: where its pixels lie on the planet."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmls_tf.raster.crs import equirectangular, is_geographic, metres_per_unit, reference
from mmls_tf.raster.geotiff import load_gdal, same_crs
from mmls_tf.raster.raster import Geotransform, RasterError
from mmls_tf.raster.windows import Window

Extent = tuple[float, float, float, float]
_ALIGNED_PX = 0.01


@dataclass(frozen=True)
class Grid:
    """A north-up grid: GDAL's geotransform, size in pixels, coordinate reference system as WKT."""

    geotransform: Geotransform
    width: int
    height: int
    crs_wkt: str

    @property
    def extent(self) -> Extent:
        """West, south, east and north edge in the units of the CRS."""
        west, across, _, north, _, down = self.geotransform
        return west, north + self.height * down, west + self.width * across, north


def grid_of(dataset: Any, path: str | os.PathLike[str], assume_crs: str | None = None) -> Grid:
    """Returns the grid of a dataset.

    Args:
      dataset: a GDAL dataset.
      path: its file, for messages.
      assume_crs: WKT to take where the file has no CRS; None where it must have one.

    Raises:
      RasterError: no geotransform, a rotated one, or no CRS.
    """
    transform = dataset.GetGeoTransform(can_return_null=True)
    if transform is None:
        raise RasterError(
            path, "a georeferenced raster", "no geotransform; `gdal_edit.py -a_ullr` writes one"
        )
    if transform[2] or transform[4] or transform[1] <= 0 or transform[5] >= 0:
        raise RasterError(
            path,
            "rows from west to east, north first",
            f"the geotransform {transform}; `gdalwarp` rewrites it",
        )
    wkt = dataset.GetProjection() or assume_crs
    if not wkt:
        raise RasterError(
            path, "a coordinate reference system", "none; `gdal_edit.py -a_srs` writes one into the file"
        )
    return Grid(tuple(transform), dataset.RasterXSize, dataset.RasterYSize, wkt)


def window_transform(geotransform: Geotransform, window: Window) -> Geotransform:
    """Returns the geotransform of a window of a north-up raster."""
    west, across, _, north, _, down = geotransform
    return (west + window.col * across, across, 0.0, north + window.row * down, 0.0, down)


def same_grid(one: Grid, other: Grid) -> bool:
    """Tells whether the pixels of two grids are the same places, to a millionth of a pixel."""
    tolerance = 1e-6 * abs(one.geotransform[1])
    corners = np.allclose(one.extent, other.extent, rtol=0.0, atol=tolerance)
    size = (one.width, one.height) == (other.width, other.height)
    return bool(size and corners and same_crs(one.crs_wkt, other.crs_wkt))


def resized(grid: Grid, pixel_m: float) -> Grid:
    """Returns a grid over the same extent with square pixels of `pixel_m` metres.

    A grid in degrees becomes one of the simple cylindrical projection of its body.
    """
    if is_geographic(grid.crs_wkt):
        wkt = equirectangular(grid.crs_wkt)
        west, south, east, north = transform_extent(grid.extent, grid.crs_wkt, wkt)
    else:
        wkt = grid.crs_wkt
        west, south, east, north = grid.extent
    pixel = pixel_m / metres_per_unit(wkt)
    width, height = (max(1, int(length / pixel + 0.5)) for length in (east - west, north - south))
    return Grid((west, pixel, 0.0, north, 0.0, -pixel), width, height, wkt)


def joined(grids: dict[str, Grid]) -> Grid:
    """Returns the smallest grid that holds several aligned ones, given by the names of their files.

    Raises:
      RasterError: one differs in CRS or pixel size from the first, or lies between its pixels.
    """
    first_path, first = next(iter(grids.items()))
    west0, across, _, north0, _, down = first.geotransform
    for path, grid in grids.items():
        west, own_across, _, north, _, own_down = grid.geotransform
        shift = np.array([(west - west0) / across, (north - north0) / down])
        stretch = np.array([own_across / across - 1, own_down / down - 1]) * max(grid.width, grid.height)
        if not same_crs(grid.crs_wkt, first.crs_wkt):
            raise RasterError(path, f"the CRS of {first_path}", reference(grid.crs_wkt).GetName())
        if np.abs(stretch).max() > _ALIGNED_PX or np.abs(shift - np.rint(shift)).max() > _ALIGNED_PX:
            raise RasterError(
                path, f"the pixels of {first_path}, {first.geotransform}", f"{grid.geotransform}"
            )
    extents = np.array([grid.extent for grid in grids.values()])
    west, north = extents[:, 0].min(), extents[:, 3].max()
    left, top = round((west - west0) / across), round((north - north0) / down)
    width = round((extents[:, 2].max() - west) / across)
    height = round((extents[:, 1].min() - north) / down)
    corner = window_transform(first.geotransform, Window(left, top, width, height))
    return Grid(corner, width, height, first.crs_wkt)


def transform_extent(extent: Extent, source_wkt: str, target_wkt: str) -> Extent:
    """Returns an extent in another CRS of the same body."""
    load_gdal()
    from osgeo import osr

    change = osr.CoordinateTransformation(reference(source_wkt), reference(target_wkt))
    west, south, east, north = change.TransformBounds(*extent, 21)
    return west, south, east, north
