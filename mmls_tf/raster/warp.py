"""Brings a raster onto another grid, block by block as it is read."""

from __future__ import annotations

import os
from typing import Any

from mmls_tf.raster.crs import reference
from mmls_tf.raster.geotiff import load_gdal
from mmls_tf.raster.grid import Grid, grid_of, same_grid, transform_extent
from mmls_tf.raster.nodata import NODATA
from mmls_tf.raster.raster import RasterError

RESAMPLINGS = ("bilinear", "nearest", "cubic", "average")


def open_warped(
    dataset: Any,
    path: str | os.PathLike[str],
    band: int,
    grid: Grid,
    resampling: str,
    assume_crs: str | None = None,
) -> Any:
    """Returns one band of a dataset as a virtual dataset on `grid`.

    Positions are transformed exactly, pixel by pixel, and the kernel's width is fixed for the whole grid, so
    what is read does not depend on the windows. On the dataset's own grid the pixels are passed through.

    Args:
      dataset: a GDAL dataset.
      path: its file, for messages.
      band: number of the band, from 1.
      grid: where the pixels shall lie.
      resampling: one of `RESAMPLINGS`.
      assume_crs: WKT to take where the dataset has no CRS.

    Raises:
      RasterError: no such band, or no way from its CRS to that of `grid`.
    """
    gdal = load_gdal()
    if not 1 <= band <= dataset.RasterCount:
        raise RasterError(path, f"a band {band}", f"{dataset.RasterCount} bands")
    source = grid_of(dataset, path, assume_crs)
    single = _single(dataset, band, source.crs_wkt)
    alpha = single.RasterCount == 2
    tag = single.GetRasterBand(1).GetNoDataValue()
    if same_grid(source, grid) and not alpha:
        return single
    west, south, east, north = grid.extent
    try:
        scales = _scales(source, grid)
        return gdal.Warp(
            "",
            single,
            format="VRT",
            srcSRS=source.crs_wkt,
            dstSRS=grid.crs_wkt,
            outputBounds=(west, south, east, north),
            width=grid.width,
            height=grid.height,
            resampleAlg="near" if resampling == "nearest" else resampling,
            errorThreshold=0.0,
            outputType=gdal.GDT_Float32,
            srcAlpha=alpha,
            dstAlpha=False,
            srcNodata=float(NODATA) if tag is None else tag,
            dstNodata=float(NODATA),
            warpOptions=[f"{axis}SCALE={scale!r}" for axis, scale in zip("XY", scales, strict=True)],
        )
    except RuntimeError as error:
        target = reference(grid.crs_wkt).GetName()
        raise RasterError(path, f"a CRS from which {target} can be reached", str(error)) from error


def _single(dataset: Any, band: int, wkt: str) -> Any:
    """Returns one band as a virtual dataset, with the alpha band after it where the dataset ends in one."""
    gdal = load_gdal()
    last = dataset.RasterCount
    alpha = dataset.GetRasterBand(last).GetColorInterpretation() == gdal.GCI_AlphaBand
    bands = [band, last] if alpha and band != last else [band]
    return gdal.Translate("", dataset, format="VRT", bandList=bands, outputSRS=wkt)


def _scales(source: Grid, grid: Grid) -> tuple[float, float]:
    """Returns how many pixels of `grid` one pixel of `source` is, across and down.

    GDAL would otherwise work it out anew for every block, a little differently each time.
    """
    west, south, east, north = transform_extent(grid.extent, grid.crs_wkt, source.crs_wkt)
    across = (east - west) / source.geotransform[1]
    down = (north - south) / -source.geotransform[5]
    return grid.width / across, grid.height / down
