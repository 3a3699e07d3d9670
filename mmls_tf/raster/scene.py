"""A seven-band mosaic of any size, read by windows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mmls_tf.bands import BAND_NAMES, BANDS
from mmls_tf.errors import UsageError
from mmls_tf.raster.grid import Grid, grid_of
from mmls_tf.raster.layouts import CHALLENGE
from mmls_tf.raster.nodata import marked
from mmls_tf.raster.opening import limit_cache, open_raster
from mmls_tf.raster.raster import FloatArray, RasterError
from mmls_tf.raster.windows import Window, read_window


@dataclass(frozen=True)
class Scene:
    """An open mosaic.

    Attributes:
      dataset: the GDAL dataset.
      grid: where its pixels lie.
      order: canonical band names in the order of the file.
      nodata: the file's nodata tag a band, in the order of the file.
    """

    dataset: Any
    grid: Grid
    order: tuple[str, ...]
    nodata: tuple[float | None, ...]

    def read(self, window: Window) -> FloatArray:
        """Returns raw values in the challenge's band order, float32 [7, height, width], `NODATA` where missing."""
        pixels = marked(read_window(self.dataset, window), self.nodata)
        return pixels[[self.order.index(name) for name in CHALLENGE.order]]


def open_scene(
    path: str | os.PathLike[str], order: Sequence[str] = (), drivers: Sequence[str] = ("GTiff",)
) -> Scene:
    """Opens a mosaic of the seven bands.

    Args:
      path: a local raster file.
      order: canonical band names in the order of the file; empty: the file's band descriptions where they
        are the seven names, else the challenge's order.
      drivers: the only GDAL drivers that may open it.

    Raises:
      RasterError: it cannot be read, has not seven bands, or no usable georeference.
    """
    dataset = open_raster(path, drivers)
    if dataset.RasterCount != len(BANDS):
        raise RasterError(
            path, f"{len(BANDS)} bands ({', '.join(CHALLENGE.order)})", str(dataset.RasterCount)
        )
    limit_cache(dataset)
    bands = [dataset.GetRasterBand(index + 1) for index in range(len(BANDS))]
    return Scene(
        dataset=dataset,
        grid=grid_of(dataset, path),
        order=tuple(order) or described_order(dataset),
        nodata=tuple(band.GetNoDataValue() for band in bands),
    )


def described_order(dataset: Any) -> tuple[str, ...]:
    """Returns the order that band descriptions tell; the challenge's where they are not the seven names."""
    names = tuple(dataset.GetRasterBand(index + 1).GetDescription() for index in range(dataset.RasterCount))
    return names if sorted(names) == sorted(BAND_NAMES) else CHALLENGE.order


def parse_order(text: str) -> tuple[str, ...]:
    """Returns the band names of a comma-separated list; empty for an empty text.

    Raises:
      UsageError: the list is not the seven names, each once.
    """
    names = tuple(name.strip() for name in text.split(",")) if text else ()
    if names and sorted(names) != sorted(BAND_NAMES):
        raise UsageError(f"--order={text}: expected each of {', '.join(BAND_NAMES)} once, joined by commas")
    return names
