"""Polygons: any CRS of the planet gives the same mask, other planets are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from osgeo import gdal
from own_world import (
    LONLAT_WKT,
    RINGS,
    TRANSFORM,
    WKT,
    memory,
    rasterised,
    star,
    to_degrees,
    to_metres,
    write_bare_geojson,
    write_polygons,
)

from mmls_tf.errors import InputError, MmlsError, UsageError
from mmls_tf.raster.grid import Grid
from mmls_tf.raster.vector import burn, read_polygons

WIDTH, HEIGHT = 100, 70
GRID = Grid(TRANSFORM, WIDTH, HEIGHT, WKT)
LAT_FIRST_WKT = (
    'GEOGCS["GCS_Mars",DATUM["D_Mars",SPHEROID["Mars",3396190,0]],PRIMEM["Reference_Meridian",0],'
    'UNIT["degree",0.0174532925199433],AXIS["Latitude",NORTH],AXIS["Longitude",EAST]]'
)
EARTH_WKT = 'GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563]],PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]]'  # noqa: E501
ELLIPSOID_WKT = LONLAT_WKT.replace('"Mars",3396190,0', '"Mars_2000_IAU_IAG",3396190,169.8944472')


def mask_of(path: Path, tmp_path: Path, **how: Any) -> np.ndarray:
    return burn(read_polygons(path, GRID, **how), GRID, tmp_path / "labels.tif").ReadAsArray()


@pytest.fixture
def expected(tmp_path: Path) -> np.ndarray:
    mask = rasterised(
        write_polygons(tmp_path / "metres.gpkg", [to_metres(ring) for ring in RINGS]), WIDTH, HEIGHT
    )
    assert 0.1 < mask.mean() < 0.5
    return mask


@pytest.mark.parametrize("driver", ["GPKG", "ESRI Shapefile", "GeoJSON"])
@pytest.mark.parametrize(
    "wkt", [LONLAT_WKT, LAT_FIRST_WKT, ELLIPSOID_WKT], ids=["lonlat", "latlon", "ellipsoid"]
)
def test_degrees_and_metres_give_the_same_mask(
    driver: str, wkt: str, expected: np.ndarray, tmp_path: Path
) -> None:
    suffix = {"GPKG": "gpkg", "ESRI Shapefile": "shp", "GeoJSON": "json"}[driver]
    rings = [to_degrees(ring) for ring in RINGS]
    path = write_polygons(tmp_path / f"degrees.{suffix}", rings, wkt, driver)
    how = (
        {"crs": "degrees"} if driver == "GeoJSON" else {}
    )  # GDAL's GeoJSON writer forgets CRSs without a code
    np.testing.assert_array_equal(mask_of(path, tmp_path, **how), expected)


def test_longitudes_from_0_to_360_are_the_same_places(expected: np.ndarray, tmp_path: Path) -> None:
    rings = [[(lon + 360.0, lat) for lon, lat in to_degrees(ring)] for ring in RINGS]
    path = write_polygons(tmp_path / "east.gpkg", rings, LONLAT_WKT)
    np.testing.assert_array_equal(mask_of(path, tmp_path), expected)


def test_a_bare_geojson_counts_as_earth_unless_told_otherwise(expected: np.ndarray, tmp_path: Path) -> None:
    degrees = write_bare_geojson(tmp_path / "degrees.geojson", [to_degrees(ring) for ring in RINGS])
    metres = write_bare_geojson(tmp_path / "metres.geojson", [to_metres(ring) for ring in RINGS])
    with pytest.raises(InputError, match=r"(?s)radius 3396.2 km.*radius 6378.1 km.*--polygons_crs=degrees"):
        read_polygons(degrees, GRID)
    np.testing.assert_array_equal(mask_of(degrees, tmp_path, crs="degrees"), expected)
    np.testing.assert_array_equal(mask_of(metres, tmp_path, crs="scene"), expected)


def test_the_mask_does_not_depend_on_gdals_strips(tmp_path: Path) -> None:
    rings = [to_metres(star(*place, 9.3)) for place in np.random.default_rng(1).uniform(0, 300, (40, 2))]
    path = write_polygons(tmp_path / "many.gpkg", rings)
    grid = Grid(TRANSFORM, 300, 300, WKT)
    before = gdal.GetCacheMax()
    try:
        gdal.SetCacheMax(300 * 7)  # strips of seven rows
        found = burn(read_polygons(path, grid), grid, tmp_path / "labels.tif").ReadAsArray()
    finally:
        gdal.SetCacheMax(before)
    np.testing.assert_array_equal(found, rasterised(path, 300, 300))


def test_pixel_centres_decide(tmp_path: Path) -> None:
    square = [(10.4, 10.6), (13.4, 10.6), (13.4, 12.4), (10.4, 12.4), (10.4, 10.6)]
    path = write_polygons(tmp_path / "square.gpkg", [to_metres(square)])
    rows, cols = np.nonzero(mask_of(path, tmp_path))
    assert set(cols) == {10, 11, 12} and set(rows) == {11}


def test_layer_and_filter_choose_features(tmp_path: Path) -> None:
    metres = [to_metres(ring) for ring in RINGS]
    path = write_polygons(tmp_path / "a.gpkg", metres, kinds=["slide", "fan", "slide"])
    assert read_polygons(path, GRID, where="kind = 'slide'").total == 2
    write_polygons(path, metres[:1], layer="drafts")
    assert read_polygons(path, GRID, layer="drafts").total == 1
    for how, message in (
        ({}, "a.gpkg has 2 layers: slides, drafts"),
        ({"layer": "none"}, "--layer=none: .* which has slides, drafts"),
        ({"layer": "slides", "where": "no_such = 1"}, "--where=no_such = 1"),
        ({"layer": "slides", "where": "kind = 'none'"}, "found 0 polygons"),
    ):
        with pytest.raises(MmlsError, match=message):
            read_polygons(path, GRID, **how)


@pytest.mark.parametrize(
    ("wkt", "rings", "message"),
    [
        (EARTH_WKT, [to_degrees(RINGS[0])], "WGS 84"),
        (
            WKT,
            [[(0, 0), (9, 0), (9, 9), (0, 0)]],
            r"(?s)in the scene's extent, x -5187302 to .*found 1 polygons within",
        ),
        (LONLAT_WKT, [to_metres(RINGS[0])], "metres.gpkg"),
    ],
)
def test_polygons_that_cannot_be_of_this_scene(wkt: str, rings: list, message: str, tmp_path: Path) -> None:
    path = write_polygons(tmp_path / "metres.gpkg", rings, wkt)
    with pytest.raises(InputError, match=message):
        read_polygons(path, GRID)


def test_files_that_hold_no_polygons(tmp_path: Path) -> None:
    (tmp_path / "lines.geojson").write_text(
        '{"type": "Feature", "properties": {}, "geometry": {"type": "LineString", "coordinates": [[0, 0], [1, 1]]}}'
    )
    (tmp_path / "text.gpkg").write_text("no GeoPackage")
    (tmp_path / "points.csv").write_text("x,y\n1,2\n")
    write_polygons(tmp_path / "nowhere.shp", [to_metres(RINGS[0])], "", "ESRI Shapefile")
    for name, how, message in (
        ("lines.geojson", {"crs": "degrees"}, "expected polygons, found feature .* with LINESTRING"),
        ("text.gpkg", {}, "expected polygons that GDAL's GPKG"),
        ("points.csv", {}, "expected polygons that GDAL's GPKG"),
        ("absent.gpkg", {}, "found no such file"),
        ("/vsimem/x.gpkg", {}, "found no such file"),
        ("nowhere.shp", {}, "expected a coordinate reference system, found none; --polygons_crs"),
    ):
        with pytest.raises((InputError, UsageError), match=message):
            read_polygons(tmp_path / name, GRID, **how)
    assert mask_of(tmp_path / "nowhere.shp", tmp_path, crs="scene").sum() > 0


def test_the_reference_grid_is_the_scenes() -> None:
    assert memory(np.zeros((HEIGHT, WIDTH), np.float32)).GetGeoTransform() == TRANSFORM
