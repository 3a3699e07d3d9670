"""The connected parts of a map of bytes as polygons along the edges of its pixels, and polygons as labels of pixels."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmls_tf.errors import UsageError
from mmls_tf.raster.crs import reference
from mmls_tf.raster.geotiff import load_gdal
from mmls_tf.raster.grid import Extent, Grid
from mmls_tf.raster.sphere import Floats, Sphere, ring_measures

_LABEL = "label"
_AREA_DIGITS = 9  # of a km2: what rounding makes different is alike
_BURNT_AT_ONCE_PX = 1 << 22


@dataclass(frozen=True)
class Shapes:
    """Polygons in the CRS of a grid.

    Attributes:
      store: the OGR dataset in memory that holds them in its only layer; OGR needs it kept alive.
      grid: the grid.
    """

    store: Any
    grid: Grid

    def __len__(self) -> int:
        return int(self.store.GetLayer(0).GetFeatureCount())

    def __iter__(self) -> Iterator[Any]:
        """Yields copies of the OGR geometries in a fixed order."""
        layer = self.store.GetLayer(0)
        layer.ResetReading()
        for feature in layer:
            yield feature.GetGeometryRef().Clone()


def connected_parts(foreground: Any, grid: Grid) -> Shapes:
    """Returns a polygon for each connected part (4 neighbours) of the pixels that are not 0.

    With 4 neighbours outlines are valid: parts that touch at a corner are two. GDAL works line by line, so memory
    depends on the width and on the polygons.

    Args:
      foreground: a GDAL dataset of one band of bytes on `grid`.
    """
    gdal = load_gdal()
    shapes = new_shapes(grid)
    band = foreground.GetRasterBand(1)
    gdal.Polygonize(band, band, shapes.store.GetLayer(0), -1, [])
    return shapes


def new_shapes(grid: Grid) -> Shapes:
    """Returns an empty set of polygons."""
    gdal = load_gdal()
    from osgeo import ogr

    store = gdal.GetDriverByName("Memory").Create("", 0, 0, 0, gdal.GDT_Unknown)
    layer = store.CreateLayer("shapes", reference(grid.crs_wkt), ogr.wkbUnknown)
    layer.CreateField(ogr.FieldDefn(_LABEL, ogr.OFTInteger))
    return Shapes(store, grid)


def add_shape(shapes: Shapes, geometry: Any) -> None:
    """Adds a copy of an OGR geometry."""
    from osgeo import ogr

    layer = shapes.store.GetLayer(0)
    definition = layer.GetLayerDefn()
    feature = ogr.Feature(definition)
    feature.SetGeometry(geometry)
    layer.CreateFeature(feature)


def box_shape(extent: Extent, grid: Grid) -> Shapes:
    """Returns a rectangle in the CRS of a grid."""
    from osgeo import ogr

    west, south, east, north = extent
    corners = ((west, south), (east, south), (east, north), (west, north), (west, south))
    text = ", ".join(f"{x!r} {y!r}" for x, y in corners)
    shapes = new_shapes(grid)
    add_shape(shapes, ogr.CreateGeometryFromWkt(f"POLYGON (({text}))"))
    return shapes


def small_holes(shapes: Shapes, below_km2: float) -> Shapes:
    """Returns the holes that are smaller on the sphere than a limit, as polygons with all that lies in them."""
    from osgeo import ogr

    sphere = Sphere(shapes.grid.crs_wkt)
    holes = new_shapes(shapes.grid)
    for shape in shapes:
        for index in range(1, shape.GetGeometryCount()):
            ring = shape.GetGeometryRef(index)
            outline = ogr.Geometry(ogr.wkbPolygon)
            outline.AddGeometry(ring)
            if measure(outline, sphere, shapes.grid)[0] < below_km2:
                add_shape(holes, outline)
    return holes


def burn_shapes(shapes: Shapes, dataset: Any) -> None:
    """Sets the pixels of a dataset to 1 whose centres lie in a polygon."""
    if len(shapes):
        options = [f"CHUNKYSIZE={_rows_at_once(shapes.grid)}"]
        load_gdal().RasterizeLayer(dataset, [1], shapes.store.GetLayer(0), burn_values=[1], options=options)
        dataset.FlushCache()


def burn_labels(shapes: Shapes, path: Path) -> Any:
    """Writes a raster of labels: 0 outside of polygons, then 1, 2, ... in their order; where they overlap, the last.

    Returns:
      The open GDAL dataset, int32.

    Raises:
      UsageError: the disk is full.
    """
    gdal = load_gdal()
    from osgeo import ogr

    layer = shapes.store.GetLayer(0)
    if layer.GetLayerDefn().GetFieldIndex(_LABEL) < 0:
        layer.CreateField(ogr.FieldDefn(_LABEL, ogr.OFTInteger))
    for number, feature in enumerate(layer, 1):
        feature.SetField(_LABEL, number)
        layer.SetFeature(feature)
    grid = shapes.grid
    options = ["COMPRESS=LZW", "BIGTIFF=IF_SAFER"]
    try:
        dataset = gdal.GetDriverByName("GTiff").Create(
            os.fspath(path), grid.width, grid.height, 1, gdal.GDT_Int32, options
        )
        dataset.SetGeoTransform(grid.geotransform)
        dataset.SetProjection(grid.crs_wkt)
        if len(shapes):
            options = [f"ATTRIBUTE={_LABEL}", f"CHUNKYSIZE={_rows_at_once(grid)}"]
            gdal.RasterizeLayer(dataset, [1], layer, options=options)
        dataset.FlushCache()
    except RuntimeError as error:
        raise UsageError(f"{path}: cannot be written ({error}); is the disk full?") from error
    return dataset


def rings(polygon: Any) -> Iterator[Floats]:
    """Yields the rings of an OGR polygon, float64 [points, 2]: the exterior, then the holes."""
    for index in range(polygon.GetGeometryCount()):
        yield np.array(polygon.GetGeometryRef(index).GetPoints(2), np.float64).reshape(-1, 2)


def measure(shape: Any, sphere: Sphere, grid: Grid) -> tuple[float, float]:
    """Returns the area in km2 and the length of the outline in km, holes included, on the sphere.

    Args:
      shape: an OGR polygon or multipolygon in the CRS of `grid`.
    """
    if not sphere.straight:
        shape = shape.Clone()
        shape.Segmentize(grid.geotransform[1])
    area, length = 0.0, 0.0
    for part in _parts(shape):
        for index, ring in enumerate(rings(part)):
            inside, along = ring_measures(sphere.radians(ring))
            area += -inside if index else inside
            length += along
    return area, length


def by_area(shape: Any, area_km2: float) -> tuple[float, float, float]:
    """Returns by what inventories are sorted: the largest first, of equal ones the northernmost, then westernmost."""
    west, _, _, north = shape.GetEnvelope()
    return -round(area_km2, _AREA_DIGITS), -north, west


def simplified(shape: Any, tolerance: float) -> Any:
    """Returns a polygon that leaves the outline of another by at most `tolerance` (units of its CRS), or that one.

    The topology is kept: holes stay holes. Where GEOS gives no valid polygon, the outline stays as it is.
    """
    from osgeo import gdal, ogr

    simpler = shape.SimplifyPreserveTopology(tolerance)
    if simpler is None or simpler.GetGeometryType() != ogr.wkbPolygon or simpler.IsEmpty():
        return shape
    gdal.PushErrorHandler("CPLQuietErrorHandler")  # what GEOS says of an invalid one is no news to users
    try:
        return simpler if simpler.IsValid() else shape
    finally:
        gdal.PopErrorHandler()


def _parts(shape: Any) -> Iterator[Any]:
    """Yields the polygons of an OGR polygon or multipolygon, which has to be kept alive."""
    from osgeo import ogr

    if ogr.GT_Flatten(shape.GetGeometryType()) == ogr.wkbPolygon:
        yield shape
    else:
        for index in range(shape.GetGeometryCount()):
            yield shape.GetGeometryRef(index)


def _rows_at_once(grid: Grid) -> int:
    return max(1, _BURNT_AT_ONCE_PX // grid.width)
