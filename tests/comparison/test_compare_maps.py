"""Hand-made inventories whose scores are known: what is found, missed, right, false, and what is not judged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from osgeo import gdal, ogr, osr

from mmls_tf.comparison.config import CompareConfig
from mmls_tf.comparison.job import compare
from mmls_tf.errors import InputError, UsageError
from mmls_tf.raster.mars import MARS_RADIUS_M, MARS_WKT

gdal.UseExceptions()
ogr.UseExceptions()
HEIGHT, WIDTH = 40, 60
WEST, NORTH, PIXEL = -5187302.0, -251619.0, 232.0
PIXEL_KM2 = 0.232**2 * np.cos(0.0754)  # to 0.1 %: 4.3 degrees south
DEGREES_WKT = osr.SpatialReference(wkt=MARS_WKT).CloneGeogCS().ExportToWkt()
Box = tuple[int, int, int, int]  # rows from, to; columns from, to
Bytes = npt.NDArray[np.uint8]

TRUE: tuple[Box, ...] = (
    (2, 12, 2, 12),  # 1: 100 pixels, mapped on 60
    (2, 6, 20, 24),  # 2: 16 pixels, not mapped
    (2, 12, 30, 50),  # 3: 200 pixels, mapped by two, 90 each
    (20, 30, 2, 12),  # 4: 100 pixels, of which 70 without data
    (34, 46, 20, 30),  # 5: 60 of its 120 pixels are on the map, 50 of these have data and are mapped
    (50, 60, 5, 10),  # 6: beyond the map
)
MAPPED: tuple[Box, ...] = (
    (2, 8, 2, 12),  # all of its 60 pixels in 1
    (3, 12, 30, 40),  # 90 in 3
    (3, 12, 41, 51),  # 90 of it, of which 81 in 3
    (14, 18, 40, 44),  # 16 pixels, false
    (34, 39, 20, 30),  # 50 in 5
)


def mask_of(boxes: tuple[Box, ...], height: int = HEIGHT) -> Bytes:
    mask = np.zeros((height, WIDTH), np.uint8)
    for top, bottom, left, right in boxes:
        mask[top:bottom, left:right] = 1
    return mask


def write_mask(
    path: Path,
    mask: Bytes,
    nodata: float | None = 255,
    corner: tuple[float, float] = (WEST, NORTH),
    pixel: float = PIXEL,
    wkt: str = MARS_WKT,
) -> Path:
    dataset = gdal.GetDriverByName("GTiff").Create(str(path), mask.shape[1], mask.shape[0], 1, gdal.GDT_Byte)
    dataset.SetGeoTransform((corner[0], pixel, 0.0, corner[1], 0.0, -pixel))
    dataset.SetProjection(wkt)
    if nodata is not None:
        dataset.GetRasterBand(1).SetNoDataValue(nodata)
    dataset.WriteArray(mask)
    dataset.FlushCache()
    return path


def write_polygons(path: Path, boxes: tuple[Box, ...], scale: float = 1.0, wkt: str = MARS_WKT) -> Path:
    """Boxes of pixels as polygons; `scale` brings metres to the units of the CRS."""
    driver = "GPKG" if path.suffix == ".gpkg" else "ESRI Shapefile"
    dataset = gdal.GetDriverByName(driver).Create(str(path), 0, 0, 0, gdal.GDT_Unknown)
    system = osr.SpatialReference(wkt=wkt)
    system.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    layer = dataset.CreateLayer(
        "slides", system, ogr.wkbPolygon, ["SPATIAL_INDEX=NO"] if driver == "GPKG" else []
    )
    for top, bottom, left, right in boxes:
        x = [(WEST + PIXEL * column) * scale for column in (left, right)]
        y = [(NORTH - PIXEL * row) * scale for row in (top, bottom)]
        ring = f"{x[0]} {y[0]}, {x[1]} {y[0]}, {x[1]} {y[1]}, {x[0]} {y[1]}, {x[0]} {y[0]}"
        feature = ogr.Feature(layer.GetLayerDefn())
        feature.SetGeometry(ogr.CreateGeometryFromWkt(f"POLYGON (({ring}))"))
        layer.CreateFeature(feature)
    del layer
    dataset.FlushCache()
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder `map` with the mask of `MAPPED`, without data in 70 pixels of 4 and in one row of 5."""
    mask = mask_of(MAPPED)
    mask[20:27, 2:12] = 255
    mask[39, 20:30] = 255
    (tmp_path / "map").mkdir()
    write_mask(tmp_path / "map" / "mask.tif", mask)
    return tmp_path


