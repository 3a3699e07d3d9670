"""Pixels become landslides: counted, measured and written as SciPy, scikit-image and GDAL's tools find them."""

from __future__ import annotations

import dataclasses
import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from inventory_world import (
    RADIUS_KM,
    Made,
    blobs,
    cell_areas,
    grid_of_size,
    make,
    memory_scene,
    write_bytes,
)
from osgeo import gdal, osr
from scipy import ndimage
from skimage import measure as skimage_measure

from mmls_tf.errors import UsageError
from mmls_tf.inference.inventory import InventoryOptions, write_inventory
from mmls_tf.raster import rows, vector
from mmls_tf.raster.geopackage import read_polygons
from mmls_tf.raster.grid import Grid
from mmls_tf.raster.map_scene import MapScene
from mmls_tf.raster.mars import MARS_WKT
from mmls_tf.raster.nodata import NODATA
from mmls_tf.raster.raster import RasterError
from mmls_tf.raster.windows import Window

HEIGHT, WIDTH = 90, 120


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A map with ragged landslides, gaps, and terrain, and the inventory of it, made in bands of seven rows."""
    rng = np.random.default_rng(4)
    detected = blobs(HEIGHT, WIDTH, 1) ^ (rng.random((HEIGHT, WIDTH)) < 0.02).astype(np.uint8)
    gap = np.zeros((HEIGHT, WIDTH), bool)
    gap[30:50, 60:80] = gap[:3, :] = True
    probability = np.where(detected == 1, rng.integers(128, 255, (HEIGHT, WIDTH)), 40).astype(np.uint8)
    detected[gap] = probability[gap] = 255
    slope = rng.uniform(0, 40, (HEIGHT, WIDTH)).astype(np.float32)
    slope[rng.random((HEIGHT, WIDTH)) < 0.1] = NODATA
    dem = rng.integers(-4000, 4000, (HEIGHT, WIDTH)).astype(np.float32)
    grid = grid_of_size(HEIGHT, WIDTH)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "_PIXELS_AT_ONCE", 7 * WIDTH)
        made = make(
            tmp_path_factory.mktemp("inventory"),
            detected,
            probability,
            memory_scene(grid, {"slope": slope, "dem": dem}),
        )
    labels, count = ndimage.label(detected == 1)
    return {
        "made": made, "grid": grid, "detected": detected, "probability": probability, "slope": slope, "dem": dem,
        "labels": labels, "count": count,
    }  # fmt: skip


def by_label(world: dict[str, Any]) -> dict[int, dict[str, Any]]:
    """The polygons of the file by SciPy's labels of their first pixels."""
    west, _, _, north, *_ = world["grid"].geotransform
    found = {}
    for feature in world["made"].features():
        point = feature["shape"].PointOnSurface()
        label = world["labels"][int((north - point.GetY()) / 232.0), int((point.GetX() - west) / 232.0)]
        found[int(label)] = feature
    return found


def test_every_connected_part_is_one_valid_polygon(world: dict[str, Any]) -> None:
    features = by_label(world)
    assert world["count"] > 30
    assert features.keys() == set(range(1, world["count"] + 1))
    assert all(feature["shape"].IsValid() for feature in features.values())
    assert any(feature["shape"].GetGeometryCount() > 1 for feature in features.values()), "none with a hole"


def test_areas_and_means_are_those_of_the_pixels(world: dict[str, Any]) -> None:
    features = by_label(world)
    index = sorted(features)
    expected = {
        "pixels": ndimage.sum_labels(np.ones((HEIGHT, WIDTH)), world["labels"], index),
        "area_km2": ndimage.sum_labels(cell_areas(world["grid"]), world["labels"], index),
        "mean_probability": ndimage.mean(world["probability"] / 254.0, world["labels"], index),
        "max_probability": ndimage.maximum(world["probability"] / 254.0, world["labels"], index),
        "mean_elevation_m": ndimage.mean(world["dem"], world["labels"], index),
    }
    for name, values in expected.items():
        found = [features[label][name] for label in index]
        np.testing.assert_allclose(found, values, rtol=1e-9, err_msg=name)
    sloped = np.where(world["slope"] == NODATA, 0, world["labels"])
    for label in index:
        here = world["slope"][sloped == label]
        found = features[label]["mean_slope_deg"]
        assert found == (pytest.approx(here.mean(dtype=np.float64)) if here.size else None)


