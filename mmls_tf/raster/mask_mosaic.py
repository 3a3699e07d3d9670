"""Masks of landslides, one file or many tiles, brought onto the grid of a map."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mmls_tf.raster.crs import describe, radius_m, same_planet
from mmls_tf.raster.geotiff import load_gdal
from mmls_tf.raster.grid import Grid, grid_of, joined
from mmls_tf.raster.opening import open_raster
from mmls_tf.raster.raster import RasterError
from mmls_tf.raster.warp import open_warped
from mmls_tf.raster.windows import Window, read_window
from mmls_tf.schema import UNKNOWN_LABEL

_OUTSIDE = 1e30


@dataclass(frozen=True)
class MaskMosaic:
    """Masks on the grid of a map.

    Attributes:
      dataset: a virtual GDAL dataset, float32.
      paths: of the files; the first stands for all in messages.
      tag: a nodata tag of the files that is taken for one; None for none.
    """

    dataset: Any
    paths: tuple[str, ...]
    tag: float | None

    def read(self, window: Window) -> npt.NDArray[np.uint8]:
        """Returns uint8 [height, width]: 0 background, 1 landslide, 255 unknown, as is what lies outside of
        all files or of the map.

        Raises:
          RasterError: other values.
        """
        pixels = read_window(self.dataset, window, outside=float(UNKNOWN_LABEL))[0]
        labels = np.full(pixels.shape, UNKNOWN_LABEL, np.uint8)
        labels[pixels == 0] = 0
        labels[pixels == 1] = 1
        other = (labels == UNKNOWN_LABEL) & (np.abs(pixels) < _OUTSIDE) & (pixels != UNKNOWN_LABEL)
        if self.tag is not None:
            other &= pixels != np.float32(self.tag)
        if other.any():
            raise RasterError(
                self.paths[0], "a mask of 0, 1 and 255 (unknown)", f"a pixel of {pixels[other][0]:g}"
            )
        return labels


def open_mask_mosaic(paths: Sequence[str | os.PathLike[str]], grid: Grid) -> MaskMosaic:
    """Opens masks of 0 and 1 and brings them onto a grid, pixel by pixel (nearest), as they are read.

    The nodata tag 0, which the masks of MMLSv2 carry, is not looked at: it would make the background unknown. Where
    tiles overlap, the last one is read.

    Raises:
      RasterError: a file cannot be opened, has several bands, does not fit to the first, or is of another planet.
    """
    gdal = load_gdal()
    names = [os.fspath(path) for path in paths]
    grids, tags = {}, {}
    for name in names:
        dataset = open_raster(name)
        if dataset.RasterCount != 1:
            raise RasterError(name, "a mask of one band", f"{dataset.RasterCount} bands")
        grids[name] = grid_of(dataset, name)
        tags[name] = dataset.GetRasterBand(1).GetNoDataValue() or None
        if not same_planet(radius_m(grids[name].crs_wkt), radius_m(grid.crs_wkt)):
            raise RasterError(name, f"a mask on {describe(grid.crs_wkt)}", describe(grids[name].crs_wkt))
        if tags[name] != tags[names[0]]:
            raise RasterError(name, f"the nodata tag of {names[0]}, {tags[names[0]]}", str(tags[name]))
    joined(grids)
    tag = tags[names[0]]
    absolute = [os.path.abspath(name) for name in names]  # noqa: PTH100  # links stay links
    nodata = repr(float(UNKNOWN_LABEL if tag is None else tag))
    mosaic = gdal.BuildVRT("", absolute, srcNodata=nodata, VRTNodata=nodata)
    return MaskMosaic(open_warped(mosaic, names[0], 1, grid, "nearest"), tuple(names), tag)