def compared(folder: Path, truth: Path, **flags: Any) -> dict[str, Any]:
    config = CompareConfig(truth=str(truth), map=str(folder / "map"), overwrite=True, **flags)
    return compare(config, "a test")


def ids(rows: list[dict[str, Any]]) -> list[int]:
    return [row["id"] for row in rows]


def test_known_inventories_have_known_scores(folder: Path) -> None:
    result = compared(folder, write_polygons(folder / "true.gpkg", TRUE), sizes="1,8")
    counts = result["landslides"]
    assert [counts[name] for name in ("true", "found", "missed", "recall")] == [3, 2, 1, pytest.approx(2 / 3)]
    assert [counts[name] for name in ("mapped", "right", "false", "precision")] == [5, 4, 1, 0.8]
    assert ids(result["missed"]) == [2] and ids(result["false"]) == [5]
    assert result["missed"][0]["area_km2"] == pytest.approx(16 * PIXEL_KM2, rel=2e-3)
    assert result["missed"][0]["covered"] == result["false"][0]["covered"] == 0.0
    # 4 and 5 are mostly without data or outside, 6 is beyond the map.
    assert result["not_judged"] == {"true_outside": 3, "true_hidden": 0, "mapped_outside": 0}
    by_size = [[row[name] for name in ("found", "missed", "right", "false")] for row in result["by_size"]]
    assert by_size == [[0, 1, 0, 1], [1, 0, 4, 0], [1, 0, 0, 0]]
    assert [(row["from_km2"], row["below_km2"]) for row in result["by_size"]] == [(0, 1), (1, 8), (8, None)]


def test_one_to_one_pairs_and_areas(folder: Path) -> None:
    result = compared(folder, write_polygons(folder / "true.gpkg", TRUE))
    # 1 with 60 of 100; the two in 3 have less than half of it; 5 is not judged.
    assert [(pair["true"], pair["mapped"]) for pair in result["pairs"]] == [(1, 3)]
    assert result["pairs"][0]["iou"] == pytest.approx(0.6, rel=1e-3)
    assert result["pairs"][0]["area_error"] == pytest.approx(-0.4, rel=1e-3)
    pairs = result["one_to_one"]
    assert [pairs[name] for name in ("matched", "true_unmatched", "mapped_unmatched")] == [1, 2, 4]
    assert pairs["f1"] == 2 / 8
    assert pairs["panoptic_quality"] == pytest.approx(2 * 0.6 / 8, rel=1e-3)
    area = result["area"]
    true, mapped, both = 100 + 16 + 200 + 30 + 50, 60 + 90 + 90 + 16 + 50, 60 + 90 + 81 + 50
    for name, pixels in (("true_km2", true), ("mapped_km2", mapped), ("both_km2", both)):
        assert area[name] == pytest.approx(pixels * PIXEL_KM2, rel=2e-3), name
    assert area["relative_error"] == pytest.approx((mapped - true) / true, rel=5e-3)
    confusion = result["pixels"]["confusion"]
    assert confusion["true_positive"] == both
    assert confusion["false_positive"] == mapped - both
    assert confusion["false_negative"] == true - both
    assert result["pixels"]["counted"] == HEIGHT * WIDTH - 80


@pytest.mark.parametrize(
    ("name", "scale", "wkt"),
    [
        ("degrees.gpkg", 180 / (np.pi * MARS_RADIUS_M), DEGREES_WKT),
        ("shape.shp", 1.0, MARS_WKT),
    ],
)
def test_the_form_of_the_polygons_makes_no_difference(
    folder: Path, name: str, scale: float, wkt: str
) -> None:
    expected = compared(folder, write_polygons(folder / "true.gpkg", TRUE))
    found = compared(folder, write_polygons(folder / name, TRUE, scale, wkt))
    first = 0 if name.endswith("shp") else 1
    assert ids(found["missed"]) == [1 + first]
    for part in ("landslides", "pixels", "not_judged"):
        assert found[part] == expected[part]


