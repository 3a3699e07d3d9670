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
    """Count of pixels and, for each of the seven bands, mean, sum of squared deviations, minimum and maximum.

    Plain numbers: an array kept for every tile would lie between the large ones that come and go, and the memory of
    these could not be used again (a quarter of a megabyte a tile was lost in that way).
    """

    pixels: int
    mean: tuple[float, ...]
    squares: tuple[float, ...]
    min: tuple[float, ...]
    max: tuple[float, ...]


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
    return _moments(bands.shape[1], mean, squares, low, high)


def merge(one: Moments, other: Moments) -> Moments:
    """Returns the moments of two disjoint sets of pixels (Chan, Golub and LeVeque 1983, equation 2.1)."""
    pixels = one.pixels + other.pixels
    mean, squares = np.array(one.mean), np.array(one.squares)
    delta = np.array(other.mean) - mean
    return _moments(
        pixels,
        mean + delta * (other.pixels / pixels),
        squares + np.array(other.squares) + delta**2 * (one.pixels * other.pixels / pixels),
        np.minimum(one.min, other.min),
        np.maximum(one.max, other.max),
    )


def band_statistics(moments: Moments) -> tuple[BandStatistics, ...]:
    """Returns the manifest's statistics; the deviation is that of the population."""
    std = np.sqrt(np.array(moments.squares) / moments.pixels)
    return tuple(
        BandStatistics(
            name,
            moments.pixels,
            moments.mean[i],
            float(std[i]),
            moments.min[i],
            moments.max[i],
        )
        for i, name in enumerate(BAND_NAMES)
    )


def _moments(pixels: int, *of_bands: npt.NDArray[np.float64]) -> Moments:
    return Moments(pixels, *(tuple(values.tolist()) for values in of_bands))
