"""Opens raster files that somebody else made: local ones only, by named drivers only, of bounded size."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from mmls_tf.errors import UsageError
from mmls_tf.raster.geotiff import load_gdal
from mmls_tf.raster.raster import RasterError
from mmls_tf.raster.safety import kind_of

MAX_SIDE_PX = 2_000_000  # all of Mars at 11 m
MAX_BANDS = 256
MAX_BLOCK_BYTES = 512 << 20  # a block is the least that GDAL decodes, so one larger would defeat all windows
_TYPES = {"Byte", "Int8", "UInt16", "Int16", "UInt32", "Int32", "Float32", "Float64"}
_MAX_VRT_BYTES = 16 << 20
_CACHE_BYTES = 64 << 20


def parse_drivers(text: str) -> tuple[str, ...]:
    """Returns the GDAL raster drivers of a comma-separated list such as `GTiff,VRT`.

    Raises:
      UsageError: the list is empty, or this GDAL has no raster driver of a name.
    """
    gdal = load_gdal()
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        driver = gdal.GetDriverByName(name)
        if driver is None or driver.GetMetadataItem("DCAP_RASTER") != "YES":
            raise UsageError(
                f"--drivers={text}: expected names of GDAL's raster drivers (`gdalinfo --formats` lists them), "
                f"found {name!r}"
            )
    if not names:
        raise UsageError("--drivers: expected at least one name of a GDAL driver, such as GTiff; found none")
    return names


def local_file(path: str | os.PathLike[str], expected: str) -> str:
    """Returns the absolute path of an existing local file.

    Raises:
      RasterError: no such file, or one of GDAL's virtual and network paths.
    """
    # An absolute path of an existing file cannot be taken for `GTIFF_RAW:x`, a URL or a connection string.
    absolute = os.path.abspath(path)  # noqa: PTH100  # Path.resolve would follow links, which users name on purpose
    if absolute.startswith("/vsi") or not Path(absolute).is_file():
        there = Path(absolute).exists() and not absolute.startswith("/vsi")
        found = kind_of(Path(absolute).stat().st_mode) if there else "no such file"
        raise RasterError(path, f"{expected} in a local file", found)
    return absolute


def open_raster(path: str | os.PathLike[str], drivers: Sequence[str] = ("GTiff",)) -> Any:
    """Opens a local raster file for reading; nothing but its header is read.

    Args:
      path: the file.
      drivers: the only GDAL drivers that may open it, whatever its name says.

    Returns:
      The GDAL dataset.

    Raises:
      RasterError: no local file, none of these drivers takes it, or it is of a shape or type out of bounds.
    """
    gdal = load_gdal()
    expected = f"a raster that GDAL's {' or '.join(drivers)} driver reads"
    absolute = local_file(path, expected)
    if "VRT" in drivers:
        _check_vrt(path, absolute, drivers)
    try:
        dataset = gdal.OpenEx(absolute, gdal.OF_RASTER | gdal.OF_READONLY, allowed_drivers=list(drivers))
    except RuntimeError as error:
        found = "an empty file" if Path(absolute).stat().st_size == 0 else str(error).splitlines()[0]
        raise RasterError(path, expected, f"{found} (--drivers names others)") from error
    _check_bounds(path, dataset)
    return dataset


def limit_cache(*datasets: Any) -> None:
    """Bounds GDAL's cache of blocks to some rows of blocks: by default it is a share of the machine's memory."""
    row = 0
    for dataset in datasets:
        band = dataset.GetRasterBand(1)
        row += dataset.RasterXSize * band.GetBlockSize()[1] * dataset.RasterCount * 4
    load_gdal().SetCacheMax(_CACHE_BYTES + 2 * min(row, MAX_BLOCK_BYTES))


def _check_bounds(path: str | os.PathLike[str], dataset: Any) -> None:
    gdal = load_gdal()
    width, height, bands = dataset.RasterXSize, dataset.RasterYSize, dataset.RasterCount
    if not 0 < bands <= MAX_BANDS or max(width, height) > MAX_SIDE_PX:
        raise RasterError(
            path,
            f"1 to {MAX_BANDS} bands of at most {MAX_SIDE_PX} x {MAX_SIDE_PX} pixels",
            f"{bands} of {height} x {width}"
            + (f" and {len(dataset.GetSubDatasets())} subdatasets" if bands == 0 else ""),
        )
    together = bands if dataset.GetMetadataItem("INTERLEAVE", "IMAGE_STRUCTURE") == "PIXEL" else 1
    for index in range(bands):
        band = dataset.GetRasterBand(index + 1)
        kind = gdal.GetDataTypeName(band.DataType)
        if kind not in _TYPES:
            raise RasterError(path, "integer or floating-point numbers", f"{kind} in band {index + 1}")
        block_width, block_height = band.GetBlockSize()
        block_bytes = block_width * block_height * gdal.GetDataTypeSize(band.DataType) // 8 * together
        if block_bytes > MAX_BLOCK_BYTES:
            raise RasterError(
                path,
                f"blocks of at most {MAX_BLOCK_BYTES >> 20} MiB",
                f"blocks of {block_height} x {block_width} pixels; `gdal_translate -co TILED=YES` makes small ones",
            )
        if band.GetScale() not in (None, 1.0) or band.GetOffset() not in (None, 0.0):
            raise RasterError(
                path,
                "values stored in their own unit",
                f"band {index + 1} stored with scale {band.GetScale()} and offset {band.GetOffset()}; "
                "`gdal_translate -unscale -ot Float32` applies them",
            )


def _check_vrt(path: str | os.PathLike[str], absolute: str, drivers: Sequence[str]) -> None:
    """A VRT names other files, and GDAL would open them with any driver and over any network."""
    if not _is_vrt(absolute):
        return
    if Path(absolute).stat().st_size > _MAX_VRT_BYTES:
        raise RasterError(path, f"a VRT of at most {_MAX_VRT_BYTES >> 20} MiB", "a larger one")
    try:
        root = ElementTree.parse(absolute).getroot()
    except ElementTree.ParseError as error:
        raise RasterError(path, "a well-formed VRT", str(error)) from error
    for element in root.iter():
        if element.tag not in ("SourceFilename", "SourceDataset"):
            continue
        relative = "1" in (element.get("relativeToVRT"), element.get("relativetoVRT"))
        name = (element.text or "").strip()
        source = os.path.join(os.path.dirname(absolute), name) if relative else name  # noqa: PTH118, PTH120
        if source.startswith("/vsi") or not Path(source).is_file():
            raise RasterError(path, "a VRT of local files", f"a source {name!r}")
        if _is_vrt(source):
            raise RasterError(path, "a VRT of plain rasters", f"another VRT, {name!r}, in it")
        if load_gdal().IdentifyDriverEx(source, allowed_drivers=list(drivers)) is None:
            raise RasterError(path, f"a VRT of files for {' or '.join(drivers)}", f"{name!r}, which is none")


def _is_vrt(path: str) -> bool:
    with Path(path).open("rb") as file:
        return b"<VRTDataset" in file.read(4096)
