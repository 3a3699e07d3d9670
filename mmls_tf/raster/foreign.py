"""Tiles in other formats than TIFF, for those who ask for them by `--drivers`."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from mmls_tf.raster.geotiff import load_gdal, read_geotiff, read_opened
from mmls_tf.raster.raster import Raster, RasterError

ONLY_TIFF = ("GTiff",)
_TIFF_SUFFIXES = (".tif", ".tiff")
_TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


@cache
def driver_names(text: str) -> tuple[str, ...]:
    """Returns the drivers of a comma-separated list such as `GTiff,PDS4`.

    Raises:
      UsageError: GDAL has no raster driver of a name.
    """
    if text == ONLY_TIFF[0]:
        return ONLY_TIFF  # stacks of pages are read without GDAL
    from mmls_tf.raster.opening import parse_drivers

    return parse_drivers(text)


@cache
def suffixes_of(drivers: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the endings of the names of these drivers' files, in lower case, with the dot."""
    suffixes: list[str] = []
    for name in drivers:
        if name in ONLY_TIFF:
            suffixes += _TIFF_SUFFIXES
        else:
            known = load_gdal().GetDriverByName(name).GetMetadataItem("DMD_EXTENSIONS") or ""
            suffixes += [f".{ending.lower().lstrip('.')}" for ending in known.split()]
    return tuple(dict.fromkeys(suffixes))


def read_any(path: str, bands: int, size: int, drivers: tuple[str, ...]) -> Raster:
    """Reads [bands, size, size] from a GeoTIFF or, where `drivers` names others, from one of their files.

    Raises:
      RasterError: not of these drivers, another shape or type of number, damaged, or a file that draws on files
        outside its own folder.
    """
    if drivers == ONLY_TIFF or ("GTiff" in drivers and is_tiff(path)):
        return read_geotiff(path, bands, size)
    from mmls_tf.raster.opening import open_raster

    expected = f"{bands} {'band' if bands == 1 else 'bands'} of {size} x {size}"
    dataset = open_raster(path, drivers)
    if (dataset.RasterCount, dataset.RasterYSize, dataset.RasterXSize) != (bands, size, size):
        found = f"{dataset.RasterCount} of {dataset.RasterYSize} x {dataset.RasterXSize}"
        raise RasterError(path, expected, found)
    _check_neighbours(path, dataset.GetFileList() or [])
    return read_opened(path, dataset, expected, lambda: dataset.GetProjection() or None)


def is_tiff(path: str) -> bool:
    """Tells by its first bytes whether a plain file is a TIFF, whatever its name says."""
    if not Path(path).is_file():  # a named pipe would keep us waiting
        return False
    with Path(path).open("rb") as file:
        return file.read(4) in _TIFF_SIGNATURES


def _check_neighbours(path: str, files: list[str]) -> None:
    """Labels and VRTs name the files that hold their pixels: these must lie beside them or below."""
    folder = Path(path).parent.resolve()
    for name in files:
        if not Path(os.path.abspath(name)).resolve().is_relative_to(folder):  # noqa: PTH100
            raise RasterError(
                path, f"pixels in files of its own folder {folder.name}; `gdal_translate` copies them", name
            )
