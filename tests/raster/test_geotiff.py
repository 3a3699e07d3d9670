"""GeoTIFFs: what is written is what GDAL reads, what is read is what GDAL wrote, and errors name the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal, osr

from mmls_tf.errors import InputError
from mmls_tf.raster.geotiff import read_geotiff, same_crs, write_geotiff
from mmls_tf.raster.mars import MARS_WKT
from mmls_tf.raster.raster import RasterError

gdal.UseExceptions()
osr.UseExceptions()

SIZE = 20
TRANSFORM = (-5513958.3444039, 232.0, 0.0, 1234567.8912345, 0.0, -232.0)
EQUATOR_180 = MARS_WKT.replace('"central_meridian",0', '"central_meridian",180')


def array(bands: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1e3, (SIZE, SIZE, bands)).astype(np.float32)


def write(path: Path, planes: np.ndarray, kind: int = gdal.GDT_Float32, wkt: str | None = MARS_WKT) -> Path:
    """Writes [bands, H, W] with plain GDAL, uncompressed, bands one after the other."""
    driver = gdal.GetDriverByName("GTiff")
    file = driver.Create(str(path), SIZE, SIZE, len(planes), kind, ["INTERLEAVE=BAND"])
    file.SetGeoTransform(TRANSFORM)
    if wkt:
        file.SetProjection(wkt)
    file.WriteArray(planes)
    file = None
    return path


@pytest.mark.parametrize("bands", [1, 7])
@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_gdal_reads_what_we_write(tmp_path: Path, dtype: type, bands: int) -> None:
    values = (array(bands) if dtype is np.float32 else array(bands) % 250).astype(dtype)
    write_geotiff(tmp_path / "a.tif", values, TRANSFORM, MARS_WKT, nodata=255)
    file = gdal.Open(str(tmp_path / "a.tif"))
    found = file.ReadAsArray().reshape(bands, SIZE, SIZE)
    assert found.dtype == dtype
    np.testing.assert_array_equal(np.moveaxis(found, 0, -1), values)
    assert file.GetGeoTransform() == TRANSFORM
    assert osr.SpatialReference(wkt=file.GetProjection()).IsSame(osr.SpatialReference(wkt=MARS_WKT))
    assert [file.GetRasterBand(band + 1).GetNoDataValue() for band in range(bands)] == [255.0] * bands
    assert file.GetMetadataItem("COMPRESSION", "IMAGE_STRUCTURE") == "LZW"


@pytest.mark.parametrize("bands", [1, 7])
def test_we_read_what_gdal_writes(tmp_path: Path, bands: int) -> None:
    planes = np.moveaxis(array(bands), -1, 0)
    raster = read_geotiff(write(tmp_path / "a.tif", planes), bands, SIZE)
    np.testing.assert_array_equal(raster.pixels, planes)
    assert raster.geotransform == TRANSFORM
    assert raster.nodata == (None,) * bands
    assert raster.crs_wkt is not None
    assert osr.SpatialReference(wkt=raster.crs_wkt).IsSame(osr.SpatialReference(wkt=MARS_WKT))


def test_we_read_what_we_write_nodata_tag_included(tmp_path: Path) -> None:
    for nodata in (None, 0.0, -9999.0, float("nan")):
        write_geotiff(tmp_path / "a.tif", array(3), TRANSFORM, MARS_WKT, nodata)
        raster = read_geotiff(tmp_path / "a.tif", 3, SIZE)
        np.testing.assert_array_equal(raster.pixels, np.moveaxis(array(3), -1, 0))
        assert str(raster.nodata) == str((nodata,) * 3)


def test_nothing_is_invented_where_a_file_has_no_georeference(tmp_path: Path) -> None:
    driver = gdal.GetDriverByName("GTiff")
    file = driver.Create(str(tmp_path / "a.tif"), SIZE, SIZE, 1, gdal.GDT_Byte)
    file.GetRasterBand(1).Fill(1)
    file = None
    raster = read_geotiff(tmp_path / "a.tif", 1, SIZE)
    assert (raster.geotransform, raster.crs_wkt) == (None, None)


@pytest.mark.parametrize("kind", [gdal.GDT_Byte, gdal.GDT_Int16, gdal.GDT_UInt16, gdal.GDT_Int32])
def test_whole_numbers_are_read_as_they_are(tmp_path: Path, kind: int) -> None:
    planes = np.abs(np.moveaxis(array(2), -1, 0)).astype(np.int32) % 250
    raster = read_geotiff(write(tmp_path / "a.tif", planes, kind), 2, SIZE)
    np.testing.assert_array_equal(raster.pixels, planes)


@pytest.mark.parametrize("kind", [gdal.GDT_Float64, gdal.GDT_CFloat32, gdal.GDT_CInt16])
def test_other_numbers_are_refused(tmp_path: Path, kind: int) -> None:
    path = write(tmp_path / "odd.tif", np.ones((1, SIZE, SIZE)), kind)
    with pytest.raises(RasterError, match=rf"odd.tif: expected float32 .*found {gdal.GetDataTypeName(kind)}"):
        read_geotiff(path, 1, SIZE)


@pytest.mark.parametrize(("bands", "size"), [(6, SIZE), (8, SIZE), (7, SIZE - 1), (7, 10**6)])
def test_another_shape_is_refused_with_both_shapes_told(tmp_path: Path, bands: int, size: int) -> None:
    path = write(tmp_path / "odd.tif", np.moveaxis(array(7), -1, 0))
    with pytest.raises(
        RasterError, match=rf"odd.tif: expected {bands} bands of {size} x {size}, found 7 of 20 x 20"
    ):
        read_geotiff(path, bands, size)


def test_a_huge_file_is_refused_by_its_header_and_never_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.tif"
    gdal.GetDriverByName("GTiff").Create(
        str(path), 200_000, 200_000, 1, gdal.GDT_Float32, ["SPARSE_OK=TRUE", "BIGTIFF=YES", "TILED=YES"]
    )
    with pytest.raises(RasterError, match=r"huge.tif: .*found 1 of 200000 x 200000"):
        read_geotiff(path, 1, SIZE)


@pytest.mark.parametrize("driver", ["VRT", "PNG", "AAIGrid"])
def test_only_tiffs_are_opened_whatever_the_name_says(tmp_path: Path, driver: str) -> None:
    path = tmp_path / "posing.tif"
    sound = write(tmp_path / "sound.tif", np.full((1, SIZE, SIZE), 7), gdal.GDT_Byte)
    gdal.GetDriverByName(driver).CreateCopy(str(path), gdal.Open(str(sound)))
    assert gdal.OpenEx(str(path), allowed_drivers=[driver]) is not None
    with pytest.raises(RasterError, match=r"posing.tif: expected a readable TIFF .*found something else"):
        read_geotiff(path, 1, SIZE)


@pytest.mark.parametrize(
    ("content", "found"), [(None, "no such file"), (b"", "an empty file"), (b"text", "something else")]
)
def test_what_cannot_be_opened_is_named_with_the_reason(
    tmp_path: Path, content: bytes | None, found: str
) -> None:
    path = tmp_path / "broken.tif"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_geotiff(path, 1, SIZE)
    (issue,) = caught.value.issues
    assert issue.path == str(path)
    assert issue.found.startswith(found)


def test_damaged_pixels_are_refused(tmp_path: Path) -> None:
    write_geotiff(tmp_path / "cut.tif", array(7), TRANSFORM, MARS_WKT)
    content = (tmp_path / "cut.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(content[: len(content) // 2])
    with pytest.raises(RasterError, match=r"cut.tif: expected 7 bands of 20 x 20"):
        read_geotiff(tmp_path / "cut.tif", 7, SIZE)


def test_files_with_different_crss_each_give_their_own(tmp_path: Path) -> None:
    """CRSs are kept by their geo-keys: read in turn, twice, none may give another's."""
    sphere = MARS_WKT.replace("3396190", "3396000")
    mercator = MARS_WKT.replace("Equirectangular", "Mercator_1SP").replace(
        "standard_parallel_1", "scale_factor"
    )
    systems = [MARS_WKT, EQUATOR_180, sphere, mercator.replace('"scale_factor",0', '"scale_factor",1'), None]
    paths = [
        write(tmp_path / f"{index}.tif", np.ones((1, SIZE, SIZE)), wkt=wkt)
        for index, wkt in enumerate(systems)
    ]
    for path in paths * 2:
        found = read_geotiff(path, 1, SIZE).crs_wkt
        expected = gdal.Open(str(path)).GetProjection()
        assert (found or "") == expected
    assert len({read_geotiff(path, 1, SIZE).crs_wkt for path in paths}) == len(systems)