def test_shapes_agree_with_scikit_image(world: dict[str, Any]) -> None:
    features = by_label(world)
    west, _, _, north, *_ = world["grid"].geotransform
    for region in skimage_measure.regionprops(world["labels"]):
        feature = features[region.label]
        x, y = west + 232.0 * (region.centroid[1] + 0.5), north - 232.0 * (region.centroid[0] + 0.5)
        assert feature["lon"] == pytest.approx(np.degrees(x / RADIUS_KM / 1000.0), abs=1e-9)
        assert feature["lat"] == pytest.approx(np.degrees(y / RADIUS_KM / 1000.0), abs=1e-9)
        # Edges between pixels, counted one by one; 232 m at the equator, less along parallels further north.
        inside = np.pad(world["labels"] == region.label, 1)
        steps = np.sum(inside[1:] != inside[:-1]) + np.sum(inside[:, 1:] != inside[:, :-1])
        assert feature["perimeter_km"] == pytest.approx(0.232 * steps, rel=0.035)
        assert feature["perimeter_km"] < 0.232 * steps
        # The rectangle holds the landslide, and is held by the box along rows and columns.
        rows, columns = region.bbox[2] - region.bbox[0], region.bbox[3] - region.bbox[1]
        assert feature["length_km"] >= feature["width_km"]
        assert feature["length_km"] * feature["width_km"] >= feature["area_km2"] * 0.9999
        assert feature["length_km"] * feature["width_km"] <= rows * columns * 0.232**2
        assert feature["length_km"] <= 0.2321 * (region.feret_diameter_max + 1.5)


def test_ids_go_by_area_and_file_and_records_agree(world: dict[str, Any]) -> None:
    features, landslides = world["made"].features(), world["made"].inventory.landslides
    areas = [feature["area_km2"] for feature in features]
    assert (np.diff(areas) < 1e-9).all()
    assert [feature["id"] for feature in features] == list(range(1, world["count"] + 1))
    for feature, landslide in zip(features, landslides, strict=True):
        assert {name: feature[name] for name in dataclasses.asdict(landslide)} == dataclasses.asdict(
            landslide
        )


def test_the_mask_is_the_polygons_and_keeps_the_gaps(world: dict[str, Any]) -> None:
    made: Made = world["made"]
    np.testing.assert_array_equal(made.mask, world["detected"])
    np.testing.assert_array_equal(made.mask == 1, made.burnt(world["grid"]))


def test_totals(world: dict[str, Any]) -> None:
    inventory, cells = world["made"].inventory, cell_areas(world["grid"])
    assert inventory.mapped_km2 == pytest.approx(cells[world["detected"] != 255].sum())
    assert inventory.area_km2 == pytest.approx(cells[world["detected"] == 1].sum())
    summary = inventory.summary()
    assert summary["landslides"] == world["count"]
    assert summary["share"] == pytest.approx(summary["area_km2"] / summary["mapped_km2"])
    assert (summary["dropped"], summary["dropped_km2"], summary["filled_km2"]) == (0, 0.0, 0.0)


def test_polygons_are_read_back_with_their_holes(world: dict[str, Any]) -> None:
    polygons = read_polygons(world["made"].geopackage)
    features = world["made"].features()
    assert [number for number, _ in polygons] == [feature["id"] for feature in features]
    for (_, rings), feature in zip(polygons, features, strict=True):
        assert len(rings) == feature["shape"].GetGeometryCount()
        assert rings[0].tolist() == [list(point) for point in feature["shape"].GetGeometryRef(0).GetPoints()]


def test_bands_of_rows_make_no_difference(world: dict[str, Any], tmp_path: Path) -> None:
    scene = memory_scene(world["grid"], {"slope": world["slope"], "dem": world["dem"]})
    whole = make(tmp_path, world["detected"], world["probability"], scene).inventory
    for one, other in zip(whole.landslides, world["made"].inventory.landslides, strict=True):
        for name, value in dataclasses.asdict(one).items():
            assert dataclasses.asdict(other)[name] == (value and pytest.approx(value, rel=1e-12)), name


