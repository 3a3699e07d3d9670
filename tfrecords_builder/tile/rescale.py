"""Linear rescaling of bands that are stored otherwise than MMLSv2's raw values."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite

import numpy as np

from mmls_tf.bands import BAND_NAMES
from mmls_tf.errors import UsageError
from mmls_tf.raster.layouts import CHALLENGE
from mmls_tf.raster.nodata import NODATA
from mmls_tf.raster.raster import FloatArray

Rescale = Mapping[str, tuple[float, float]]


def parse_rescale(text: str) -> Rescale:
    """Returns (gain, offset) by band from a text such as `dem=1000,0;red=255,0`.

    Raises:
      UsageError: an entry has another form, or names no band or one twice.
    """
    result: dict[str, tuple[float, float]] = {}
    for entry in filter(None, (part.strip() for part in text.split(";"))):
        name, _, numbers = (part.strip() for part in entry.partition("="))
        if name not in BAND_NAMES:
            raise UsageError(f"--rescale={text}: expected one of {', '.join(BAND_NAMES)}; found {name!r}")
        if name in result:
            raise UsageError(f"--rescale={text}: expected every band once, found {name} twice")
        try:
            gain, offset = map(float, numbers.split(","))
        except ValueError:
            raise UsageError(f"--rescale={text}: expected NAME=GAIN,OFFSET, found {entry!r}") from None
        if not (isfinite(gain) and isfinite(offset) and gain):
            raise UsageError(
                f"--rescale={text}: expected finite numbers and a gain other than 0, found {entry!r}"
            )
        result[name] = gain, offset
    return result


def accepted(rescale: Rescale) -> frozenset[str]:
    """Returns the bands whose values the user takes as they are: those with gain 1 and offset 0."""
    return frozenset(name for name, numbers in rescale.items() if numbers == (1.0, 0.0))


def apply_rescale(image: FloatArray, rescale: Rescale) -> FloatArray:
    """Rescales bands of `image` [7, height, width], challenge order, in place; `NODATA` stays."""
    for name, (gain, offset) in rescale.items():
        plane = image[CHALLENGE.order.index(name)]
        present = plane != NODATA
        plane[present] = plane[present].astype(np.float64) * gain + offset
    return image
