"""Areas and lengths on the Mars sphere of what is drawn on a map, whatever the map's projection.

A map of Mars in degrees or in the metres of a simple cylindrical projection is not equal-area: 10 degrees north a
square of such a map is 1.5 % smaller on the ground than at the equator. Latitudes are taken for those of a sphere of
3396.19 km; on an ellipsoid of Mars an area differs from that by up to 1.2 %.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import ConvexHull

from mmls_tf.raster.crs import is_geographic, reference
from mmls_tf.raster.geotiff import load_gdal
from mmls_tf.raster.grid import Grid
from mmls_tf.raster.mars import MARS_RADIUS_M

Floats = npt.NDArray[np.float64]
_RADIUS_KM = MARS_RADIUS_M / 1000.0
_FAR = 1e6  # units of a projected map, for the slope of a line


class Sphere:
    """The way from the coordinates of a map to the sphere.

    Attributes:
      straight: whether straight lines of the map are straight in longitude and latitude too: a map in degrees or
        simple cylindrical. Others are followed in steps of a pixel.
    """

    def __init__(self, crs_wkt: str) -> None:
        load_gdal()
        from osgeo import osr

        system = reference(crs_wkt)
        geographic = is_geographic(crs_wkt)
        self.straight = geographic or system.GetAttrValue("PROJECTION") == "Equirectangular"
        degrees = reference(system.CloneGeogCS().ExportToWkt())
        self._change: Any = osr.CoordinateTransformation(system, degrees)
        if self.straight:
            # Two points say all of a linear change, and NumPy is a hundred times faster at it than PROJ.
            far = 1.0 if geographic else _FAR
            self._origin, there = self._radians(np.array([[0.0, 0.0], [far, far]]))
            across, up = there - self._origin
            self._step = np.array([float(_wrapped(across)), up]) / far

    def radians(self, points: Floats) -> Floats:
        """Returns longitude and latitude, float64 [points, 2], of map coordinates [points, 2]."""
        return self._origin + points * self._step if self.straight else self._radians(points)

    def _radians(self, points: Floats) -> Floats:
        return np.radians(np.array(self._change.TransformPoints(points.tolist()), np.float64)[:, :2])


def ring_measures(ring: Floats) -> tuple[float, float]:
    """Returns the area inside a closed ring in km2 and its length in km, both on the sphere.

    By Green's theorem the area is R^2 times the integral of sin(latitude) d(longitude) along the ring. Along an edge
    that is straight in longitude and latitude, with the mean latitude m and the difference d, the mean of the sine is
    sin(m) sin(d/2) / (d/2), so that the area is exact. The length is so along meridians and parallels.

    Args:
      ring: float64 [points, 2], longitude and latitude in radians, the last point the first one.
    """
    steps = ring[1:] - ring[:-1]
    across, down = _wrapped(steps[:, 0]), steps[:, 1]
    middle = (ring[1:, 1] + ring[:-1, 1]) / 2.0
    integral = float((across * np.sin(middle) * np.sinc(down / (2.0 * np.pi))).sum())
    turns = round(float(across.sum()) / (2.0 * math.pi))  # not 0 where a pole lies inside
    pole = math.copysign(1.0, float(middle.mean()))
    area = _RADIUS_KM**2 * abs(turns * pole * 2.0 * math.pi - integral)
    return area, _RADIUS_KM * float(np.hypot(down, across * np.cos(middle)).sum())


def local_km(points: Floats, centre: Floats) -> Floats:
    """Returns points in Lambert's azimuthal equal-area projection about a centre, float64 [points, 2], east and north.

    Lengths are right to 0.03 % within 150 km of the centre. Snyder, Map Projections: A Working Manual (USGS PP 1395,
    1987), equations 24-2, 22-4 and 22-5.

    Args:
      points: float64 [points, 2], longitude and latitude in radians.
      centre: float64 [2], the same.
    """
    across, latitude = points[:, 0] - centre[0], points[:, 1]
    sine, cosine = math.sin(centre[1]), math.cos(centre[1])
    near = 1.0 + sine * np.sin(latitude) + cosine * np.cos(latitude) * np.cos(across)
    scale = _RADIUS_KM * np.sqrt(2.0 / near)
    east = scale * np.cos(latitude) * np.sin(across)
    north = scale * (cosine * np.sin(latitude) - sine * np.cos(latitude) * np.cos(across))
    return np.stack([east, north], axis=1)


def rectangle_sides(points: Floats) -> tuple[float, float]:
    """Returns the longer and the shorter side of the rectangle of least area around points of a plane [points, 2].

    One of its sides lies along an edge of the convex hull (Freeman and Shapira, CACM 18(7), 1975).
    """
    corners = points[ConvexHull(points).vertices]
    edges = np.roll(corners, -1, axis=0) - corners
    along = edges / np.hypot(edges[:, 0], edges[:, 1])[:, None]
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    extents = np.stack([np.ptp(corners @ along.T, axis=0), np.ptp(corners @ across.T, axis=0)])
    sides = extents[:, int(np.argmin(extents.prod(axis=0)))]
    return float(sides.max()), float(sides.min())


def cell_areas_km2(grid: Grid, row: int, rows: int) -> Floats:
    """Returns the area on the sphere of each pixel of some rows, float64 [rows, 1] or [rows, width].

    Between two parallels it is R^2 times the difference of longitudes times that of the sines of the latitudes: one
    figure a row. On maps whose pixels lie otherwise, the four corners are joined by lines straight in longitude and
    latitude.
    """
    west, across, _, north, _, down = grid.geotransform
    sphere = Sphere(grid.crs_wkt)
    y = north + down * np.arange(row, row + rows + 1)
    x = west + across * np.arange(2 if sphere.straight else grid.width + 1)
    corners = np.stack(np.meshgrid(x, y), axis=-1)
    longitude, latitude = np.moveaxis(sphere.radians(corners.reshape(-1, 2)).reshape(corners.shape), -1, 0)
    around = [(slice(None, -1), slice(None, -1)), (slice(None, -1), slice(1, None))]
    around += [(slice(1, None), slice(1, None)), (slice(1, None), slice(None, -1))]
    total = np.zeros((rows, len(x) - 1))
    for one, other in zip(around, [*around[1:], around[0]], strict=True):
        step, rise = _wrapped(longitude[other] - longitude[one]), latitude[other] - latitude[one]
        total += step * np.sin((latitude[one] + latitude[other]) / 2.0) * np.sinc(rise / (2.0 * np.pi))
    return _RADIUS_KM**2 * np.abs(total)


def _wrapped(angle: Floats) -> Floats:
    """Returns angles brought between minus and plus half a turn."""
    return angle - 2.0 * np.pi * np.rint(angle / (2.0 * np.pi))
