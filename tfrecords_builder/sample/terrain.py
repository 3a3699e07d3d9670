"""The ground before any landslide: plateaus, canyons with gullied walls, craters, rough patches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmls_tf.raster.mars import PIXEL_M
from tfrecords_builder.sample.fields import Field, Shape, fractal, smooth, smoothstep

_FULL_HEIGHT_PX = 400.0  # a region at least this high shows canyons at full size
_CANYON_SPACING_PX = 330.0
_WALL_PX = 46.0
_WALL_DROP = 0.38  # metres down per metre across, from rim to foot
_PIXELS_PER_CRATER = 5000


@dataclass(frozen=True)
class Terrain:
    """The ground of one region.

    Attributes:
      dem: elevation in metres, f64[H, W].
      scale: size of its forms as a share of full size, in (0, 1].
    """

    dem: Field
    scale: float


def make_terrain(rng: np.random.Generator, shape: Shape, steepness: float) -> Terrain:
    """Returns ground of mean elevation near 0; `steepness` multiplies the height of the canyon walls."""
    scale = float(np.clip(min(shape) / _FULL_HEIGHT_PX, 0.16, 1.0))
    wall_m = _WALL_PX * scale * PIXEL_M * _WALL_DROP * steepness
    depth = _canyon_depth(rng, shape, scale)
    # Floors and plateaus lie at different levels from place to place, and the country falls to the east.
    dem = wall_m * (0.5 - depth) * (1.0 + 0.15 * fractal(rng, shape, 500.0 * scale, 5.0))
    dem += 0.16 * wall_m * fractal(rng, shape, 600.0 * scale, 4.6)
    dem += 0.5 * wall_m * np.linspace(0.5, -0.5, shape[1])[None, :]
    dem += _roughness(rng, shape, depth)
    _add_craters(rng, dem, scale)
    return Terrain(dem, scale)


def _canyon_depth(rng: np.random.Generator, shape: Shape, scale: float) -> Field:
    """Returns how deep in a canyon each pixel lies, 0 on the plateau and 1 on the floor, [H, W]."""
    canyons = max(1, round(shape[0] / (_CANYON_SPACING_PX * scale)))
    phase = (np.arange(shape[0])[:, None] + 0.5) / shape[0] * canyons
    warp = 0.17 * fractal(rng, shape, 380.0 * scale, 5.0)
    wave = -np.cos(2.0 * np.pi * (phase + warp)) + 0.1 + 0.25 * fractal(rng, shape, 260.0 * scale, 5.0)
    by_row, by_col = np.gradient(smooth(wave, 10.0 * scale))
    steepness = np.maximum(np.hypot(by_row, by_col), 0.006 / scale)
    # Value over gradient is the distance to the rim in pixels, near enough where it matters.
    distance = wave / steepness
    wall = np.maximum(_WALL_PX * scale * (1.0 + 0.25 * fractal(rng, shape, 200.0 * scale, 5.0)), 4.0)
    # Spurs and gullies: noise at the nearest point of the rim, so that they run straight down the wall.
    to_rim = np.clip(distance, -0.5 * wall, 1.2 * wall) / steepness
    gullies = np.abs(fractal(rng, shape, 34.0 * scale + 6.0, 4.0))
    gullies = smooth(_fetch(gullies, -to_rim * by_row, -to_rim * by_col), 1.2)
    across = distance / wall
    across += 0.22 * (gullies - 0.8) * smoothstep(across * 2.0 + 0.6) * smoothstep(1.7 - 1.4 * across)
    return smooth(1.0 - (1.0 - np.clip(across, 0.0, 1.0)) ** 1.8, 0.8)


def _fetch(field: Field, rows_away: Field, cols_away: Field) -> Field:
    """Returns `field` [H, W] at an offset in pixels from every pixel, at most to the border."""
    row, col = np.indices(field.shape)
    row = np.clip(row + np.rint(rows_away).astype(np.int64), 0, field.shape[0] - 1)
    col = np.clip(col + np.rint(cols_away).astype(np.int64), 0, field.shape[1] - 1)
    return field[row, col]


def _roughness(rng: np.random.Generator, shape: Shape, depth: Field) -> Field:
    """Returns metres of small relief [H, W]: smooth plains, hills, and patches as rough as a landslide."""
    patches = smoothstep(0.9 * fractal(rng, shape, 150.0, 4.0) - 0.7)
    amplitude = 4.0 + 6.0 * depth + 32.0 * patches
    return amplitude * fractal(rng, shape, 28.0, 3.4)


def _add_craters(rng: np.random.Generator, dem: Field, scale: float) -> None:
    """Digs bowls with raised rims into `dem` [H, W]: many small ones, few large ones."""
    count = round(dem.size / _PIXELS_PER_CRATER)
    largest = max(4.0, 16.0 * scale)
    radii = np.minimum(1.8 * rng.uniform(0.02, 1.0, count) ** -0.6, largest)
    centres = rng.uniform(0.0, 1.0, (count, 2)) * dem.shape
    for radius, (row, col) in zip(radii, centres, strict=True):
        reach = int(2.5 * radius) + 1
        top, left = max(0, int(row) - reach), max(0, int(col) - reach)
        window = dem[top : int(row) + reach + 1, left : int(col) + reach + 1]
        r, c = np.indices(window.shape)
        rho = np.hypot(r + top - row, c + left - col) / radius
        bowl = np.where(rho < 1.0, rho**2 - 1.0, 0.0) + 0.25 * np.exp(-(((rho - 1.1) / 0.35) ** 2))
        window += bowl * radius * PIXEL_M * 0.16
