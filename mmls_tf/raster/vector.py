"""Polygons of a vector file: read, brought into a raster's CRS, burnt into a mask."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmls_tf.errors import UsageError
from mmls_tf.raster.crs import describe, is_geographic, radius_m, reference, same_planet
from mmls_tf.raster.geotiff import load_gdal
from mmls_tf.raster.grid import Grid
from mmls_tf.raster.opening import local_file
from mmls_tf.raster.raster import RasterError

VECTOR_DRIVERS = ("GPKG", "ESRI Shapefile", "GeoJSON")
POLYGON_CRS = ("file", "scene", "degrees")
_MAX_BYTES = 1 << 30


@dataclass(frozen=True)
class Polygons:
    """Polygons in the CRS of a grid.

    Attributes:
      store: the OGR dataset in memory that holds them in its only layer; OGR needs it kept alive.
      crs_wkt: the CRS they had.
      total: how many the file has, after the filter.
      inside: how many of them reach into the grid's extent; `store` holds these.
      numbers: of the features of the file that `store` holds, in its order.
    """

    store: Any
    crs_wkt: str
    total: int
    inside: int
    numbers: tuple[int, ...] = ()


def read_polygons(
    path: str | os.PathLike[str], grid: Grid, layer: str = "", where: str = "", crs: str = "file"
) -> Polygons:
    """Reads the polygons that reach into a grid's extent and brings them into its CRS, vertex by vertex.

    Args:
      path: a local GeoPackage, shapefile or GeoJSON file.
      grid: where they shall go.
      layer: name of the layer; may be empty where the file has one only.
      where: attribute filter in OGR's SQL dialect; empty for all.
      crs: `file` believes the file; `scene` takes the coordinates for those of the grid's CRS; `degrees`
        takes them for longitude and latitude on the grid's planet.

    Raises:
      RasterError: the file cannot be read, is of another planet, or none of its polygons reaches the grid.
      UsageError: there is no such layer, or the filter cannot be evaluated.
    """
    source = _open(path)
    features = _layer(source, path, layer)
    if where:
        _filter(features, where)
    wkt = _crs_of(features, path, grid, crs)
    store, target, burnt = _memory_layer(grid)
    change = _change(wkt, grid.crs_wkt)
    total, around, numbers = 0, _Bounds(), []
    for feature in features:
        shape = feature.GetGeometryRef()
        if shape is None or shape.IsEmpty():
            continue
        total += 1
        shape = _polygon(shape.Clone(), path, feature.GetFID())
        _reproject(shape, change, f"{path}, feature {feature.GetFID()}", wkt)
        box = shape.GetEnvelope()
        around.add(box)
        if _overlap(box, grid):
            copy = _new_feature(burnt)
            copy.SetGeometryDirectly(shape)
            target.CreateFeature(copy)
            numbers.append(int(feature.GetFID()))
    inside = target.GetFeatureCount()
    if not inside:
        found = f"{total} polygons" + (f" within {around}" if total else "")
        west, south, east, north = grid.extent
        raise RasterError(
            path,
            f"a polygon in the scene's extent, x {west:.0f} to {east:.0f}, y {south:.0f} to {north:.0f}",
            found,
        )
    return Polygons(store, wkt, total, inside, tuple(numbers))


def burn(polygons: Polygons, grid: Grid, path: Path) -> Any:
    """Writes a mask of the whole grid, uint8 with 1 where a pixel's centre lies in a polygon, as a GeoTIFF.

    It is what `gdal_rasterize -burn 1` writes. GDAL works in strips, so memory does not grow with the height.

    Returns:
      The open GDAL dataset.
    """
    gdal = load_gdal()
    dataset = gdal.GetDriverByName("GTiff").Create(
        os.fspath(path), grid.width, grid.height, 1, gdal.GDT_Byte, ["COMPRESS=LZW", "BIGTIFF=IF_SAFER"]
    )
    dataset.SetGeoTransform(grid.geotransform)
    dataset.SetProjection(grid.crs_wkt)
    gdal.RasterizeLayer(dataset, [1], polygons.store.GetLayer(0), burn_values=[1])
    dataset.FlushCache()
    return dataset


class _Bounds:
    """The extent of everything added, for a message."""

    def __init__(self) -> None:
        self._boxes: tuple[float, float, float, float] | None = None

    def add(self, box: tuple[float, float, float, float]) -> None:
        west, east, south, north = self._boxes or box
        self._boxes = min(west, box[0]), max(east, box[1]), min(south, box[2]), max(north, box[3])

    def __str__(self) -> str:
        west, east, south, north = self._boxes or (0.0, 0.0, 0.0, 0.0)
        return f"x {west:.0f} to {east:.0f}, y {south:.0f} to {north:.0f}"


def _open(path: str | os.PathLike[str]) -> Any:
    gdal = load_gdal()
    expected = f"polygons that GDAL's {' or '.join(VECTOR_DRIVERS)} driver reads"
    absolute = local_file(path, expected)
    if Path(absolute).stat().st_size > _MAX_BYTES:
        raise RasterError(path, f"a vector file of at most {_MAX_BYTES >> 30} GiB", "a larger one")
    try:
        return gdal.OpenEx(absolute, gdal.OF_VECTOR | gdal.OF_READONLY, allowed_drivers=list(VECTOR_DRIVERS))
    except RuntimeError as error:
        raise RasterError(path, expected, str(error).splitlines()[0]) from error


def _layer(source: Any, path: str | os.PathLike[str], name: str) -> Any:
    from osgeo import ogr

    layers = [source.GetLayer(index) for index in range(source.GetLayerCount())]
    # Tables without geometries, such as that of QGIS's styles, are no choice.
    names = [layer.GetName() for layer in layers if layer.GetGeomType() != ogr.wkbNone]
    if name and name not in names:
        raise UsageError(
            f"--layer={name}: expected a layer of {path}, which has {', '.join(names) or 'none'}"
        )
    if not name and len(names) != 1:
        raise UsageError(f"--layer: expected a name, as {path} has {len(names)} layers: {', '.join(names)}")
    return source.GetLayerByName(name or names[0])


def _filter(features: Any, where: str) -> None:
    try:
        features.SetAttributeFilter(where)
        features.GetFeatureCount()
    except RuntimeError as error:
        raise UsageError(f"--where={where}: expected a filter such as \"kind = 'slide'\": {error}") from error


def _crs_of(features: Any, path: str | os.PathLike[str], grid: Grid, crs: str) -> str:
    if crs == "scene":
        return grid.crs_wkt
    if crs == "degrees":
        system = reference(grid.crs_wkt)
        return str((system if is_geographic(grid.crs_wkt) else system.CloneGeogCS()).ExportToWkt())
    own = features.GetSpatialRef()
    if own is None:
        raise RasterError(
            path, "a coordinate reference system", "none; --polygons_crs=scene or =degrees says which"
        )
    wkt = str(own.ExportToWkt())
    if not same_planet(radius_m(wkt), radius_m(grid.crs_wkt)):
        raise RasterError(
            path,
            f"polygons on the scene's planet, {describe(grid.crs_wkt)}",
            f"{describe(wkt)}; GeoJSON without a `crs` counts as Earth: "
            "--polygons_crs=degrees takes its numbers for longitude and latitude on the scene's planet",
        )
    return wkt


def _memory_layer(grid: Grid) -> tuple[Any, Any, Any]:
    gdal = load_gdal()
    from osgeo import ogr

    store = gdal.GetDriverByName("Memory").Create("", 0, 0, 0, gdal.GDT_Unknown)
    layer = store.CreateLayer("polygons", reference(grid.crs_wkt), ogr.wkbUnknown)
    return store, layer, layer.GetLayerDefn()


def _new_feature(definition: Any) -> Any:
    from osgeo import ogr

    return ogr.Feature(definition)


def _change(source_wkt: str, target_wkt: str) -> Any:
    from osgeo import osr

    return osr.CoordinateTransformation(reference(source_wkt), reference(target_wkt))


def _polygon(shape: Any, path: str | os.PathLike[str], number: int) -> Any:
    from osgeo import ogr

    if shape.HasCurveGeometry():
        shape = shape.GetLinearGeometry()
    kind = ogr.GT_Flatten(shape.GetGeometryType())
    if kind not in (ogr.wkbPolygon, ogr.wkbMultiPolygon):
        found = f"feature {number} with {shape.GetGeometryName()}"
        raise RasterError(path, "polygons", f"{found}; --layer and --where choose among features")
    return shape


def _reproject(shape: Any, change: Any, where: str, wkt: str) -> None:
    try:
        shape.Transform(change)
    except RuntimeError as error:
        found = f"{shape.ExportToWkt()[:60]}... ({error})"
        raise RasterError(where, f"coordinates in {describe(wkt)}", found) from error


def _overlap(box: tuple[float, float, float, float], grid: Grid) -> bool:
    """Tells whether an OGR envelope (west, east, south, north) reaches into a grid."""
    west, south, east, north = grid.extent
    return bool(box[0] < east and box[1] > west and box[2] < north and box[3] > south)
