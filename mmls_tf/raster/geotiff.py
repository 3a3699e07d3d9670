"""Ordinary GeoTIFFs, through GDAL."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mmls_tf.errors import UsageError
from mmls_tf.raster.pages import geo_keys
from mmls_tf.raster.raster import Geotransform, Raster, RasterError

_TYPES = {"Byte", "Int8", "UInt16", "Int16", "UInt32", "Int32", "Float32"}
_WKT_BY_GEO_KEYS: dict[tuple[object, ...], str | None] = {}
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

    Args:
      path: a local file; only GDAL's GTiff driver opens it, whatever its name says.
      bands: number of bands that it must have.
      size: width and height that it must have, in pixels; nothing is read of any other size.

    Raises:
      RasterError: not a TIFF, another shape or type of number, or damaged.
    """
    gdal = load_gdal()
    expected = f"{bands} {'band' if bands == 1 else 'bands'} of {size} x {size}"
    try:
        dataset = gdal.OpenEx(os.fspath(path), gdal.OF_RASTER | gdal.OF_READONLY, allowed_drivers=["GTiff"])
    except RuntimeError as error:
        raise RasterError(path, f"a readable TIFF with {expected}", _why_unreadable(path, error)) from error
    found = f"{dataset.RasterCount} of {dataset.RasterYSize} x {dataset.RasterXSize}"
    if (dataset.RasterCount, dataset.RasterYSize, dataset.RasterXSize) != (bands, size, size):
        pages = len(dataset.GetSubDatasets())
        raise RasterError(path, expected, found + (f" in each of {pages} pages" if pages else ""))
    handles = [dataset.GetRasterBand(index + 1) for index in range(bands)]
    kinds = {gdal.GetDataTypeName(handle.DataType) for handle in handles}
    if not kinds <= _TYPES:
        raise RasterError(path, "float32 or integer numbers", ", ".join(sorted(kinds - _TYPES)))
    try:
        pixels = dataset.ReadAsArray()
    except RuntimeError as error:
        raise RasterError(path, f"{expected}, all of them readable", f"damaged data ({error})") from error
    transform = dataset.GetGeoTransform(can_return_null=True)
    placed = transform is not None and tuple(transform) != _NO_GEOREFERENCE
    return Raster(
        pixels=pixels.reshape(bands, size, size),
        nodata=tuple(handle.GetNoDataValue() for handle in handles),
        geotransform=tuple(transform) if placed else None,
        crs_wkt=_crs_wkt(dataset, path),
    )


def write_geotiff(
    path: str | os.PathLike[str],
    array: npt.NDArray[np.generic],
    geotransform: Geotransform,
    crs_wkt: str,
    nodata: float | None = None,
) -> None:
    """Writes [height, width, bands] float32 or uint8 as a GeoTIFF, LZW, bands interleaved by pixel."""
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


def _crs_wkt(dataset: Any, path: str | os.PathLike[str]) -> str | None:
    """Returns the CRS as WKT, built once for each distinct set of geo-keys: GDAL takes 4 ms a file for it."""
    keys = geo_keys(path)
    if keys is None:
        return dataset.GetProjection() or None
    if keys not in _WKT_BY_GEO_KEYS:
        _WKT_BY_GEO_KEYS[keys] = dataset.GetProjection() or None
    return _WKT_BY_GEO_KEYS[keys]


def _why_unreadable(path: str | os.PathLike[str], error: RuntimeError) -> str:
    if not Path(path).exists():
        return "no such file"
    if Path(path).stat().st_size == 0:
        return "an empty file"
    return f"something else ({str(error).splitlines()[0]})"
