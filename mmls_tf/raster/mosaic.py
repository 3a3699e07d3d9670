"""Several georeferenced files as one raster, and large mosaics written block by block."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np

from mmls_tf.errors import UsageError
from mmls_tf.raster.geotiff import load_gdal
from mmls_tf.raster.grid import Grid, grid_of, joined
from mmls_tf.raster.nodata import NODATA
from mmls_tf.raster.opening import open_raster
from mmls_tf.raster.raster import FloatArray, RasterError
from mmls_tf.raster.windows import Window

BLOCK_PX = 256


def open_mosaic(paths: Sequence[str | os.PathLike[str]], drivers: Sequence[str] = ("GTiff",)) -> Any:
    """Joins georeferenced files by their geotransforms, without copying a pixel.

    Args:
      paths: files on one grid (same CRS, pixel size and alignment) with the same number of bands. They may
        overlap and leave gaps; in an overlap the later file wins where it has data.
      drivers: the only GDAL drivers that may open them.

    Returns:
      A virtual GDAL dataset of float32 bands with the nodata tag -3.4028235e38, which fills the gaps.

    Raises:
      RasterError: a file cannot be opened or does not fit to the first.
    """
    gdal = load_gdal()
    grids: dict[str, Grid] = {}
    sources: dict[str, list[str]] = {}
    for path in (os.fspath(path) for path in paths):
        dataset = open_raster(path, drivers)
        grids[path] = grid_of(dataset, path)
        sources[path] = [_source_xml(path, dataset, index + 1) for index in range(dataset.RasterCount)]
        first = next(iter(sources))
        if len(sources[path]) != len(sources[first]):
            found = str(len(sources[path]))
            raise RasterError(path, f"{len(sources[first])} bands, as {first} has", found)
    grid = joined(grids)
    bands = len(next(iter(sources.values())))
    mosaic = gdal.GetDriverByName("VRT").Create("", grid.width, grid.height, bands, gdal.GDT_Float32)
    mosaic.SetGeoTransform(grid.geotransform)
    mosaic.SetProjection(grid.crs_wkt)
    for index in range(bands):
        band = mosaic.GetRasterBand(index + 1)
        band.SetNoDataValue(float(NODATA))
        for path, own in grids.items():
            col, row = _offset(own, grid)
            target = f'<DstRect xOff="{col}" yOff="{row}" xSize="{own.width}" ySize="{own.height}"/>'
            xml = sources[path][index].replace("<DstRect/>", target)
            band.SetMetadataItem("source_0", xml, "new_vrt_sources")
    return mosaic


class MosaicWriter:
    """A float32 GeoTIFF that is being filled; see `new_mosaic`."""

    def __init__(self, path: Path, grid: Grid, names: Sequence[str]) -> None:
        gdal = load_gdal()
        self._path = path
        options = ["COMPRESS=LZW", "INTERLEAVE=PIXEL", "TILED=YES", "BIGTIFF=IF_SAFER"]
        options += [f"BLOCKXSIZE={BLOCK_PX}", f"BLOCKYSIZE={BLOCK_PX}"]
        self._dataset = gdal.GetDriverByName("GTiff").Create(
            os.fspath(path), grid.width, grid.height, len(names), gdal.GDT_Float32, options
        )
        self._dataset.SetGeoTransform(grid.geotransform)
        self._dataset.SetProjection(grid.crs_wkt)
        for index, name in enumerate(names):
            band = self._dataset.GetRasterBand(index + 1)
            band.SetNoDataValue(float(NODATA))
            band.SetDescription(name)

    def write(self, window: Window, pixels: FloatArray) -> None:
        """Writes float32 [bands, height, width] into a window."""
        try:
            self._dataset.WriteArray(np.ascontiguousarray(pixels), window.col, window.row)
        except RuntimeError as error:
            raise _cannot_write(self._path, error) from error

    def close(self) -> None:
        """Writes out what is still in memory."""
        dataset, self._dataset = self._dataset, None
        try:
            dataset.FlushCache()
        except RuntimeError as error:
            raise _cannot_write(self._path, error) from error


@contextmanager
def new_mosaic(path: Path, grid: Grid, names: Sequence[str]) -> Iterator[MosaicWriter]:
    """Yields a float32 GeoTIFF to be filled; it gets its name when the block ends well, and is gone if not.

    Args:
      path: where it will be; until then a sibling whose name starts with a dot is written.
      grid: its grid.
      names: band descriptions, one a band.
    """
    path = Path(path.absolute())
    partial = path.with_name(f".{path.name}.writing")
    try:
        writer = MosaicWriter(partial, grid, names)
        try:
            yield writer
        finally:
            writer.close()
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _cannot_write(path: Path, error: RuntimeError) -> UsageError:
    return UsageError(f"{path}: cannot be written ({error}); is the disk full?")


def _offset(own: Grid, grid: Grid) -> tuple[int, int]:
    west, across, _, north, _, down = grid.geotransform
    return round((own.geotransform[0] - west) / across), round((own.geotransform[3] - north) / down)


def _source_xml(path: str, dataset: Any, band: int) -> str:
    """Describes a band as GDAL's VRT wants it; with all properties given, the file is opened only when read."""
    handle = dataset.GetRasterBand(band)
    kind = load_gdal().GetDataTypeName(handle.DataType)
    block_width, block_height = handle.GetBlockSize()
    width, height = dataset.RasterXSize, dataset.RasterYSize
    tag = handle.GetNoDataValue()
    nodata = float(NODATA) if tag is None else tag
    absolute = os.path.abspath(path)  # noqa: PTH100  # links stay links
    return (
        f'<ComplexSource><SourceFilename relativeToVRT="0">{escape(absolute)}</SourceFilename>'
        f"<SourceBand>{band}</SourceBand>"
        f'<SourceProperties RasterXSize="{width}" RasterYSize="{height}" DataType="{kind}" '
        f'BlockXSize="{block_width}" BlockYSize="{block_height}"/>'
        f'<SrcRect xOff="0" yOff="0" xSize="{width}" ySize="{height}"/><DstRect/>'
        f"<NODATA>{nodata!r}</NODATA></ComplexSource>"
    )