def test_ogrinfo_finds_the_layer_with_its_index_and_crs(world: dict[str, Any]) -> None:
    assert "tensorflow" in sys.modules, "whose SQLite cannot make an index"
    path = world["made"].geopackage
    box = world["made"].features()[0]["shape"].GetEnvelope()
    words = ["ogrinfo", "-ro", "-so", path, "landslides", "-spat", box[0], box[2], box[1], box[3]]
    told = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=True).stdout
    assert "Geometry: Polygon" in told
    assert 0 < int(told.split("Feature Count: ")[1].split()[0]) < world["count"]
    sql = ["ogrinfo", "-ro", "-q", str(path), "-sql", "SELECT HasSpatialIndex('landslides', 'geom') "]
    assert (
        "HasSpatialIndex (Integer) = 1"
        in subprocess.run(sql, capture_output=True, text=True, check=True).stdout
    )
    dataset = gdal.OpenEx(str(path))
    layer = dataset.GetLayerByName("landslides")
    assert layer.GetSpatialRef().IsSame(osr.SpatialReference(wkt=MARS_WKT))


def test_qgis_finds_a_default_style_for_an_attribute_of_the_layer(world: dict[str, Any]) -> None:
    dataset = gdal.OpenEx(str(world["made"].geopackage))
    styles = dataset.GetLayerByName("layer_styles")
    (row,) = [feature.items() for feature in styles]
    assert (row["f_table_name"], row["f_geometry_column"]) == ("landslides", "geom")
    assert row["f_table_catalog"] == row["f_table_schema"] == "" and row["useAsDefault"] == 1
    layer = dataset.GetLayerByName("landslides")
    assert layer.GetGeometryColumn() == "geom"
    doctype, _, document = row["styleQML"].partition("\n")
    assert doctype == "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>"
    renderer = ElementTree.fromstring(document).find("renderer-v2")
    assert renderer is not None and renderer.get("type") == "graduatedSymbol"
    assert layer.GetLayerDefn().GetFieldIndex(renderer.get("attr")) >= 0
    ranges = renderer.findall("ranges/range")
    edges = [(float(part.attrib["lower"]), float(part.attrib["upper"])) for part in ranges]
    assert edges[0][0] == 0.0 and edges[-1][1] == 1.0
    assert all(one[1] == other[0] for one, other in itertools.pairwise(edges))
    symbols = {symbol.get("name"): symbol for symbol in renderer.findall("symbols/symbol")}
    assert symbols.keys() == {part.get("symbol") for part in ranges}
    for symbol in symbols.values():
        told = {option.get("name"): option.get("value") for option in symbol.findall("layer/Option/Option")}
        assert told == {prop.get("k"): prop.get("v") for prop in symbol.findall("layer/prop")}
        assert all(0 <= int(channel) <= 255 for channel in str(told["color"]).split(","))


def test_the_file_is_a_source_of_polygons_like_any_other(world: dict[str, Any], tmp_path: Path) -> None:
    polygons = vector.read_polygons(world["made"].geopackage, world["grid"])  # no --layer is needed
    assert polygons.numbers == tuple(range(1, world["count"] + 1))
    burnt = vector.burn(polygons, world["grid"], tmp_path / "burnt.tif").ReadAsArray()
    np.testing.assert_array_equal(burnt == 1, world["detected"] == 1)


def test_of_the_scene_only_bands_of_rows_around_landslides_are_read(tmp_path: Path) -> None:
    detected = np.zeros((40, 30), np.uint8)
    detected[10:13, 5:9] = detected[33:35, 20:22] = 1
    scene = memory_scene(grid_of_size(40, 30))
    read: list[Window] = []

    class Watched(MapScene):
        def read(self, window: Window) -> Any:
            read.append(window)
            return scene.read(window)

    watched = Watched(scene.datasets, scene.grid, 40, 30, scene.order, scene.nodata)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "_PIXELS_AT_ONCE", 4 * 30)
        make(tmp_path, detected, scene=watched)
    assert read == [Window(5, 8, 4, 4), Window(5, 12, 4, 4), Window(20, 32, 2, 4)]


def test_a_map_without_landslides_has_an_empty_layer(tmp_path: Path) -> None:
    detected = np.zeros((10, 12), np.uint8)
    detected[0] = 255
    made = make(tmp_path, detected, fill_holes_km2=1.0, min_area_km2=1.0)
    assert made.inventory.landslides == ()
    assert made.inventory.area_km2 == made.inventory.share == 0.0
    np.testing.assert_array_equal(made.mask, detected)
    assert made.features() == [] and read_polygons(made.geopackage) == []
    words = ["ogrinfo", "-ro", "-so", str(made.geopackage), "landslides"]
    told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert "Feature Count: 0" in told and "mean_slope_deg: Real" in told


