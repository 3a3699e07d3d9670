"""Outlines of the polygons of an inventory, for drawing: no finer than can be seen."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from mmls_tf.raster.geotiff import load_gdal
from mmls_tf.raster.polygons import rings, simplified
from mmls_tf.raster.raster import RasterError
from mmls_tf.raster.sphere import Floats


def read_outlines(path: Path, tolerance: float, ids: frozenset[int]) -> Iterator[tuple[int, list[Floats]]]:
    """Yields the id of each polygon and its rings, float64 [points, 2] of x and y in the units of the file's CRS.

    Args:
      path: a GeoPackage whose only layer holds polygons with a whole number `id`.
      tolerance: how far outlines may be moved to need fewer points (Douglas and Peucker 1973, in a form that keeps
        polygons valid), in the units of the CRS.
      ids: the polygons that are wanted.

    Raises:
      RasterError: the file cannot be read.
    """
    gdal = load_gdal()
    try:
        store = gdal.OpenEx(os.fspath(path), gdal.OF_VECTOR | gdal.OF_READONLY, allowed_drivers=["GPKG"])
        layer = store.GetLayer(0)
        for feature in layer:
            number = int(feature.GetField("id"))
            shape = feature.GetGeometryRef()
            if number in ids and shape is not None:
                yield number, list(rings(simplified(shape, tolerance)))
    except RuntimeError as error:
        raise RasterError(path, "a GeoPackage of polygons", str(error).splitlines()[0]) from error
