"""A record holds what its source files hold: compared with plain GDAL, the formula and the written arrays."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal
from small_world import (
    SIZE,
    build_it,
    canonical,
    image_of,
    labels,
    manifest_of,
    plane_of,
    raw_bands,
    read_by_gdal,
    records,
    write_challenge_image,
    write_challenge_mask,
    write_public_image,
    write_source,
)

Records = dict[str, dict[str, bytes]]


@pytest.fixture(scope="module")
def odd_src(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train tiles with every kind of nodata there is, and with zeros that are data."""
    src = write_source(tmp_path_factory.mktemp("odd") / "raw", {"train": 1})
    odd = {}
    odd["border"] = raw_bands(10)
    odd["border"]["slope"][0, :] = -3.4e38
    odd["tag"] = raw_bands(11)
    odd["tag"]["dem"][3, 4] = odd["tag"]["green"][5, 6] = -9999.0
    odd["nan_tag"] = raw_bands(12)
    odd["nan_tag"]["thermal_inertia"][7, 8] = np.nan
    odd["dark_gray"] = raw_bands(13)
    odd["dark_gray"]["gray"][:, :3] = 0.0
    odd["huge"] = raw_bands(14)
    odd["huge"]["dem"][1, 1] = 3.4e38
    tags = {"tag": -9999.0, "nan_tag": float("nan")}
    for index, (stem, bands) in enumerate(odd.items(), start=1):
        write_challenge_image(src / f"train/images/{stem}.tif", bands, index, nodata=tags.get(stem))
        write_challenge_mask(src / f"train/masks/{stem}.tif", labels(index), index)
    return src


