"""Small seeded scenes, polygons and files, made with GDAL and NumPy alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from osgeo import gdal, ogr, osr

for module in (gdal, ogr, osr):
    module.UseExceptions()

ORDER = ("thermal_inertia", "slope", "dem", "gray", "red", "green", "blue")
NODATA = np.float32(-3.4028235e38)
WKT = (
    'PROJCS["SimpleCylindrical_Mars",GEOGCS["GCS_Mars",DATUM["D_Mars",SPHEROID["Mars",3396190,0]],'
    'PRIMEM["Reference_Meridian",0],UNIT["degree",0.0174532925199433]],PROJECTION["Equirectangular"],'
    'PARAMETER["standard_parallel_1",0],PARAMETER["central_meridian",0],PARAMETER["false_easting",0],'
    'PARAMETER["false_northing",0],UNIT["metre",1]]'
)
LONLAT_WKT = osr.SpatialReference(wkt=WKT).CloneGeogCS().ExportToWkt()
TRANSFORM = (-5187302.3444, 232.0, 0.0, -251619.2345, 0.0, -232.0)
METRES_PER_DEGREE = np.pi * 3396190 / 180


def relief(width: int, height: int, seed: int = 0) -> np.ndarray:
    """Elevations in whole metres, [height, width]."""
    rng = np.random.default_rng(seed)
    row, col = np.mgrid[:height, :width]
    waves = sum(
        rng.uniform(50, 400) * np.sin(col / rng.uniform(5, 40) + row / rng.uniform(5, 40) + phase)
        for phase in range(5)
    )
    return np.rint(waves + rng.uniform(-20, 20, (height, width))).astype(np.float32)


def scene_bands(width: int, height: int, seed: int = 0) -> dict[str, np.ndarray]:
    """The seven raw bands by name, float32 [height, width]; slope is GDAL's on the whole."""
    rng = np.random.default_rng(seed)
    bands = {name: rng.integers(20, 250, (height, width)).astype(np.float32) for name in ORDER}
    bands["dem"] = relief(width, height, seed)
    slope = gdal.DEMProcessing("", memory(bands["dem"]), "slope", format="MEM", computeEdges=True)
    bands["slope"] = slope.ReadAsArray()
    return bands


def memory(array: np.ndarray, transform: Sequence[float] = TRANSFORM, wkt: str = WKT) -> gdal.Dataset:
    """An in-memory dataset of [height, width] or [bands, height, width] float32."""
    planes = array if array.ndim == 3 else array[None]
    dataset = gdal.GetDriverByName("MEM").Create(
        "", planes.shape[2], planes.shape[1], planes.shape[0], gdal.GDT_Float32
    )
    dataset.SetGeoTransform(transform)
    dataset.SetProjection(wkt)
    dataset.WriteArray(planes)
    return dataset


def write(
    path: Path,
    array: np.ndarray,
    transform: Sequence[float] | None = TRANSFORM,
    wkt: str = WKT,
    nodata: float | None = None,
    names: Sequence[str] = (),
    kind: int = gdal.GDT_Float32,
    options: Sequence[str] = (),
) -> Path:
    """Writes [height, width] or [bands, height, width] as a GeoTIFF."""
    planes = array if array.ndim == 3 else array[None]
    dataset = gdal.GetDriverByName("GTiff").Create(
        str(path), planes.shape[2], planes.shape[1], planes.shape[0], kind, list(options)
    )
    if transform is not None:
        dataset.SetGeoTransform(transform)
    dataset.SetProjection(wkt)
    for index, plane in enumerate(planes):
        band = dataset.GetRasterBand(index + 1)
        band.WriteArray(plane)
        if nodata is not None:
            band.SetNoDataValue(nodata)
        if names:
            band.SetDescription(names[index])
    dataset.FlushCache()
    return path