def test_crss_are_the_same_by_meaning_and_not_by_spelling() -> None:
    system = osr.SpatialReference(wkt=MARS_WKT)
    assert same_crs(MARS_WKT, MARS_WKT)
    for spelling in (system.ExportToWkt(["FORMAT=WKT2_2019"]), system.ExportToPrettyWkt()):
        assert spelling != MARS_WKT
        assert same_crs(MARS_WKT, spelling)
        assert same_crs(spelling, MARS_WKT)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("3396190", "3396191"),
        ('"central_meridian",0', '"central_meridian",180'),
        ('"false_easting",0', '"false_easting",1000'),
        ('UNIT["metre",1]', 'UNIT["kilometre",1000]'),
    ],
)
def test_crss_that_differ_in_one_number_are_not_the_same(old: str, new: str) -> None:
    other = MARS_WKT.replace(old, new)
    assert other != MARS_WKT
    assert not same_crs(MARS_WKT, other)


def test_a_file_that_cannot_be_written_is_an_error_that_names_it(tmp_path: Path) -> None:
    from mmls_tf.errors import UsageError

    with pytest.raises(UsageError, match=r"no/such/folder/x\.tif: cannot be written"):
        write_geotiff(
            tmp_path / "no/such/folder/x.tif", np.zeros((4, 4, 1), np.uint8), (0, 1, 0, 0, 0, -1), ""
        )
