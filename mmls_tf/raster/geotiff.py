"""Ordinary GeoTIFFs, through GDAL."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from mmls_tf.errors import UsageError
from mmls_tf.raster.pages import decode_pages
from mmls_tf.raster.raster import Geotransform, Raster, RasterError
from mmls_tf.raster.safety import most_bytes, read_local
from mmls_tf.raster.tiff_header import COMPRESSION, SUBFILE, Directory, checked, read_checked
from mmls_tf.raster.tiff_pixels import UNCHECKED_COMPRESSIONS, find_blocks, number_kind

_TYPES = {"Byte", "Int8", "UInt16", "Int16", "UInt32", "Int32", "Float32"}
_MOST_PAGES = 64  # an image and its overviews
_GEO_KEY_TAGS = (34735, 34736, 34737)  # the directory of the CRS and its float and text parameters
_WKT_BY_GEO_KEYS: dict[tuple[bytes | None, ...], str | None] = {}
_NO_GEOREFERENCE = (0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


@cache
def load_gdal() -> Any:
    """Returns the `osgeo.gdal` module, set to raise exceptions.

    Raises:
      UsageError: GDAL's Python bindings are missing, or were compiled without NumPy.
    """
    try:
        from osgeo import gdal, gdal_array, ogr, osr
    except ImportError as error:
        raise UsageError(
            f"GDAL's Python bindings with NumPy support are needed to read GeoTIFFs: {error}. Install libgdal "
            "(apt-get install libgdal-dev), then numpy, then `pip install --no-build-isolation --no-cache-dir "
            '"gdal==$(gdal-config --version).*"`; or GDAL from conda-forge. `make install` does it on Debian.'
        ) from error
    assert gdal_array is not None
    for module in (gdal, ogr, osr):
        module.UseExceptions()
    if gdal.GetConfigOption("GDAL_DISABLE_READDIR_ON_OPEN") is None:
        # Otherwise every open lists its whole folder in search of sidecar files.
        gdal.SetConfigOption("GDAL_DISABLE_READDIR_ON_OPEN", "TRUE")
    return gdal


def read_geotiff(path: str | os.PathLike[str], bands: int, size: int) -> Raster:
    """Reads a square raster after its header has shown that it is what is expected.

    The file alone speaks: world files, .aux.xml and other neighbours are not looked at.

    Args:
      path: a local file; only GDAL's GTiff driver opens it, whatever its name says.
      bands: number of bands that it must have.
      size: width and height that it must have, in pixels; nothing is read of any other size.

    Raises:
      RasterError: not a TIFF, another shape or type of number, or damaged.
    """
    expected = f"{bands} {'band' if bands == 1 else 'bands'} of {size} x {size}"
    content = read_local(path, most_bytes(bands, size), f"a readable TIFF with {expected}")
    page = _check_header(path, content, bands, size, expected)
    keys = checked(path, f"{expected} and its place", lambda: tuple(page.raw(tag) for tag in _GEO_KEY_TAGS))
    dataset = open_alone(path, expected)
    if (dataset.RasterCount, dataset.RasterYSize, dataset.RasterXSize) != (bands, size, size):
        found = f"{dataset.RasterCount} of {dataset.RasterYSize} x {dataset.RasterXSize}"
        raise RasterError(path, expected, found)
    raster = read_opened(path, dataset, expected, lambda: _crs_wkt(dataset, keys))
    if page.number(COMPRESSION) in UNCHECKED_COMPRESSIONS:
        _ask_again(path, content, raster, expected)
    if number_kind(page) == "Int8" and raster.pixels.dtype == np.uint8:  # GDAL before 3.7 drops the sign
        raster = dataclasses.replace(raster, pixels=raster.pixels.view(np.int8))
    return raster


def open_alone(path: str | os.PathLike[str], expected: str) -> Any:
    """Opens a GeoTIFF without a look at its neighbours (world files, .aux.xml).

    Raises:
      RasterError: GDAL's GTiff driver cannot open it.
    """
    gdal = load_gdal()
    absolute = os.path.abspath(path)  # noqa: PTH100  # no name that GDAL would take for anything but a file
    flags = gdal.OF_RASTER | gdal.OF_READONLY
    alone = [os.path.basename(absolute)]  # noqa: PTH119  # an empty list would mean: look for neighbours
    try:
        return gdal.OpenEx(absolute, flags, allowed_drivers=["GTiff"], sibling_files=alone)
    except RuntimeError as error:
        found = f"something else ({str(error).splitlines()[0]})"
        raise RasterError(path, f"a readable TIFF with {expected}", found) from error


def geotransform_of(dataset: Any) -> Geotransform | None:
    """Returns the six numbers of an open dataset in metres, None where it has no georeference."""
    transform = dataset.GetGeoTransform(can_return_null=True)
    if transform is None or tuple(transform) == _NO_GEOREFERENCE:
        return None
    return tuple(transform)


def read_opened(
    path: str | os.PathLike[str], dataset: Any, expected: str, crs_wkt: Callable[[], str | None]
) -> Raster:
    """Reads all bands of an open dataset whose shape has been checked.

    Raises:
      RasterError: numbers of a type that is not read, or damaged pixels.
    """
    gdal = load_gdal()
    handles = [dataset.GetRasterBand(index + 1) for index in range(dataset.RasterCount)]
    kinds = {gdal.GetDataTypeName(handle.DataType) for handle in handles}
    if not kinds <= _TYPES:
        raise RasterError(path, "float32 or integer numbers", ", ".join(sorted(kinds - _TYPES)))
    gdal.ErrorReset()
    try:
        pixels = dataset.ReadAsArray()
        trouble = gdal.GetLastErrorMsg()  # decoders merely warn of bytes too few or too many, and go on
    except RuntimeError as error:
        trouble = str(error)
    if trouble:
        raise RasterError(
            path, f"{expected}, all of them readable", f"damaged data ({trouble.splitlines()[0]})"
        )
    return Raster(
        pixels=pixels.reshape(len(handles), *pixels.shape[-2:]),
        nodata=tuple(handle.GetNoDataValue() for handle in handles),
        geotransform=geotransform_of(dataset),
        crs_wkt=crs_wkt(),
    )


def write_geotiff(
    path: str | os.PathLike[str],
    array: npt.NDArray[np.generic],
    geotransform: Geotransform,
    crs_wkt: str,
    nodata: float | None = None,
) -> None:
    """Writes [height, width, bands] float32 or uint8 as a GeoTIFF, LZW, bands interleaved by pixel.

    Raises:
      UsageError: the disk is full, or the folder cannot be written.
    """
    try:
        _write(path, array, geotransform, crs_wkt, nodata)
    except RuntimeError as error:
        raise UsageError(f"{path}: cannot be written: {error}; make room, or give another --out") from error


def _write(
    path: str | os.PathLike[str],
    array: npt.NDArray[np.generic],
    geotransform: Geotransform,
    crs_wkt: str,
    nodata: float | None,
) -> None:
    gdal = load_gdal()
    height, width, bands = array.shape
    kind = {np.dtype(np.float32): gdal.GDT_Float32, np.dtype(np.uint8): gdal.GDT_Byte}[array.dtype]
    dataset = gdal.GetDriverByName("GTiff").Create(
        os.fspath(path), width, height, bands, kind, ["COMPRESS=LZW", "INTERLEAVE=PIXEL"]
    )
    dataset.SetGeoTransform(geotransform)
    dataset.SetProjection(crs_wkt)
    for index in range(bands):
        band = dataset.GetRasterBand(index + 1)
        if nodata is not None:
            band.SetNoDataValue(nodata)
        band.WriteArray(np.ascontiguousarray(array[..., index]))
    dataset.FlushCache()


def same_crs(one: str, other: str) -> bool:
    """Tells whether two WKT texts mean the same coordinate reference system, however they are spelt."""
    if one == other:
        return True
    load_gdal()
    from osgeo import osr

    systems: Sequence[Any] = [osr.SpatialReference(wkt=text) for text in (one, other)]
    return bool(systems[0].IsSame(systems[1]))


def _check_header(
    path: str | os.PathLike[str], content: bytes, bands: int, size: int, expected: str
) -> Directory:
    """Returns the page to read, its shape and blocks checked, before GDAL is let near the file."""
    pages = read_checked(path, content, expected, 2 * size + _MOST_PAGES)
    height, width, samples = checked(path, expected, lambda: pages[0].shape)
    images = checked(path, expected, lambda: [page for page in pages if not page.is_overview])
    if (samples, height, width) != (bands, size, size) or len(images) > 1:
        several = f" in each of {len(pages)} pages" if len(pages) > 1 else ""
        raise RasterError(path, expected, f"{samples} of {height} x {width}{several}")
    kind = checked(path, expected, lambda: number_kind(pages[0]))
    if kind not in _TYPES:
        raise RasterError(path, "float32 or integer numbers", kind)
    if pages[0].number(SUBFILE):
        raise RasterError(path, expected, "a page that is part of another")
    checked(path, f"{expected}, all of them readable", lambda: find_blocks(pages[0]))
    return pages[0]


def _ask_again(path: str | os.PathLike[str], content: bytes, raster: Raster, expected: str) -> None:
    """Has tifffile decode the pixels too: libtiff looks at no checksum, and takes damaged streams for sound."""
    other = decode_pages(path, content, expected, [0])[0]
    bands, height, width = raster.pixels.shape
    if other.shape == (height, width, bands) and bands > 1:
        other = np.moveaxis(other, -1, 0)
    if other.size == raster.pixels.size:
        other = other.reshape(raster.pixels.shape).astype(raster.pixels.dtype)
        if np.array_equal(other, raster.pixels, equal_nan=other.dtype.kind == "f"):
            return
    found = "damaged data, which two readers decode differently"
    raise RasterError(path, f"{expected}, all of them readable", found)


def _crs_wkt(dataset: Any, keys: tuple[bytes | None, ...]) -> str | None:
    """Returns the CRS as WKT, built once for each distinct set of geo-keys: GDAL takes 4 ms a file for it."""
    if keys[0] is None:
        return dataset.GetProjection() or None
    if keys not in _WKT_BY_GEO_KEYS:
        _WKT_BY_GEO_KEYS[keys] = dataset.GetProjection() or None
    return _WKT_BY_GEO_KEYS[keys]
