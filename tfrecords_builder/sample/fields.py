"""Operations on whole rasters: fractal noise, smoothing, gradients, slope and illumination."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mmls_tf.raster.mars import PIXEL_M

Field = NDArray[np.float64]
Shape = tuple[int, int]


def unit(field: Field) -> Field:
    """Returns `field` [H, W] shifted and scaled to mean 0 and standard deviation 1."""
    return (field - field.mean()) / max(float(field.std()), 1e-12)


def smoothstep(field: Field) -> Field:
    """Returns 0 below 0, 1 above 1, and a curve without kinks between."""
    t = np.clip(field, 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def fractal(rng: np.random.Generator, shape: Shape, longest_px: float, power: float = 3.0) -> Field:
    """Returns noise [H, W], mean 0 and standard deviation 1, by spectral synthesis.

    The power spectrum falls as frequency ** -power from the wavelength `longest_px` on, and is flat above it.
    The synthesis is periodic, so a larger field is made and cut: opposite borders must not match.
    """
    padded = _transform_shape(shape, round(min(longest_px, max(shape))))
    spectrum = np.fft.rfft2(rng.standard_normal(padded))
    spectrum *= np.maximum(_frequency(padded), 1.0 / longest_px) ** (-power / 2.0)
    spectrum[0, 0] = 0.0
    return unit(np.fft.irfft2(spectrum, s=padded)[: shape[0], : shape[1]])


def smooth(field: Field, sigma_px: float) -> Field:
    """Returns `field` [H, W] under a Gaussian blur; beyond the border it is mirrored."""
    shape = (field.shape[0], field.shape[1])
    reach = int(np.ceil(4.0 * sigma_px))
    padded = _transform_shape(shape, 2 * reach)
    border = [(reach, whole - size - reach) for whole, size in zip(padded, shape, strict=True)]
    mirrored = np.pad(field, border, mode="symmetric")
    spectrum = np.fft.rfft2(mirrored)
    spectrum *= np.exp(-2.0 * (np.pi * sigma_px * _frequency(padded)) ** 2)
    return np.fft.irfft2(spectrum, s=padded)[reach : reach + shape[0], reach : reach + shape[1]]


def horn_gradient(dem: Field) -> tuple[Field, Field]:
    """Returns metres of rise per metre towards larger rows and columns, [H, W] each, after Horn (1981).

    The outermost pixels take the elevation beyond the border to equal their own.
    """
    p = np.pad(dem, 1, mode="edge")
    north, south = p[:-2], p[2:]
    west, east = p[:, :-2], p[:, 2:]
    by_row = (south[:, :-2] + 2.0 * south[:, 1:-1] + south[:, 2:]) - (
        north[:, :-2] + 2.0 * north[:, 1:-1] + north[:, 2:]
    )
    by_col = (east[:-2] + 2.0 * east[1:-1] + east[2:]) - (west[:-2] + 2.0 * west[1:-1] + west[2:])
    return by_row / (8.0 * PIXEL_M), by_col / (8.0 * PIXEL_M)


def slope_degrees(dem: Field) -> Field:
    """Returns Horn's slope [H, W] of a DEM in metres, as `gdaldem slope` computes it."""
    return np.degrees(np.arctan(np.hypot(*horn_gradient(dem))))


def hillshade(dem: Field, azimuth_degrees: float, altitude_degrees: float) -> Field:
    """Returns the illumination [H, W] in [0, 1] of a DEM in metres by a sun at this place in the sky."""
    azimuth, altitude = np.radians(azimuth_degrees), np.radians(altitude_degrees)
    by_row, by_col = horn_gradient(dem)
    towards_sun = by_row * np.cos(azimuth) - by_col * np.sin(azimuth)
    lit = (np.sin(altitude) + np.cos(altitude) * towards_sun) / np.sqrt(1.0 + by_row**2 + by_col**2)
    return np.clip(lit, 0.0, 1.0)


def _transform_shape(shape: Shape, extra_px: int) -> Shape:
    """Returns a shape at least `extra_px` larger whose transform is quick: multiples of 32."""
    rows, cols = (-(-(size + extra_px) // 32) * 32 for size in shape)
    return rows, cols


def _frequency(shape: Shape) -> Field:
    """Returns the frequency of each `rfft2` coefficient in cycles per pixel."""
    return np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None, :])
