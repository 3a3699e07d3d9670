"""Where pixels come from, and how they become what a network sees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mmls_tf.bands import BAND_NAMES
from mmls_tf.errors import UsageError
from mmls_tf.raster.layouts import CHALLENGE, to_canonical
from mmls_tf.raster.nodata import NODATA, missing
from mmls_tf.raster.raster import FloatArray, Raster
from mmls_tf.raster.windows import Window

_TAGS = (float(NODATA),) * len(BAND_NAMES)


class PixelSource(Protocol):
    """Raw pixels of a scene, of which any window may be asked."""

    @property
    def height(self) -> int:
        """Rows of pixels."""

    @property
    def width(self) -> int:
        """Columns of pixels."""

    def read(self, window: Window) -> FloatArray:
        """Returns raw values in the challenge's band order, float32 [7, height, width], `NODATA` where there is none.

        The window may reach beyond the scene, where there is nothing.
        """


class ArraySource:
    """A scene in memory."""

    def __init__(self, array: npt.NDArray[np.floating], order: Sequence[str] = CHALLENGE.order) -> None:
        """Takes float [rows, columns, 7] raw values; NaN, and what GeoTIFFs mark so, is no data.

        Raises:
          UsageError: another shape, or `order` is not the seven bands.
        """
        if array.ndim != 3 or array.shape[2] != len(BAND_NAMES) or not array.size:
            raise UsageError(
                f"expected an array [rows, columns, {len(BAND_NAMES)}], found {list(array.shape)}"
            )
        if sorted(order) != sorted(BAND_NAMES):
            raise UsageError(f"expected each of {', '.join(BAND_NAMES)} once, found {', '.join(order)}")
        self._array = array
        self._pick = [list(order).index(name) for name in CHALLENGE.order]
        self.height, self.width = array.shape[:2]

    def read(self, window: Window) -> FloatArray:
        """As `PixelSource.read`."""
        pixels = np.full((len(BAND_NAMES), window.height, window.width), NODATA, np.float32)
        top, left = max(0, window.row), max(0, window.col)
        inner = self._array[top : window.row + window.height, left : window.col + window.width]
        rows = slice(top - window.row, top - window.row + inner.shape[0])
        columns = slice(left - window.col, left - window.col + inner.shape[1])
        found = np.moveaxis(inner, -1, 0)[self._pick].astype(np.float32)
        found[missing(found, None)] = NODATA
        pixels[:, rows, columns] = found
        return pixels


def as_canonical(pixels: FloatArray, seen: Sequence[int]) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Brings raw pixels into the values of records.

    Args:
      pixels: as `PixelSource.read` returns them; overwritten.
      seen: the canonical bands that must have data for a pixel to be valid; what others hold counts nowhere.

    Returns:
      (image float32 [height, width, 7], canonical values, 0.0 where invalid; valid bool [height, width]).
    """
    for place, name in enumerate(CHALLENGE.order):
        if BAND_NAMES.index(name) not in seen:
            pixels[place] = 0.0
    image, valid = to_canonical(Raster(pixels, _TAGS), CHALLENGE)
    return image, valid.astype(bool)
