"""A scene at a size for the eye: means of square groups of pixels, read window by window."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mmls_tf.raster.byte_map import NODATA_BYTE
from mmls_tf.raster.layouts import CHALLENGE
from mmls_tf.raster.map_scene import MapScene
from mmls_tf.raster.nodata import NODATA
from mmls_tf.raster.opening import open_raster
from mmls_tf.raster.raster import FloatArray, RasterError
from mmls_tf.raster.windows import Window, cover, read_window

_WINDOW_PX = 1024  # about the side of what is in memory at once: 30 MB of seven bands


@dataclass(frozen=True)
class Cells:
    """Square groups of pixels: how many pixels a side, and how many groups there are; the last ones may be cut off."""

    factor: int
    rows: int
    columns: int


def cells_of(scene: MapScene, most: int) -> Cells:
    """Returns the smallest cells of which there are at most `most` along each side of a scene."""
    factor = max(1, math.ceil(max(scene.height, scene.width) / most))
    return Cells(factor, math.ceil(scene.height / factor), math.ceil(scene.width / factor))


def band_overview(scene: MapScene, names: Sequence[str], cells: Cells) -> FloatArray:
    """Returns the mean of the pixels that have data, float32 [names, rows, columns], raw values; NaN where none has."""
    places = [CHALLENGE.order.index(name) for name in names]

    def read(window: Window) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
        pixels = scene.read(window)[places]
        return pixels, pixels != NODATA

    return _means(read, len(places), scene, cells)


def share_overview(mask: Path, scene: MapScene, cells: Cells) -> FloatArray:
    """Returns the share of pixels that a mask marks, float32 [rows, columns] in [0, 1]; NaN where it has no data.

    Args:
      mask: a raster of the scene's size with 1 where marked, 0 where not and 255 where there is no data.

    Raises:
      RasterError: it cannot be read, or is of another size.
    """
    dataset = open_raster(mask)
    size = dataset.RasterYSize, dataset.RasterXSize
    if size != (scene.height, scene.width):
        raise RasterError(
            mask, f"{scene.height} x {scene.width} pixels, as the scene has", f"{size[0]} x {size[1]}"
        )

    def read(window: Window) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
        pixels = read_window(dataset, window)[:1]
        return np.asarray(pixels == 1, np.float32), pixels != NODATA_BYTE

    return np.asarray(_means(read, 1, scene, cells)[0])


def _means(
    read: Callable[[Window], tuple[FloatArray, npt.NDArray[np.bool_]]],
    planes: int,
    scene: MapScene,
    cells: Cells,
) -> FloatArray:
    result = np.full((planes, cells.rows, cells.columns), np.nan, np.float32)
    side = max(1, _WINDOW_PX // cells.factor)
    for part in cover(cells.columns, cells.rows, side, side):
        pixels, known = read(_pixels_of(part, scene, cells.factor))
        count = _sums(known.astype(np.float64), cells.factor)
        total = _sums(np.where(known, pixels, 0.0).astype(np.float64), cells.factor)
        place = result[:, part.row : part.row + part.height, part.col : part.col + part.width]
        np.divide(total, count, out=place, where=count > 0, casting="same_kind")
    return result


def _pixels_of(part: Window, scene: MapScene, factor: int) -> Window:
    """Returns the pixels of a window of cells, without what would lie beyond the scene."""
    col, row = part.col * factor, part.row * factor
    width, height = part.width * factor, part.height * factor
    return Window(col, row, min(width, scene.width - col), min(height, scene.height - row))


def _sums(pixels: npt.NDArray[np.float64], factor: int) -> npt.NDArray[np.float64]:
    """Adds groups of `factor` x `factor` pixels of [planes, height, width]."""
    for axis in (1, 2):
        pixels = np.add.reduceat(pixels, np.arange(0, pixels.shape[axis], factor), axis)
    return pixels
