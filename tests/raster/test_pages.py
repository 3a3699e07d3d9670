"""Page-stacked TIFFs and the recognition of the two layouts, on files that tifffile and GDAL wrote."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from osgeo import gdal

from mmls_tf.errors import UsageError
from mmls_tf.raster.layouts import CHALLENGE, PUBLIC, layout_named, recognise, to_canonical
from mmls_tf.raster.pages import read_single, read_stacked
from mmls_tf.raster.raster import Raster, RasterError

gdal.UseExceptions()
SIZE = 20


def array(size: int = SIZE, bands: int = 7) -> np.ndarray:
    return np.random.default_rng(0).random((size, size, bands), np.float32)


def write_geotiff(path: Path, bands: int, interleave: str = "PIXEL") -> Path:
    options = [f"INTERLEAVE={interleave}", "COMPRESS=LZW"]
    file = gdal.GetDriverByName("GTiff").Create(str(path), SIZE, SIZE, bands, gdal.GDT_Float32, options)
    file.WriteArray(np.moveaxis(array(bands=bands), -1, 0))
    file = None
    return path


@pytest.mark.parametrize("compression", [None, "lzw", "deflate"])
def test_a_stack_of_pages_is_the_array_that_was_saved(tmp_path: Path, compression: str | None) -> None:
    tifffile.imwrite(tmp_path / "a.tif", array(), compression=compression)
    assert len(tifffile.TiffFile(tmp_path / "a.tif").pages) == SIZE
    raster = read_stacked(tmp_path / "a.tif", 7, SIZE)
    np.testing.assert_array_equal(np.moveaxis(raster.pixels, 0, -1), array())
    assert raster.nodata == (None,) * 7
    assert (raster.geotransform, raster.crs_wkt) == (None, None)


def test_a_stack_of_another_size_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", array(24))
    with pytest.raises(
        RasterError, match=r"a.tif: expected 20 pages of 20 x 7 float32, found 24 pages of 24 x 7"
    ):
        read_stacked(tmp_path / "a.tif", 7, SIZE)


def test_one_page_of_seven_bands_is_no_stack(tmp_path: Path) -> None:
    path = write_geotiff(tmp_path / "a.tif", 7)
    with pytest.raises(RasterError, match=r"found 1 page of 20 x 20 x 7"):
        read_stacked(path, 7, SIZE)


@pytest.mark.parametrize("dtype", [np.float64, np.uint8, np.complex64, np.int16])
def test_a_stack_of_other_numbers_is_refused(tmp_path: Path, dtype: type) -> None:
    tifffile.imwrite(tmp_path / "a.tif", array().astype(dtype))
    with pytest.raises(RasterError, match=rf"a.tif: expected float32 numbers, found {np.dtype(dtype)}"):
        read_stacked(tmp_path / "a.tif", 7, SIZE)


def test_a_mask_compressed_by_lzw_is_read(tmp_path: Path) -> None:
    mask = (array()[..., 0] < 0.3).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", mask, compression="lzw")
    np.testing.assert_array_equal(read_single(tmp_path / "a.tif", SIZE).pixels, mask[None])


@pytest.mark.parametrize(
    "read", [lambda path: read_stacked(path, 7, SIZE), lambda path: read_single(path, SIZE)]
)
@pytest.mark.parametrize(
    ("content", "found"), [(None, "no such file"), (b"", "damaged data"), (b"just a text", "not a TIFF")]
)
def test_what_cannot_be_read_is_named(
    tmp_path: Path, content: bytes | None, found: str, read: object
) -> None:
    if content is not None:
        (tmp_path / "broken.tif").write_bytes(content)
    with pytest.raises(RasterError) as caught:
        read(tmp_path / "broken.tif")  # type: ignore[operator]
    (issue,) = caught.value.issues
    assert issue.path == str(tmp_path / "broken.tif")
    assert found in issue.found


@pytest.mark.parametrize("interleave", ["PIXEL", "BAND"])
def test_a_geotiff_of_seven_bands_is_of_the_challenge_layout(tmp_path: Path, interleave: str) -> None:
    assert recognise(write_geotiff(tmp_path / "a.tif", 7, interleave)) is CHALLENGE


def test_a_stack_of_pages_is_of_the_public_layout(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", array())
    assert recognise(tmp_path / "a.tif") is PUBLIC


@pytest.mark.parametrize("bands", [1, 3, 6, 8])
def test_other_files_are_of_no_layout(tmp_path: Path, bands: int) -> None:
    with pytest.raises(RasterError, match=rf"1 page of 20 x 20 with {bands} band"):
        recognise(write_geotiff(tmp_path / "a.tif", bands))
    tifffile.imwrite(tmp_path / "stack.tif", array(bands=bands), photometric="minisblack")
    with pytest.raises(RasterError, match=r"stack.tif: expected one page of 7 bands .* found"):
        recognise(tmp_path / "stack.tif")


def test_layouts_have_names(tmp_path: Path) -> None:
    assert layout_named("challenge") is CHALLENGE
    assert layout_named("public") is PUBLIC
    with pytest.raises(UsageError, match=r"--layout=v0: expected one of challenge, public"):
        layout_named("v0")


def test_each_band_has_a_nodata_tag_of_its_own() -> None:
    pixels = np.moveaxis(array(8) + 1, -1, 0).copy()
    pixels[0, 0, 0] = -1.0  # the tag of the first band
    pixels[1, 1, 1] = -1.0  # data: the second band's tag is -2
    pixels[2, 2, 2] = np.nan  # the third band's tag is NaN
    pixels[3, 3, 3] = -1.0  # data: no tag
    pixels[6, 4, 4] = -4e30
    image, valid = to_canonical(Raster(pixels, (-1.0, -2.0, float("nan"), None, None, None, None)), PUBLIC)
    assert set(zip(*np.nonzero(valid == 0), strict=True)) == {(0, 0), (2, 2), (4, 4)}
    assert (image[valid == 0] == 0.0).all()
    np.testing.assert_array_equal(image[valid == 1], np.moveaxis(pixels, 0, -1)[valid == 1])


def test_nan_and_infinity_without_a_tag_stay_to_be_found() -> None:
    pixels = np.ones((7, 8, 8), np.float32)
    pixels[0, 0, 0], pixels[1, 1, 1], pixels[2, 2, 2] = np.nan, np.inf, -np.inf
    image, valid = to_canonical(Raster(pixels, (-9999.0,) + (None,) * 6), PUBLIC)
    assert valid.all()
    assert (~np.isfinite(image)).sum() == 3


@pytest.mark.parametrize(
    ("value", "valid"), [(9.9e29, 1), (-9.9e29, 1), (1.1e30, 0), (-1.1e30, 0), (-3.4e38, 0)]
)
def test_the_limit_of_nodata_is_1e30(value: float, valid: int) -> None:
    pixels = np.zeros((7, 8, 8), np.float32)
    pixels[4] = value
    assert (to_canonical(Raster(pixels, (None,) * 7), PUBLIC)[1] == valid).all()


def test_whole_numbers_are_scaled_like_floats() -> None:
    whole = np.random.default_rng(0).integers(0, 255, (7, 8, 8))
    expected, _ = to_canonical(Raster(whole.astype(np.float32), (None,) * 7), CHALLENGE)
    found, _ = to_canonical(Raster(whole.astype(np.uint8), (None,) * 7), CHALLENGE)
    np.testing.assert_array_equal(found, expected)
