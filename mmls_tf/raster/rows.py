"""Rasters of one band read and written in bands of whole rows, a million pixels at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mmls_tf.raster.byte_map import ByteLayer, ByteRows
from mmls_tf.raster.geotiff import load_gdal
from mmls_tf.raster.grid import Grid
from mmls_tf.raster.raster import RasterError
from mmls_tf.raster.windows import Window

_PIXELS_AT_ONCE = 1 << 20


def row_bands(height: int, width: int) -> Iterator[Window]:
    """Yields windows of whole rows from north to south, about a million pixels each."""
    rows = max(1, _PIXELS_AT_ONCE // width)
    for row in range(0, height, rows):
        yield Window(0, row, width, min(rows, height - row))


def read_plane(dataset: Any, window: Window) -> Any:
    """Returns the first band of a window as stored, [height, width].

    Raises:
      RasterError: damaged pixels.
    """
    try:
        return dataset.GetRasterBand(1).ReadAsArray(window.col, window.row, window.width, window.height)
    except RuntimeError as error:
        path = dataset.GetDescription() or "a raster"
        raise RasterError(path, "pixels that can be read", f"damaged data ({error})") from error


def write_foreground(path: Path, grid: Grid, foreground: Callable[[Window], npt.NDArray[np.bool_]]) -> Any:
    """Writes a raster of 1 and 0 row by row and opens it, to be read and changed.

    Args:
      foreground: of a window of whole rows, bool [height, width]: where 1 is written.

    Returns:
      The GDAL dataset.

    Raises:
      UsageError: the disk is full.
    """
    ByteRows.create(path, grid.height, grid.width, grid, ByteLayer("foreground"))
    rows = ByteRows(path)
    for band in row_bands(grid.height, grid.width):
        rows.write(band.row, foreground(band).astype(np.uint8))
    rows.close()
    gdal = load_gdal()
    return gdal.OpenEx(str(path), gdal.OF_RASTER | gdal.OF_UPDATE, allowed_drivers=["GTiff"])