def test_a_map_of_nothing_but_gaps(tmp_path: Path) -> None:
    made = make(tmp_path, np.full((10, 12), 255, np.uint8))
    assert made.inventory.mapped_km2 == made.inventory.share == 0.0
    assert (made.mask == 255).all()


def test_bands_that_the_scene_has_not_are_null(tmp_path: Path) -> None:
    detected = np.zeros((10, 12), np.uint8)
    detected[2:5, 2:5] = 1
    grid = grid_of_size(10, 12)
    scene = memory_scene(grid, {"dem": np.full((10, 12), 7.0)}, names=("red", "dem"))
    made = make(tmp_path, detected, scene=scene)
    assert made.features()[0]["mean_slope_deg"] is None
    assert made.inventory.landslides[0].mean_elevation_m == 7.0


def test_a_scene_in_degrees_or_in_another_projection_has_the_same_areas(tmp_path: Path) -> None:
    system = osr.SpatialReference(wkt=MARS_WKT)
    degrees = system.CloneGeogCS().ExportToWkt()
    detected = blobs(40, 50, 3)
    expected = None
    for name, wkt, across, corner in (
        ("metres", MARS_WKT, 232.0, (-5187302.0, 851619.0)),
        ("degrees", degrees, 232.0 / 59274.6, (-5187302.0 / 59274.6, 851619.0 / 59274.6)),
    ):
        grid = Grid((corner[0], across, 0.0, corner[1], 0.0, -across), 50, 40, wkt)
        (tmp_path / name).mkdir()
        made = make(tmp_path / name, detected, scene=memory_scene(grid))
        found = [(landslide.area_km2, landslide.length_km) for landslide in made.inventory.landslides]
        expected = expected or found
        np.testing.assert_allclose(found, expected, rtol=2e-5)
    equal_area = (
        f'PROJCS["Sinusoidal_Mars",{system.CloneGeogCS().ExportToWkt()},PROJECTION["Sinusoidal"],'
        'PARAMETER["longitude_of_center",-80],PARAMETER["false_easting",0],PARAMETER["false_northing",0],UNIT["metre",1]]'
    )
    (tmp_path / "equal").mkdir()
    grid = Grid((-200000.0, 232.0, 0.0, 851619.0, 0.0, -232.0), 50, 40, equal_area)
    made = make(tmp_path / "equal", detected, scene=memory_scene(grid))
    for landslide in made.inventory.landslides:
        assert landslide.area_km2 == pytest.approx(landslide.pixels * 0.232**2, rel=1e-5)
    assert made.inventory.mapped_km2 == pytest.approx(40 * 50 * 0.232**2, rel=1e-5)


def test_nothing_is_left_over_and_old_files_stay_when_it_fails(tmp_path: Path) -> None:
    detected = blobs(20, 20, 1)
    make(tmp_path, detected)
    names = {"probability.tif", "detected.tif", "mask.tif", "landslides.gpkg"}
    assert {path.name for path in tmp_path.iterdir()} == names
    before = (tmp_path / "landslides.gpkg").read_bytes()
    grid = grid_of_size(20, 20)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mmls_tf.raster.geopackage.sys.executable", "false")
        with pytest.raises(UsageError, match=r"landslides.*index"):
            make(tmp_path, np.zeros((20, 20), np.uint8), scene=memory_scene(grid))
    assert (tmp_path / "landslides.gpkg").read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == names


def test_a_scene_without_a_place_has_no_inventory(tmp_path: Path) -> None:
    grid = grid_of_size(5, 5)
    path = write_bytes(tmp_path / "map.tif", np.zeros((5, 5), np.uint8), grid)
    scene = dataclasses.replace(memory_scene(grid), grid=None)
    with pytest.raises(UsageError, match="expected a scene with a georeference"):
        write_inventory(path, path, scene, InventoryOptions(), tmp_path / "m.tif", tmp_path / "l.gpkg")


@pytest.mark.parametrize("name", ["min_area_km2", "fill_holes_km2", "simplify_m"])
@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_options_are_checked(name: str, value: float) -> None:
    with pytest.raises(UsageError, match=f"--{name}="):
        InventoryOptions(**{name: value})


def test_what_is_no_inventory_is_not_read_as_one(tmp_path: Path) -> None:
    (tmp_path / "a.gpkg").write_text("nothing")
    for name in ("a.gpkg", "none.gpkg"):
        with pytest.raises(RasterError, match=f"{name}: expected a GeoPackage with a layer landslides"):
            read_polygons(tmp_path / name)
