"""Windows over rasters too large for memory: where they lie, and how one is read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from mmls_tf.raster.geotiff import load_gdal
from mmls_tf.raster.raster import FloatArray, RasterError

Edge = Literal["shift", "drop"]


@dataclass(frozen=True)
class Window:
    """A rectangle of pixels: first column, first row, width, height."""

    col: int
    row: int
    width: int
    height: int

    def grown(self, halo: int) -> Window:
        """Returns the window with `halo` more pixels on every side."""
        return Window(self.col - halo, self.row - halo, self.width + 2 * halo, self.height + 2 * halo)


def positions(length: int, tile: int, stride: int, edge: Edge) -> tuple[int, ...]:
    """Returns the first pixels of the tiles along a side of `length` pixels; none where no tile fits.

    With `shift`, a remainder at the far end gets one more tile, moved back until it fits, so that it
    overlaps the one before; with `drop`, the remainder is left out.
    """
    if length < tile:
        return ()
    regular = tuple(range(0, length - tile + 1, stride))
    uncovered = regular[-1] + tile < length
    return (*regular, length - tile) if uncovered and edge == "shift" else regular


def plan_windows(width: int, height: int, tile: int, stride: int, edge: Edge) -> tuple[Window, ...]:
    """Returns windows of `tile` x `tile` over a raster, row by row, by the rules of `positions`."""
    columns = positions(width, tile, stride, edge)
    rows = positions(height, tile, stride, edge)
    return tuple(Window(col, row, tile, tile) for row in rows for col in columns)


def cover(width: int, height: int, block_width: int, block_height: int) -> Iterator[Window]:
    """Yields disjoint windows that cover a raster, row by row; those at the far edges are smaller."""
    for row in range(0, height, block_height):
        for col in range(0, width, block_width):
            yield Window(col, row, min(block_width, width - col), min(block_height, height - row))


def read_window(dataset: Any, window: Window, outside: float | None = None) -> FloatArray:
    """Reads all bands of a window as float32 [bands, height, width].

    Args:
      dataset: a GDAL dataset.
      window: what to read.
      outside: value of pixels beyond the raster's edges; None where the window must lie inside.
    """
    inner = _inside(window, dataset.RasterXSize, dataset.RasterYSize)
    if inner == window:
        return _read(dataset, window)
    if outside is None:
        raise ValueError(f"{window} reaches beyond {dataset.RasterXSize} x {dataset.RasterYSize}")
    pixels = np.full((dataset.RasterCount, window.height, window.width), outside, np.float32)
    if inner.width > 0 and inner.height > 0:
        top, left = inner.row - window.row, inner.col - window.col
        pixels[:, top : top + inner.height, left : left + inner.width] = _read(dataset, inner)
    return pixels


def _inside(window: Window, width: int, height: int) -> Window:
    col, row = max(window.col, 0), max(window.row, 0)
    right, bottom = min(window.col + window.width, width), min(window.row + window.height, height)
    return Window(col, row, right - col, bottom - row)


def _read(dataset: Any, window: Window) -> FloatArray:
    try:
        pixels = dataset.ReadAsArray(
            window.col, window.row, window.width, window.height, buf_type=load_gdal().GDT_Float32
        )
    except RuntimeError as error:
        path = dataset.GetDescription() or "a source of the mosaic"
        raise RasterError(path, "pixels that can be read", f"damaged data ({error})") from error
    return pixels.reshape(dataset.RasterCount, window.height, window.width)