@pytest.fixture(scope="module")
def odd_out(odd_src: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("odd_out") / "data"
    build_it(odd_src, out)
    return out


@pytest.fixture(scope="module")
def challenge(challenge_src: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("challenge_out") / "data"
    build_it(challenge_src, out)
    return out


@pytest.fixture(scope="module")
def public(public_src: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("public_out") / "data"
    build_it(public_src, out)
    return out


def sources(src: Path) -> dict[str, Path]:
    return {f"{path.parents[1].name}/{path.stem}": path for path in src.glob("*/images/*.tif")}


def test_every_source_is_one_record_of_its_split_named_split_and_stem(
    challenge_src: Path, challenge: Path
) -> None:
    assert records(challenge).keys() == sources(challenge_src).keys()
    for split in ("train", "val", "test", "isolated"):
        keys = records(challenge / split).keys()
        assert {key.split("/")[0] for key in keys} == {split}
        assert len(keys) == len(list((challenge_src / split / "images").iterdir()))


def test_a_record_has_the_features_of_the_contract_and_no_others(challenge: Path) -> None:
    for record in records(challenge).values():
        assert set(record) == {"key", "image", "valid", "mask", "geotransform"}
        assert len(record["image"]) == SIZE * SIZE * 7 * 4
        assert len(record["valid"]) == len(record["mask"]) == SIZE * SIZE


def test_images_are_what_gdal_reads_reordered_and_scaled(challenge_src: Path, challenge: Path) -> None:
    found = records(challenge)
    for key, path in sources(challenge_src).items():
        image, valid = read_by_gdal(path)
        np.testing.assert_array_equal(image_of(found[key]), image)
        np.testing.assert_array_equal(plane_of(found[key], "valid"), valid)


def test_each_band_lands_in_its_canonical_place(tmp_path: Path) -> None:
    values = {"red": 207, "green": 18, "blue": 255, "dem": 6988, "slope": 31.4013, "thermal_inertia": 127}
    bands = {name: np.full((SIZE, SIZE), value, np.float32) for name, value in values.items()}
    bands["gray"] = np.full((SIZE, SIZE), 254, np.float32)
    write_challenge_image(tmp_path / "raw/train/images/a.tif", bands)
    build_it(tmp_path / "raw", tmp_path / "data")
    pixel = image_of(records(tmp_path / "data")["train/a"])[0, 0]
    np.testing.assert_allclose(pixel, [1.0, 0.0, 1.0, 1.0, 0.5, 0.5, 1.0], atol=1e-6)


def test_values_outside_the_published_range_are_not_clipped(tmp_path: Path) -> None:
    bands = raw_bands(0)
    bands["dem"][:] = 9000.0
    bands["red"][:] = 0.0
    write_challenge_image(tmp_path / "raw/train/images/a.tif", bands)
    build_it(tmp_path / "raw", tmp_path / "data")
    image = image_of(records(tmp_path / "data")["train/a"])
    np.testing.assert_allclose(image[..., 3], (9000 + 5834) / 12822, rtol=1e-6)
    np.testing.assert_allclose(image[..., 0], -18 / 189, rtol=1e-6)


def test_masks_are_the_labels_and_their_nodata_tag_of_zero_is_ignored(
    challenge_src: Path, challenge: Path
) -> None:
    found = records(challenge)
    for key, path in sources(challenge_src).items():
        file = gdal.Open(str(path).replace("/images/", "/masks/"))
        assert file.GetRasterBand(1).GetNoDataValue() == 0
        np.testing.assert_array_equal(plane_of(found[key], "mask"), file.ReadAsArray())
        assert plane_of(found[key], "valid").all()


def test_the_geotransform_is_exact_in_float64(challenge_src: Path, challenge: Path) -> None:
    found = records(challenge)
    entries = {tile["key"]: tile for tile in manifest_of(challenge)["tiles"]}
    for key, path in sources(challenge_src).items():
        expected = gdal.Open(str(path)).GetGeoTransform()
        assert tuple(np.frombuffer(found[key]["geotransform"], "<f8")) == expected
        assert tuple(entries[key]["geotransform"]) == expected
        assert float(np.float32(expected[0])) != expected[0]


def test_pixels_with_nodata_are_invalid_and_zero_in_every_band(odd_src: Path, odd_out: Path) -> None:
    found = records(odd_out)
    for key, path in sources(odd_src).items():
        image, valid = read_by_gdal(path)
        np.testing.assert_array_equal(plane_of(found[key], "valid"), valid)
        np.testing.assert_array_equal(image_of(found[key]), image)
        assert (image_of(found[key])[valid == 0] == 0.0).all()


@pytest.mark.parametrize(
    ("stem", "invalid"),
    [("border", SIZE), ("tag", 2), ("nan_tag", 1), ("huge", 1), ("dark_gray", 0), ("t00", 0)],
)
def test_exactly_the_nodata_pixels_are_invalid(odd_out: Path, stem: str, invalid: int) -> None:
    assert (plane_of(records(odd_out)[f"train/{stem}"], "valid") == 0).sum() == invalid
    entry = next(tile for tile in manifest_of(odd_out)["tiles"] if tile["key"] == f"train/{stem}")
    assert entry["valid_pixels"] == SIZE * SIZE - invalid


def test_gray_zero_is_data(odd_out: Path) -> None:
    record = records(odd_out)["train/dark_gray"]
    assert plane_of(record, "valid").all()
    image = image_of(record)
    assert (image[:, :3, 6] == 0.0).all()
    assert (image[:, :3, 3] == canonical(raw_bands(13))[:, :3, 3]).all()


def test_a_mask_keeps_its_labels_where_the_image_has_no_data(odd_out: Path) -> None:
    np.testing.assert_array_equal(plane_of(records(odd_out)["train/border"], "mask"), labels(1))


def test_both_layouts_give_the_same_images_and_masks(challenge: Path, public: Path) -> None:
    one, other = records(challenge), records(public)
    assert one.keys() == other.keys()
    for key in one:
        assert one[key]["image"] == other[key]["image"]
        assert one[key]["mask"] == other[key]["mask"]
        assert one[key]["valid"] == other[key]["valid"]


def test_the_layout_is_recognised_from_the_files(challenge: Path, public: Path) -> None:
    assert manifest_of(challenge)["layout"] == "challenge"
    assert manifest_of(public)["layout"] == "public"


def test_a_layout_given_by_name_is_used_and_not_guessed(
    public_src: Path, public: Path, tmp_path: Path
) -> None:
    again = build_it(public_src, tmp_path / "data", layout="public")
    assert again.fingerprint == manifest_of(public)["fingerprint"]


def test_public_tiles_have_neither_geotransform_nor_crs(public: Path) -> None:
    assert all("geotransform" not in record for record in records(public).values())
    manifest = manifest_of(public)
    assert manifest["crs_wkt"] is None
    assert all(tile["geotransform"] is None for tile in manifest["tiles"])


def test_a_split_without_any_mask_is_built_unlabelled(challenge_src: Path, tmp_path: Path) -> None:
    src = tmp_path / "raw"
    shutil.copytree(challenge_src, src)
    shutil.rmtree(src / "test/masks")
    for mask in (src / "isolated/masks").iterdir():
        mask.unlink()
    build_it(src, tmp_path / "data")
    found = records(tmp_path / "data")
    splits = {split["name"]: split for split in manifest_of(tmp_path / "data")["splits"]}
    for key, record in found.items():
        assert ("mask" in record) == key.startswith(("train/", "val/"))
    for name in ("test", "isolated"):
        assert splits[name]["labelled"] is False
        assert splits[name]["foreground_share"] is None
    assert splits["train"]["labelled"] is True
    assert splits["train"]["foreground_share"] == np.mean([labels(seed) for seed in range(4)])


@pytest.mark.parametrize("suffix", [".TIF", ".tiff"])
def test_a_suffix_may_be_spelt_in_other_ways(tmp_path: Path, suffix: str) -> None:
    write_challenge_image(tmp_path / f"raw/train/images/a{suffix}", raw_bands(0))
    (tmp_path / "raw/train/images/._a.tif").write_text("what macOS leaves behind")
    (tmp_path / "raw/train/images/notes.txt").write_text("not a raster")
    build_it(tmp_path / "raw", tmp_path / "data")
    assert list(records(tmp_path / "data")) == ["train/a"]


def test_splits_that_share_stems_keep_their_tiles_apart(tmp_path: Path) -> None:
    for seed, split in enumerate(("train", "isolated")):
        write_public_image(tmp_path / f"raw/{split}/images/same.tif", raw_bands(seed))
    build_it(tmp_path / "raw", tmp_path / "data")
    found = records(tmp_path / "data")
    for seed, split in enumerate(("train", "isolated")):
        np.testing.assert_array_equal(image_of(found[f"{split}/same"]), canonical(raw_bands(seed)))
