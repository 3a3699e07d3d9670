"""Longitude and latitude along the edges of a grid, and how long its pixels are on the ground."""

from __future__ import annotations

import math

import numpy as np

from mmls_tf.raster.crs import is_geographic, metres_per_unit, radius_m, reference
from mmls_tf.raster.geotiff import load_gdal
from mmls_tf.raster.grid import Extent, Grid

_BEND_PX = 0.5


def degree_extent(grid: Grid) -> Extent | None:
    """Returns west, south, east and north in degrees where meridians and parallels run along columns and rows.

    None where they do not, or are not evenly spaced: a place is then no more than half a pixel off a linear scale.
    """
    west, south, east, north = grid.extent
    if is_geographic(grid.crs_wkt):
        return grid.extent
    load_gdal()
    from osgeo import osr

    projected = reference(grid.crs_wkt)
    degrees = reference(str(projected.CloneGeogCS().ExportToWkt()))
    change = osr.CoordinateTransformation(projected, degrees)
    places = [(x, y) for y in np.linspace(north, south, 3) for x in np.linspace(west, east, 3)]
    try:
        found = np.array([change.TransformPoint(x, y)[:2] for x, y in places]).reshape(3, 3, 2)
    except RuntimeError:
        return None
    left, top = found[0, 0]
    right, bottom = found[2, 2]
    columns, rows = np.meshgrid(np.linspace(left, right, 3), np.linspace(top, bottom, 3))
    pixel = min(abs(right - left) / grid.width, abs(top - bottom) / grid.height)
    bend = np.abs(found - np.stack([columns, rows], axis=-1)).max()
    straight = right > left and top > bottom and bend <= _BEND_PX * pixel
    return (float(left), float(bottom), float(right), float(top)) if straight else None


def ground_width_m(grid: Grid) -> float:
    """Returns how long a pixel of the middle row is from west to east on the sphere.

    Where meridians are not straight, it is the length that the projection gives it.
    """
    degrees = degree_extent(grid)
    if degrees is None:
        return grid.geotransform[1] * metres_per_unit(grid.crs_wkt)
    west, south, east, north = degrees
    parallel = radius_m(grid.crs_wkt) * math.cos(math.radians((south + north) / 2))
    return parallel * math.radians(east - west) / grid.width


def degree_text(value: float, signs: str, decimals: int | None = None) -> str:
    """Returns degrees for people, such as `60.5° W`.

    Args:
      signs: the letters of positive and negative values, such as `EW`.
      decimals: how many; None for as many as there are, up to six.
    """
    rounded = round(value, 6 if decimals is None else decimals)
    letter = f" {signs[rounded < 0]}" if rounded else ""
    number = f"{abs(rounded):.9g}" if decimals is None else f"{abs(rounded):.{decimals}f}"
    return f"{number}\N{DEGREE SIGN}{letter}"