def write_scene(
    path: Path, width: int = 100, height: int = 70, seed: int = 0, **options: object
) -> np.ndarray:
    """Writes a scene in the challenge's order and returns its bands [7, height, width]."""
    bands = scene_bands(width, height, seed)
    array = np.stack([bands[name] for name in ORDER])
    write(path, array, **options)  # type: ignore[arg-type]
    return array


def star(col: float, row: float, radius: float, points: int = 11) -> list[tuple[float, float]]:
    """A closed ring in pixel coordinates."""
    angles = np.linspace(0, 2 * np.pi, points, endpoint=False)
    reach = radius * (0.7 + 0.3 * np.cos(5 * angles))
    ring = [(col + r * np.cos(a), row + r * np.sin(a)) for r, a in zip(reach, angles, strict=True)]
    return [*ring, ring[0]]


RINGS = (star(20.3, 15.2, 12.1), star(60.1, 40.7, 25.3), star(97.0, 66.0, 9.0))


def to_metres(ring: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Pixel coordinates to x and y of the scene."""
    return [(TRANSFORM[0] + 232.0 * col, TRANSFORM[3] - 232.0 * row) for col, row in ring]


def to_degrees(ring: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Pixel coordinates to longitude and latitude."""
    return [(x / METRES_PER_DEGREE, y / METRES_PER_DEGREE) for x, y in to_metres(ring)]


def write_polygons(
    path: Path,
    rings: Sequence[Sequence[tuple[float, float]]],
    wkt: str = WKT,
    driver: str = "GPKG",
    layer: str = "slides",
    kinds: Sequence[str] = (),
) -> Path:
    """Writes one polygon a ring, with an attribute `kind`; a layer more if the file is there already."""
    if path.exists():
        dataset = gdal.OpenEx(str(path), gdal.OF_VECTOR | gdal.OF_UPDATE)
    else:
        dataset = gdal.GetDriverByName(driver).Create(str(path), 0, 0, 0, gdal.GDT_Unknown)
    system = osr.SpatialReference(wkt=wkt) if wkt else None
    if system is not None:
        system.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    # TensorFlow brings an SQLite without R-trees, which shadows GDAL's once both are loaded.
    options = ["SPATIAL_INDEX=NO"] if path.suffix == ".gpkg" else []
    target = dataset.CreateLayer(layer, system, ogr.wkbPolygon, options)
    target.CreateField(ogr.FieldDefn("kind", ogr.OFTString))
    for index, ring in enumerate(rings):
        points = ", ".join(f"{x!r} {y!r}" for x, y in ((float(x), float(y)) for x, y in ring))
        feature = ogr.Feature(target.GetLayerDefn())
        feature.SetGeometry(ogr.CreateGeometryFromWkt(f"POLYGON (({points}))"))
        feature.SetField("kind", kinds[index] if kinds else "slide")
        target.CreateFeature(feature)
    del target
    dataset.FlushCache()
    return path


def write_bare_geojson(path: Path, rings: Sequence[Sequence[tuple[float, float]]]) -> Path:
    """GeoJSON without a `crs`, as most programs write it."""
    features = [
        {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
        for ring in rings
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def rasterised(polygons: Path, width: int, height: int) -> np.ndarray:
    """The mask of the whole scene by `gdal_rasterize`, uint8 [height, width]."""
    west, north = TRANSFORM[0], TRANSFORM[3]
    bounds = (west, north - 232.0 * height, west + 232.0 * width, north)
    dataset = gdal.Rasterize(
        "", str(polygons), format="MEM", outputBounds=bounds, width=width, height=height,
        burnValues=[1], outputType=gdal.GDT_Byte,
    )  # fmt: skip
    return dataset.ReadAsArray()


def read(path: Path) -> np.ndarray:
    """All pixels of a file, as stored."""
    return gdal.Open(str(path)).ReadAsArray()


def transform_of(path: Path) -> tuple[float, ...]:
    """A file's geotransform."""
    return gdal.Open(str(path)).GetGeoTransform()
