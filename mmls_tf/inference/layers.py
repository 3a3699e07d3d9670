"""Probabilities as bytes, and landslides as a mask: how maps are stored."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mmls_tf.raster.byte_map import NODATA_BYTE, ByteLayer
from mmls_tf.raster.raster import ByteArray

PROBABILITY_STEPS = 254  # a stored value over this is the probability; 255 is no data

PROBABILITY = ByteLayer(
    "landslide probability",
    scale=1.0 / PROBABILITY_STEPS,
    metadata={"SCALING": f"probability = value / {PROBABILITY_STEPS}; {NODATA_BYTE} is no data"},
)
LANDSLIDE = ByteLayer(
    "landslide",
    overviews="mode",
    metadata={"CLASSES": f"0 no landslide, 1 landslide; {NODATA_BYTE} is no data"},
)


def probability_bytes(probability: npt.NDArray[np.float32]) -> ByteArray:
    """Returns probabilities in [0, 1], rounded to steps of 1/254, as uint8 [rows, columns]; 255 where NaN."""
    known = ~np.isnan(probability)
    stored = np.full(probability.shape, NODATA_BYTE, np.uint8)
    stored[known] = np.rint(probability[known].astype(np.float64) * PROBABILITY_STEPS)
    return stored


def landslide_bytes(probability: npt.NDArray[np.float32], threshold: float) -> ByteArray:
    """Returns 1 where a probability is above the threshold, else 0, as uint8 [rows, columns]; 255 where NaN.

    It is decided on the probability itself, not on what is stored of it.
    """
    detected = (probability > threshold).astype(np.uint8)
    detected[np.isnan(probability)] = NODATA_BYTE
    return detected
