"""Polygons with attributes as a GeoPackage, with a spatial index and a style for QGIS in it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mmls_tf.errors import UsageError
from mmls_tf.raster.crs import reference
from mmls_tf.raster.geotiff import load_gdal
from mmls_tf.raster.opening import local_file
from mmls_tf.raster.polygons import rings, simplified
from mmls_tf.raster.raster import RasterError

Rings = list[npt.NDArray[np.float64]]
Row = tuple[Any, Mapping[str, int | float | None]]
_GEOMETRY = "geom"
# TensorFlow brings an SQLite without R-trees, which shadows GDAL's once both are loaded: an index cannot be written
# then. A process without TensorFlow writes it.
_INDEX_PROGRAM = """
import sys
from osgeo import gdal
gdal.UseExceptions()
path, layer, geometry = sys.argv[1:]
dataset = gdal.OpenEx(path, gdal.OF_VECTOR | gdal.OF_UPDATE, allowed_drivers=["GPKG"])
dataset.ReleaseResultSet(dataset.ExecuteSQL(f"SELECT CreateSpatialIndex('{layer}', '{geometry}')"))
if not dataset.GetLayerByName(layer).TestCapability("FastSpatialFilter"):
    sys.exit("no index was made")
"""


def write_polygons(
    path: Path, layer: str, crs_wkt: str, fields: Mapping[str, type], rows: Iterable[Row], style: str = ""
) -> None:
    """Writes polygons as the only layer with geometries of a GeoPackage, under its name only when complete.

    Args:
      layer: name of the layer.
      fields: names and types, int or float, of the attributes; `id` becomes the number of the feature too.
      rows: OGR polygons in the CRS and their attributes, None where there is none.
      style: a QGIS style (QML) that QGIS then opens the layer in; empty for none.

    Raises:
      UsageError: the disk is full, or GDAL's SQLite cannot make an index.
    """
    partial = path.with_name(f".{path.stem}.partial.gpkg")
    partial.unlink(missing_ok=True)
    try:
        _write(partial, layer, crs_wkt, fields, rows, style)
        _index(partial, layer)
        partial.replace(path)
    except RuntimeError as error:
        raise UsageError(f"{path}: cannot be written ({error}); is the disk full?") from error
    finally:
        partial.unlink(missing_ok=True)


def read_polygons(
    path: str | os.PathLike[str], layer: str = "landslides", tolerance: float = 0.0
) -> list[tuple[int, Rings]]:
    """Returns the polygons of a GeoPackage as `write_polygons` writes it, in the order of their numbers.

    Args:
      tolerance: by how much outlines may be off to need fewer points, in the units of the CRS.

    Returns:
      Of each polygon its id and its rings, float64 [points, 2], x and y in the CRS of the layer: the exterior, then
      the holes; the last point of a ring is its first one.

    Raises:
      RasterError: no GeoPackage, or no such layer in it.
    """
    gdal = load_gdal()
    expected = f"a GeoPackage with a layer {layer}"
    absolute = local_file(path, expected)
    try:
        dataset = gdal.OpenEx(absolute, gdal.OF_VECTOR | gdal.OF_READONLY, allowed_drivers=["GPKG"])
        features = dataset.GetLayerByName(layer)
    except RuntimeError as error:
        raise RasterError(path, expected, str(error).splitlines()[0]) from error
    if features is None:
        raise RasterError(path, expected, "none")
    # No spatial filter: under TensorFlow's SQLite it finds nothing in a file with an index, without a word.
    found = []
    for feature in features:
        shape = feature.GetGeometryRef()
        found.append(
            (int(feature.GetFID()), list(rings(simplified(shape, tolerance) if tolerance else shape)))
        )
    return sorted(found, key=lambda polygon: polygon[0])


def _write(
    path: Path, name: str, crs_wkt: str, fields: Mapping[str, type], rows: Iterable[Row], style: str
) -> None:
    gdal = load_gdal()
    from osgeo import ogr

    dataset = gdal.GetDriverByName("GPKG").Create(os.fspath(path), 0, 0, 0, gdal.GDT_Unknown)
    options = ["SPATIAL_INDEX=NO", f"GEOMETRY_NAME={_GEOMETRY}"]
    layer = dataset.CreateLayer(name, reference(crs_wkt), ogr.wkbPolygon, options)
    for field, kind in fields.items():
        layer.CreateField(ogr.FieldDefn(field, ogr.OFTInteger64 if kind is int else ogr.OFTReal))
    definition = layer.GetLayerDefn()
    dataset.StartTransaction()
    for geometry, attributes in rows:
        feature = ogr.Feature(definition)
        feature.SetFID(int(attributes["id"] or 0))
        feature.SetGeometry(geometry)
        for field, value in attributes.items():
            if value is not None:
                feature.SetField(field, value)
        layer.CreateFeature(feature)
    dataset.CommitTransaction()
    if style:
        _write_style(dataset, name, style)
    dataset.FlushCache()


def _write_style(dataset: Any, layer: str, style: str) -> None:
    """Writes the table that QGIS keeps its styles in."""
    from osgeo import ogr

    table = dataset.CreateLayer("layer_styles", None, ogr.wkbNone, ["FID=id"])
    texts = {
        "f_table_catalog": "",
        "f_table_schema": "",
        "f_table_name": layer,
        "f_geometry_column": _GEOMETRY,
        "styleName": layer,
        "styleQML": style,
        "styleSLD": "",
        "description": "",
        "owner": "",
        "ui": "",
    }
    for name in texts:
        table.CreateField(ogr.FieldDefn(name, ogr.OFTString))
    default = ogr.FieldDefn("useAsDefault", ogr.OFTInteger)
    default.SetSubType(ogr.OFSTBoolean)
    table.CreateField(default)
    updated = ogr.FieldDefn("update_time", ogr.OFTDateTime)
    updated.SetDefault("CURRENT_TIMESTAMP")
    table.CreateField(updated)
    feature = ogr.Feature(table.GetLayerDefn())
    for name, text in texts.items():
        feature.SetField(name, text)
    feature.SetField("useAsDefault", 1)
    table.CreateFeature(feature)


def _index(path: Path, layer: str) -> None:
    words = [sys.executable, "-c", _INDEX_PROGRAM, os.fspath(path.absolute()), layer, _GEOMETRY]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UsageError(f"{path}: no spatial index could be made: {done.stderr.strip().splitlines()[-1:]}")