def test_a_mask_is_as_good_a_truth_as_polygons(folder: Path) -> None:
    inside = tuple((top, min(bottom, HEIGHT), left, right) for top, bottom, left, right in TRUE[:5])
    expected = compared(folder, write_polygons(folder / "true.gpkg", inside))
    for nodata in (None, 0, 255):  # 0 is the nodata tag of the masks of MMLSv2, and background all the same
        truth = write_mask(folder / f"true{nodata}.tif", mask_of(inside), nodata)
        found = compared(folder, truth)
        for part in ("landslides", "pixels", "not_judged", "one_to_one"):
            assert found[part] == expected[part], nodata
        assert found["missed"][0]["lon"] == pytest.approx(expected["missed"][0]["lon"])


def test_tiles_of_masks_are_joined_and_what_they_leave_out_is_not_counted(folder: Path) -> None:
    mask = mask_of(tuple((top, min(bottom, HEIGHT), left, right) for top, bottom, left, right in TRUE[:5]))
    mask[0, 0] = 255  # unknown
    tiles = folder / "tiles" / "masks"
    tiles.mkdir(parents=True)
    for row, col in ((0, 0), (0, 20), (0, 40), (20, 20)):  # the lower left and right are missing
        corner = (WEST + PIXEL * col, NORTH - PIXEL * row)
        write_mask(tiles / f"col{col}_row{row}.tif", mask[row : row + 20, col : col + 20], 0, corner)
    whole = compared(folder, write_mask(folder / "true.tif", mask))
    found = compared(folder, folder / "tiles")
    assert found["pixels"]["counted"] == whole["pixels"]["counted"] - 2 * 20 * 20 + 70
    assert whole["pixels"]["counted"] == HEIGHT * WIDTH - 80 - 1
    # Landslide 4 is in no tile; 5, up to column 30, is in one.
    assert whole["not_judged"]["true_outside"] == 1 and found["not_judged"]["true_outside"] == 0
    assert found["landslides"] == whole["landslides"]


def test_a_region_restricts_what_is_compared(folder: Path) -> None:
    truth = write_polygons(folder / "true.gpkg", TRUE)
    east = WEST + PIXEL * 26
    text = f"{east},{NORTH - PIXEL * HEIGHT},{WEST + PIXEL * WIDTH},{NORTH}"
    by_extent = compared(folder, truth, region=text)
    by_file = compared(
        folder, truth, region=str(write_polygons(folder / "region.gpkg", ((0, HEIGHT, 26, WIDTH),)))
    )
    for part in ("landslides", "pixels", "not_judged", "one_to_one", "area"):
        assert by_extent[part] == by_file[part]
    assert by_extent["pixels"]["counted"] == HEIGHT * (WIDTH - 26) - 4
    assert by_extent["landslides"]["true"] == by_extent["landslides"]["found"] == 1
    assert by_extent["landslides"]["mapped"] == 3
    # Only four of the ten columns of the mapped one at 5 lie in the region.
    assert by_extent["not_judged"] == {"true_outside": 5, "true_hidden": 0, "mapped_outside": 2}


def test_half_of_the_area_decides_and_min_overlap_changes_it(folder: Path) -> None:
    write_mask(folder / "map" / "mask.tif", mask_of(((10, 20, 10, 15), (25, 35, 5, 15))))
    truth = write_polygons(folder / "true.gpkg", ((10, 20, 10, 20), (25, 35, 10, 15)))
    result = compared(folder, truth)
    assert result["landslides"]["found"] == result["landslides"]["right"] == 2
    assert result["pairs"] == []  # an IoU of exactly one half may belong to two
    stricter = compared(folder, truth, min_overlap=0.51)
    assert stricter["landslides"]["found"] == stricter["landslides"]["right"] == 1


def test_a_true_landslide_under_another_has_no_pixels_of_its_own(folder: Path) -> None:
    truth = write_polygons(folder / "true.gpkg", ((2, 6, 2, 6), (2, 12, 2, 12)))
    result = compared(folder, truth)
    assert result["not_judged"]["true_hidden"] == 1
    assert result["landslides"]["true"] == result["landslides"]["found"] == 1


