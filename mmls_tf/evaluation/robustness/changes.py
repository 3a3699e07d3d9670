"""What is done to a tile: noise, blur, coarse pixels, gains and offsets, bands in each other's place.

Every function takes a tile and returns one of the same key, mask and valid pixels, whose image is still float32 and 0.0
where invalid. Bands are indices into `mmls_tf.bands.BANDS`; only those that are named change. At severity 0 (a gain or
a factor of 1) the tile comes back as it was. Nothing is clipped.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from mmls_tf.bands import BANDS
from mmls_tf.data.tiles import Tile

Floats = npt.NDArray[np.floating]


def noisy(tile: Tile, deviations: Mapping[int, float], level: float, seed: int = 0) -> Tile:
    """Adds Gaussian noise, independent from pixel to pixel and from band to band.

    The same noise, but for its size, at every level and for every run, since it follows from the tile's key alone.

    Args:
      deviations: of every band to be changed, the standard deviation over the train split, canonical.
      level: standard deviation of the noise as a share of that of the band.
    """
    digest = hashlib.sha256(f"{seed}/{tile.key}".encode()).digest()
    noise = np.random.default_rng(int.from_bytes(digest[:8], "little")).standard_normal(tile.image.shape)
    image = tile.image.copy()
    for band, deviation in deviations.items():
        image[..., band] += (level * deviation * noise[..., band]).astype(np.float32)
    return _with_image(tile, image)


def blurred(tile: Tile, bands: Sequence[int], sigma: float) -> Tile:
    """Blurs by a Gaussian of `sigma` pixels, of valid pixels only; the tile's edge is continued by its last pixels."""
    weight = _smooth(tile.valid.astype(np.float64), sigma)
    image = tile.image.copy()
    for band in bands:
        total = _smooth(tile.image[..., band].astype(np.float64), sigma)
        image[..., band] = _ratio(total, weight)
    return _with_image(tile, image)


def coarse(tile: Tile, bands: Sequence[int], factor: int) -> Tile:
    """Averages the valid pixels of squares of `factor` x `factor` and goes back to the old size bilinearly."""
    weight = _squares(tile.valid.astype(np.float64), factor)
    height, width = tile.valid.shape
    share = _enlarged(weight, factor)[:height, :width]
    image = tile.image.copy()
    for band in bands:
        total = _squares(tile.image[..., band].astype(np.float64), factor)
        image[..., band] = _ratio(_enlarged(total, factor)[:height, :width], share)
    return _with_image(tile, image)


def regraded(tile: Tile, changes: Mapping[int, tuple[float, float]]) -> Tile:
    """Multiplies raw values by a gain and adds a bias.

    Args:
      changes: (gain, bias in raw units) by band.
    """
    image = tile.image.copy()
    for index, (gain, bias) in changes.items():
        band = BANDS[index]
        # canonical = (raw - offset) / scale, so that gain 1 and bias 0 are the identity to the last bit.
        image[..., index] = image[..., index] * np.float32(gain) + np.float32(
            ((gain - 1) * band.offset + bias) / band.scale
        )
    return _with_image(tile, image)


def permuted(tile: Tile, sources: Mapping[int, int]) -> Tile:
    """Puts the canonical values of band `sources[band]` in the place of `band`, as if files had another band order."""
    image = tile.image.copy()
    for band, source in sources.items():
        image[..., band] = tile.image[..., source]
    return _with_image(tile, image)


def _with_image(tile: Tile, image: Floats) -> Tile:
    kept = np.where(tile.valid[..., None] != 0, image, np.float32(0)).astype(np.float32, copy=False)
    return dataclasses.replace(tile, image=kept)


def _smooth(plane: Floats, sigma: float) -> Floats:
    return ndimage.gaussian_filter(plane, sigma, mode="nearest")


def _squares(plane: Floats, factor: int) -> Floats:
    """Returns the means of squares; where the size is no multiple, the last ones are filled up with nothing."""
    rows, columns = (-size % factor for size in plane.shape)
    filled = np.pad(plane, ((0, rows), (0, columns)))
    height, width = (size // factor for size in filled.shape)
    return filled.reshape(height, factor, width, factor).mean(axis=(1, 3))


def _enlarged(plane: Floats, factor: int) -> Floats:
    return ndimage.zoom(plane, factor, order=1, mode="nearest", grid_mode=True)


def _ratio(total: Floats, weight: Floats) -> Floats:
    """Invalid pixels are 0 in both sums; a valid one has weight of its own."""
    return np.divide(total, weight, out=np.zeros_like(total), where=weight > 0)
