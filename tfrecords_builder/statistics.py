"""Band statistics over valid pixels, gathered tile by tile in a fixed order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mmls_tf.bands import BAND_NAMES
from mmls_tf.raster.raster import ByteArray, FloatArray
from mmls_tf.schema import BandStatistics


@dataclass(frozen=True)
class Moments:
    """Count, mean, sum of squared deviations, minimum and maximum a band: float64 [7] each, `pixels` an int."""

    pixels: int
    mean: npt.NDArray[np.float64]
    squares: npt.NDArray[np.float64]
    min: npt.NDArray[np.float64]
    max: npt.NDArray[np.float64]


def tile_moments(image: FloatArray, valid: ByteArray) -> Moments:
    """Returns the moments of one tile [height, width, 7] over the pixels where `valid` is 1."""
    inside = image.reshape(-1, image.shape[-1])
    if not valid.all():
        inside = inside[valid.ravel() == 1]
    # [7, pixels]: NumPy sums contiguous rows pairwise, columns naively.
    bands = np.ascontiguousarray(inside.T, np.float64)
    low, high = bands.min(axis=1), bands.max(axis=1)
    mean = bands.mean(axis=1)
    bands -= mean[:, None]
    squares = np.einsum("bp,bp->b", bands, bands)  # without a temporary of the size of the tile
    return Moments(bands.shape[1], mean, squares, low, high)


def merge(one: Moments, other: Moments) -> Moments:
    """Returns the moments of two disjoint sets of pixels (Chan, Golub and LeVeque 1983, equation 2.1)."""
    pixels = one.pixels + other.pixels
    delta = other.mean - one.mean
    return Moments(
        pixels,
        one.mean + delta * (other.pixels / pixels),
        one.squares + other.squares + delta**2 * (one.pixels * other.pixels / pixels),
        np.minimum(one.min, other.min),
        np.maximum(one.max, other.max),
    )


def band_statistics(moments: Moments) -> tuple[BandStatistics, ...]:
    """Returns the manifest's statistics; the deviation is that of the population."""
    std = np.sqrt(moments.squares / moments.pixels)
    return tuple(
        BandStatistics(
            name,
            moments.pixels,
            float(moments.mean[i]),
            float(std[i]),
            float(moments.min[i]),
            float(moments.max[i]),
        )
        for i, name in enumerate(BAND_NAMES)
    )
