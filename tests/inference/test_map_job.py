"""The files of a map: where their pixels lie, what they hold, and that they are complete or not there."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from map_world import (
    ALL,
    NODATA,
    ORDER,
    TRANSFORM,
    WKT,
    canonical,
    mapped,
    read,
    scene_pixels,
    write_raster,
)
from osgeo import gdal
from osgeo_utils.samples.validate_cloud_optimized_geotiff import validate

from mmls_tf.errors import InputError, MmlsError, UsageError
from mmls_tf.inference.predictor import Predictor
from mmls_tf.raster.geotiff import same_crs

pytestmark = pytest.mark.usefixtures("without_pictures")


def test_the_map_lies_pixel_by_pixel_where_the_scene_lies(finished: Path, scene: Path) -> None:
    given = gdal.Open(str(scene))
    for name in ("probability.tif", "mask.tif"):
        found = gdal.Open(str(finished / name))
        assert found.GetGeoTransform() == given.GetGeoTransform() == TRANSFORM
        assert (found.RasterXSize, found.RasterYSize) == (given.RasterXSize, given.RasterYSize)
        assert same_crs(found.GetProjection(), WKT)
        band = found.GetRasterBand(1)
        assert (band.GetNoDataValue(), band.DataType) == (255, gdal.GDT_Byte)


def test_the_files_hold_what_predict_says_of_the_array(finished: Path, run: Path, pixels: np.ndarray) -> None:
    expected = Predictor.load(run, batch=1, overlap=0.75).predict(np.moveaxis(pixels, 0, -1))
    stored, mask = read(finished / "probability.tif"), read(finished / "mask.tif")
    valid = canonical(pixels)[1]
    np.testing.assert_array_equal(stored == 255, ~valid)
    np.testing.assert_array_equal(stored[valid], np.rint(expected[valid].astype(float) * 254))
    np.testing.assert_array_equal(mask, np.where(valid, expected > 0.5, 255))
    assert 0.05 < (mask == 1).mean() < 0.95
    dataset = gdal.Open(str(finished / "probability.tif"))  # referenced as long as its band
    band = dataset.GetRasterBand(1)
    assert band.GetScale() == pytest.approx(1 / 254)
    assert "probability" in band.GetDescription()


@pytest.mark.parametrize("name", ["probability.tif", "mask.tif"])
def test_gdals_validator_finds_them_cloud_optimised(finished: Path, name: str) -> None:
    warnings, errors, _ = validate(str(finished / name), full_check=True)
    assert (warnings, errors) == ([], [])


def test_a_larger_map_has_overviews_of_zeros_ones_and_nodata(run: Path, tmp_path: Path) -> None:
    large = np.tile(scene_pixels(80, 80), (1, 4, 8))
    large[:, :100, :300] = NODATA
    out = tmp_path / "map"
    mapped(run, write_raster(tmp_path / "large.tif", large), out, batch=16, overlap=0.0, check_order=False)
    warnings, errors, _ = validate(str(out / "mask.tif"), full_check=True)
    assert (warnings, errors) == ([], [])
    dataset = gdal.Open(str(out / "mask.tif"))  # referenced as long as its band
    band = dataset.GetRasterBand(1)
    assert band.GetOverviewCount() >= 1
    assert set(np.unique(band.GetOverview(0).ReadAsArray())) == {0, 1, 255}
    record = json.loads((out / "prediction.json").read_text())
    assert record["windows"]["predicted"] < record["windows"]["planned"]


def test_the_record_says_how_the_map_was_made(finished: Path, run: Path, scene: Path) -> None:
    record = json.loads((finished / "prediction.json").read_text())
    assert set(record["files"]) == ALL == {path.name for path in finished.iterdir()}
    assert record["runs"][0]["sha256"] == Predictor.load(run).members[0].sha256
    assert record["threshold"] == 0.5
    assert record["windows"] == {
        "tile": 32, "overlap": 0.75, "context": 0, "batch": 1, "planned": 70, "predicted": 70,
    }  # fmt: skip
    assert record["scene"]["geotransform"] == list(TRANSFORM)
    assert record["scene"]["given"] == str(scene)
    assert record["timings"]["network_seconds"] <= record["timings"]["rows_seconds"]
    assert record["command"] == "a test"
    assert {"mmls_tf", "keras", "tensorflow", "numpy"} <= record["versions"].keys()


def test_the_threshold_is_applied_to_the_probability_not_to_what_is_stored_of_it(
    run: Path, scene: Path, pixels: np.ndarray, tmp_path: Path
) -> None:
    probability = Predictor.load(run, batch=1, overlap=0.75).predict(np.moveaxis(pixels, 0, -1))
    valid = ~np.isnan(probability)
    between = np.sort(probability[valid])[1000]
    mapped(run, scene, tmp_path / "map", threshold=repr(float(between)))
    mask = read(tmp_path / "map" / "mask.tif")
    np.testing.assert_array_equal(mask[valid], probability[valid] > between)


def test_a_scene_without_georeference_has_no_polygons_and_says_why(
    run: Path, pixels: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = write_raster(tmp_path / "bare.tif", pixels, transform=None)
    record = mapped(run, bare, tmp_path / "map")
    assert {path.name for path in (tmp_path / "map").iterdir()} == ALL - {"landslides.gpkg", "map.html"}
    assert any("no georeference" in remark for remark in record["remarks"])
    assert "no georeference" in capsys.readouterr().out
    assert record["inventory"] is None
    with pytest.raises(UsageError, match=r"--min_area_km2=1.0: expected a georeferenced scene"):
        mapped(run, bare, tmp_path / "other", min_area_km2=1.0)
    assert not (tmp_path / "other").exists()


def test_a_scene_smaller_than_a_tile_is_mapped(run: Path, pixels: np.ndarray, tmp_path: Path) -> None:
    small = pixels[:, :20, :11]
    mapped(run, write_raster(tmp_path / "small.tif", small), tmp_path / "map")
    assert read(tmp_path / "map" / "mask.tif").shape == (20, 11)


def test_a_resampled_scene_is_mapped_on_the_pixels_of_training_and_it_is_said(
    run: Path, tmp_path: Path
) -> None:
    transform = (TRANSFORM[0], 116.0, 0.0, TRANSFORM[3], 0.0, -116.0)
    fine = write_raster(tmp_path / "fine.tif", scene_pixels(90, 100), transform)
    record = mapped(run, fine, tmp_path / "map", resample=True, check_order=False)
    found = gdal.Open(str(tmp_path / "map" / "mask.tif"))
    assert (found.RasterXSize, found.RasterYSize) == (50, 45)
    assert found.GetGeoTransform() == TRANSFORM
    assert any("116 m were brought to 232 m" in remark for remark in record["remarks"])


def test_a_missing_band_that_is_declared_is_mapped_without(
    run: Path, pixels: np.ndarray, tmp_path: Path
) -> None:
    six = write_raster(tmp_path / "six.tif", pixels[[0, 1, 2, 4, 5, 6]], names=ORDER[:3] + ORDER[4:])
    with pytest.raises(InputError, match="data in band gray, which a run sees, found none"):
        mapped(run, six, tmp_path / "map")
    assert not (tmp_path / "map").exists()
    mapped(run, six, tmp_path / "map", missing="gray")
    np.testing.assert_array_equal(read(tmp_path / "map" / "mask.tif") == 255, ~canonical(pixels)[1])


def test_values_unlike_training_are_remarked_on_the_screen_and_in_the_record(
    run: Path, pixels: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = pixels.copy()
    odd[ORDER.index("gray")] += 1e5
    record = mapped(run, write_raster(tmp_path / "odd.tif", odd), tmp_path / "map")
    (remark,) = [remark for remark in record["remarks"] if remark.startswith("gray: unlike the train split")]
    assert remark in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"overlap": 0.95}, "--overlap=0.95: expected a share from 0 to 0.9"),
        ({"batch": 0}, "--batch=0: expected 1 or more"),
        ({"tile": -1}, "--tile=-1: expected 0"),
        ({"threshold": "1.5"}, r"--threshold=1.5: expected val, or a number in \(0, 1\)"),
        ({"threshold": "val"}, "--threshold=val: expected a threshold that val has chosen.*--split=val"),
        ({"missing": "all"}, "--missing=all: expected some of the bands"),
        ({"missing": "xyz"}, "--missing=xyz"),
        ({"order": "dem,slope"}, "--order=dem,slope: expected each of"),
        ({"drivers": "GTif"}, "--drivers=GTif: expected names of GDAL's raster drivers"),
        ({"resume": True, "overwrite": True}, "--resume, --overwrite: expected one of them"),
        ({"simplify_m": -1.0}, "--simplify_m=-1.0"),
        ({"tile": 33}, "--tile=33"),
    ],
)
def test_flags_that_cannot_be_meant_cost_one_message_and_leave_nothing(
    flags: dict[str, Any], message: str, trained_run: Path, scene: Path, tmp_path: Path
) -> None:
    with pytest.raises(MmlsError, match=message):
        mapped(trained_run, scene, tmp_path / "map", **flags)
    assert list(tmp_path.iterdir()) == []


def test_swapped_bands_are_refused_unless_the_check_is_off(
    run: Path, pixels: np.ndarray, tmp_path: Path
) -> None:
    swapped = write_raster(tmp_path / "swapped.tif", pixels[[0, 2, 1, 3, 4, 5, 6]])
    with pytest.raises(InputError, match="Name the order with --order, or pass --check_order=false"):
        mapped(run, swapped, tmp_path / "map")
    order = ",".join(ORDER[place] for place in (0, 2, 1, 3, 4, 5, 6))
    mapped(run, swapped, tmp_path / "map", order=order)
    plain = Predictor.load(run, batch=1, overlap=0.75).predict(np.moveaxis(pixels, 0, -1))
    valid = ~np.isnan(plain)
    np.testing.assert_array_equal(read(tmp_path / "map" / "mask.tif")[valid], plain[valid] > 0.5)


def test_a_threshold_chosen_on_val_is_taken(own_run: Path, scene: Path, tmp_path: Path) -> None:
    from mmls_tf.evaluation.config import EvaluateConfig
    from mmls_tf.evaluation.job import evaluate

    evaluate(EvaluateConfig(run=str(own_run), split="val"), "a test")
    (choice,) = (own_run / "choices").glob("*.json")
    chosen = json.loads(choice.read_text())["threshold"]
    record = mapped(own_run, scene, tmp_path / "map", threshold="val", batch=16, overlap=0.0)
    assert (record["threshold"], record["threshold_from"]) == (chosen, "val")


Command = Callable[..., "subprocess.CompletedProcess[str]"]


def test_the_command_maps_tiles_in_a_folder_and_says_what_it_has_written(
    trained_run: Path, raw_folder: Path, tmp_path: Path, command: Command
) -> None:
    out = tmp_path / "map"
    flags = [f"--run={trained_run}", f"--scene={raw_folder / 'isolated'}", f"--out={out}", "--tta=flips"]
    result = command("mmls_tf.predict", *flags, "--min_area_km2=0.1")
    assert result.returncode == 0, result.stderr
    assert {path.name for path in out.iterdir()} == ALL
    for word in (
        "scene ",
        "threshold  0.5000",
        "megapixels/s",
        "landslides ",
        f"Written: {out}/ (landslides.gpkg",
    ):
        assert word in result.stdout
    assert json.loads((out / "prediction.json").read_text())["command"].startswith(
        "python -m mmls_tf.predict --run="
    )
    assert result.stderr == ""
