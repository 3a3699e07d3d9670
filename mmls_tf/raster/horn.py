"""Horn's slope, as `gdaldem slope` computes it, in plain NumPy: for checks, where a call of GDAL costs too much."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from mmls_tf.raster.mars import MARS_RADIUS_M, PIXEL_M
from mmls_tf.raster.raster import Geotransform

Floats = npt.NDArray[np.float64]
_GEOGRAPHIC = ("GEOGCS[", "GEOGCRS[", "GEODCRS[")


def pixel_metres(geotransform: Geotransform | None, crs_wkt: str | None) -> tuple[float, float]:
    """Returns the width and height of a pixel in metres; those of MMLSv2 (232 m) where a file does not say."""
    if geotransform is None:
        return PIXEL_M, PIXEL_M
    width = math.hypot(geotransform[1], geotransform[4])
    height = math.hypot(geotransform[2], geotransform[5])
    if crs_wkt is not None and crs_wkt.startswith(_GEOGRAPHIC):
        degree = math.pi * MARS_RADIUS_M / 180
        width, height = width * degree * max(0.01, math.cos(math.radians(geotransform[3]))), height * degree
    return (width, height) if width > 0 and height > 0 else (PIXEL_M, PIXEL_M)


def horn_slope(dem: Floats, pixel: tuple[float, float]) -> Floats:
    """Returns the slope in degrees.

    Args:
      dem: elevation in metres, [..., height + 2, width + 2].
      pixel: width and height of a pixel in metres.

    Returns:
      [..., height, width], without the line along every side.
    """
    columns = dem[..., 2:] - dem[..., :-2]
    rows = dem[..., 2:, :] - dem[..., :-2, :]
    east = columns[..., :-2, :] + 2 * columns[..., 1:-1, :] + columns[..., 2:, :]
    south = rows[..., :-2] + 2 * rows[..., 1:-1] + rows[..., 2:]
    gradient = np.hypot(east / (8 * pixel[0]), south / (8 * pixel[1]))
    return np.asarray(np.degrees(np.arctan(gradient)))