def test_an_empty_map_misses_all(folder: Path) -> None:
    write_mask(folder / "map" / "mask.tif", np.zeros((HEIGHT, WIDTH), np.uint8))
    result = compared(folder, write_polygons(folder / "true.gpkg", TRUE[:3]))
    assert result["landslides"]["missed"] == 3
    assert result["landslides"]["precision"] is None
    assert result["area"]["relative_error"] == -1.0
    json.loads((folder / "map" / "comparison.json").read_text(), parse_constant=pytest.fail)


def test_numbers_of_mapped_landslides_are_those_of_the_inventory(folder: Path) -> None:
    result = compared(folder, write_polygons(folder / "true.gpkg", ((0, 1, 59, 60),)))
    assert len(result["false"]) == 5
    areas = [row["area_km2"] for row in result["false"]]
    assert sorted(areas, reverse=True) == areas
    assert ids(result["false"]) == [1, 2, 3, 4, 5]


def test_the_command_prints_tables_and_writes_json(folder: Path, command: Callable[..., Any]) -> None:
    truth = write_polygons(folder / "true.gpkg", TRUE)
    words = ("mmls_tf.compare", f"--truth={truth}", f"--map={folder / 'map'}")
    done = command(*words)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    last = [line for line in done.stdout.splitlines() if line.startswith("all")]
    assert last[0].split() == ["all", "3", "2", "0.667", "5", "4", "0.800"]
    result = json.loads((folder / "map" / "comparison.json").read_text())
    assert result["command"].startswith("python -m mmls_tf.compare --truth=")
    assert {path.name for path in (folder / "map").iterdir()} == {"mask.tif", "comparison.json"}
    again = command(*words)
    assert again.returncode == 2 and "--overwrite replaces it" in again.stderr


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"map": "nowhere"}, "--map=nowhere: expected a folder with mask.tif"),
        ({"truth": "no.gpkg"}, "no.gpkg: expected polygons .* found no such file"),
        ({"truth": "nothing"}, "--truth=nothing: expected masks"),
        ({"truth": "earth.tif"}, "earth.tif: expected a mask on .*radius 3396.2 km.*WGS 84"),
        (
            {"truth": "values.tif"},
            "values.tif: expected a mask of 0, 1 and 255 .unknown., found a pixel of 7",
        ),
        ({"map": "values.tif"}, "values.tif: expected a mask of 0, 1 and 255 .no data., found a pixel of 7"),
        ({"region": "a.gpkg"}, "--region=a.gpkg: expected a file of polygons, or west"),
        ({"region": "5,0,1,1"}, "--region=5,0,1,1: expected a file of polygons, or west"),
        ({"region": "0,0,1,1"}, "--region=0,0,1,1: expected a region that reaches into the map"),
        ({"out": "no/where.json"}, "--out=no/where.json: expected an existing folder"),
        ({"layer": "none"}, "--layer=none"),
    ],
)
def test_mistakes_are_told(
    folder: Path, flags: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_polygons(folder / "true.gpkg", TRUE)
    values = mask_of(TRUE[:1])
    values[0, 0] = 7
    write_mask(folder / "values.tif", values)
    earth = osr.SpatialReference()
    earth.ImportFromEPSG(4326)
    write_mask(folder / "earth.tif", mask_of(()), wkt=earth.ExportToWkt(), pixel=0.01, corner=(10.0, 50.0))
    (folder / "nothing").mkdir()
    monkeypatch.chdir(folder)
    with pytest.raises((UsageError, InputError), match=f"(?s){message}"):
        compare(CompareConfig(**{"truth": "true.gpkg", "map": "map", **flags}), "a test")
    assert not (folder / "map" / "comparison.json").exists()
    assert not list(folder.rglob(".*"))


@pytest.mark.parametrize(
    "flags",
    [
        {"min_overlap": 0.0},
        {"min_overlap": 1.1},
        {"sizes": "3,2"},
        {"sizes": "a"},
        {"sizes": "0,1"},
        {"truth": ""},
    ],
)
def test_flags_are_checked(flags: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"--{next(iter(flags))}"):
        CompareConfig(**{"truth": "a", "map": "b", **flags})
