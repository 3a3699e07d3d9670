"""Which pixels have no data, and the one value that says so in what is written."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mmls_tf.raster.layouts import NODATA_LIMIT
from mmls_tf.raster.raster import FloatArray

NODATA = np.finfo(np.float32).min  # -3.4028235e38, as in the slope files of MMLSv2


def missing(pixels: FloatArray, tag: float | None) -> npt.NDArray[np.bool_]:
    """Tells which pixels have no data: the file's tag, more than 1e30 in size, NaN or infinite."""
    absent: npt.NDArray[np.bool_] = ~(np.abs(pixels) <= NODATA_LIMIT)  # also true of NaN
    if tag is not None and not np.isnan(tag):
        # A float64 tag beyond the range of float32 is infinite here, and no pixel equal to it is left.
        with np.errstate(over="ignore"):
            absent |= pixels == np.float32(tag)
    return absent


def marked(pixels: FloatArray, tags: tuple[float | None, ...]) -> FloatArray:
    """Writes `NODATA` into `pixels` [bands, height, width] where data are missing; `tags` are by band."""
    for plane, tag in zip(pixels, tags, strict=True):
        plane[missing(plane, tag)] = NODATA
    return pixels
