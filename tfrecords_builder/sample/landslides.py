"""Landslides: where they start, the ground they cover, and how they change it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmls_tf.raster.mars import PIXEL_M
from tfrecords_builder.sample.fields import Field, fractal, horn_gradient, smooth, smoothstep
from tfrecords_builder.sample.terrain import Terrain

_SHORTEST_PX, _LONGEST_PX = 8.0, 120.0
_ANGLES = np.linspace(-np.pi, np.pi, 361)
_HEAD_AT = 0.15  # the pixel a slide is drawn for lies this far from its head to its toe
_OVERLAP = 0.35  # share of a landslide that may lie on older ones, while there is room


@dataclass(frozen=True)
class Landslide:
    """One landslide, before it is laid on a grid.

    Attributes:
      row, col: pixel in its source area.
      azimuth: direction of movement in radians, 0 towards larger rows, a right angle towards larger columns.
      length_px: from head to toe.
      width: largest width as a share of the length.
      bend: sideways shift of the toe as a share of the length.
      source_end: share of the length at which removal turns into deposition.
      depth_m: greatest thickness removed; what is deposited is thinner and spread wider.
      freshness: sharpness of its forms, in (0, 1].
      lobes: amplitudes and phases of the outline's harmonics, f64[2, K].
      heat, tint: change of thermal inertia and of albedo in its deposit, in DN and as a share.
    """

    row: float
    col: float
    azimuth: float
    length_px: float
    width: float
    bend: float
    source_end: float
    depth_m: float
    freshness: float
    lobes: Field
    heat: float
    tint: float


@dataclass(frozen=True)
class Footprint:
    """A landslide on the grid: a window and, in it, level (> 0 inside, 1 at the middle), along and across."""

    window: tuple[slice, slice]
    level: Field
    along: Field
    across: Field


@dataclass(frozen=True)
class Surface:
    """Ground with landslides: dem in metres, mask u8 {0, 1}, and what they do to other bands; all [H, W]."""

    dem: Field
    mask: NDArray[np.uint8]
    heat: Field
    tint: Field


def add_landslides(rng: np.random.Generator, terrain: Terrain, share: float, margin_px: int = 0) -> Surface:
    """Returns the terrain after landslides that cover `share` of it, or as much as its walls give rise to.

    The share is that of the area inside a margin of `margin_px` all round.
    """
    shape = terrain.dem.shape[:2]
    background = smooth(terrain.dem, 1.0 + 4.0 * terrain.scale)
    detail = terrain.dem - background
    surface = Surface(terrain.dem.copy(), np.zeros(shape, np.uint8), np.zeros(shape), np.zeros(shape))
    hummocks = fractal(rng, (shape[0], shape[1]), 8.0, 2.6)
    counted = np.zeros(shape, np.bool_)
    counted[margin_px : shape[0] - margin_px, margin_px : shape[1] - margin_px] = True
    lacking, refused = share * int(counted.sum()), 0
    for slide in _propose(rng, background, terrain.scale):
        footprint = lay(slide, (shape[0], shape[1]))
        inside = footprint.level > 0.0
        fresh = inside & (surface.mask[footprint.window] == 0)
        overlap = inside.sum() - fresh.sum()
        if overlap >= min(_OVERLAP + refused / 150.0, 0.95) * inside.sum():
            refused += 1
            continue
        refused = 0
        _carve(surface, detail, hummocks, slide, footprint)
        lacking -= int(counted[footprint.window][fresh].sum())
        if lacking <= 0:
            break
    return surface


def lay(slide: Landslide, shape: tuple[int, int]) -> Footprint:
    """Returns the landslide's footprint on a grid [H, W]; parts beyond the border are cut off."""
    reach = int(slide.length_px * 1.3) + 3
    top, left = max(0, int(slide.row) - reach), max(0, int(slide.col) - reach)
    bottom, right = min(shape[0], int(slide.row) + reach), min(shape[1], int(slide.col) + reach)
    down = (np.arange(top, bottom)[:, None] - slide.row) / slide.length_px
    side = (np.arange(left, right)[None, :] - slide.col) / slide.length_px
    along = down * np.cos(slide.azimuth) + side * np.sin(slide.azimuth) + _HEAD_AT
    across = side * np.cos(slide.azimuth) - down * np.sin(slide.azimuth)
    across = across - slide.bend * np.clip(along, 0.0, 1.2) ** 2
    # A drop: narrow at the head, widest towards the toe.
    half_width = 0.5 * slide.width * (0.55 + 0.8 * np.clip(along, 0.0, 1.0))
    across = across / half_width
    radius, angle = np.hypot(2.0 * along - 1.0, across), np.arctan2(across, 2.0 * along - 1.0)
    lobes = 1.0 / np.interp(angle, _ANGLES, _outline(slide)) - 1.0
    # Lobes belong to the outline: felt further in, they would crease the surface towards the middle.
    level = 1.0 - radius * (1.0 + lobes * np.minimum(radius, 1.0) ** 2)
    return Footprint((slice(top, bottom), slice(left, right)), level, along, across)


def _outline(slide: Landslide) -> Field:
    """Returns the distance of the outline from the middle at `_ANGLES`, as a multiple of an ellipse's."""
    numbers = np.arange(2, slide.lobes.shape[1] + 2)
    amplitude, phase = slide.lobes
    return 1.0 + np.cos(_ANGLES[:, None] * numbers + phase) @ amplitude


def _propose(rng: np.random.Generator, ground: Field, scale: float) -> Iterator[Landslide]:
    """Yields landslides that start on steep ground and move down it."""
    by_row, by_col = horn_gradient(ground)
    steepness = np.hypot(by_row, by_col)
    # Weak stretches of wall fail again and again, others never.
    weakness = (
        smoothstep(1.2 * fractal(rng, (ground.shape[0], ground.shape[1]), 260.0 * scale, 4.0) + 0.5) + 0.05
    )
    steep = steepness > 0.6 * np.quantile(steepness, 0.95)
    weight = np.where(steep, weakness * steepness**2, 0.0)
    total = np.cumsum(weight.ravel())
    longest = float(np.clip(0.32 * min(ground.shape), 12.0, _LONGEST_PX))
    for _ in range(1000 + ground.size // 300):
        place = int(np.searchsorted(total, rng.uniform(0.0, total[-1])))
        row, col = divmod(min(place, ground.size - 1), ground.shape[1])
        downhill = float(np.arctan2(-by_col[row, col], -by_row[row, col]))
        yield _draw(rng, row, col, downhill, longest)


def _draw(rng: np.random.Generator, row: int, col: int, downhill: float, longest: float) -> Landslide:
    length = _SHORTEST_PX * (longest / _SHORTEST_PX) ** rng.uniform()
    elongated = rng.uniform() < 0.25
    harmonics = 4 + int(length / 8.0)
    amplitude = 0.28 * rng.standard_normal(harmonics) / np.arange(2, harmonics + 2) ** 1.25
    return Landslide(
        row=float(row),
        col=float(col),
        azimuth=downhill + 0.18 * rng.standard_normal(),
        length_px=length,
        width=rng.uniform(0.25, 0.38) if elongated else rng.uniform(0.45, 0.8),
        bend=rng.uniform(-0.2, 0.2),
        source_end=rng.uniform(0.22, 0.36),
        depth_m=length * PIXEL_M * rng.uniform(0.04, 0.07),
        freshness=rng.uniform(0.45, 1.0),
        lobes=np.stack([np.clip(amplitude, -0.15, 0.15), rng.uniform(0.0, 2.0 * np.pi, harmonics)]),
        heat=26.0 + 14.0 * rng.standard_normal(),
        tint=-0.05 + 0.12 * rng.standard_normal(),
    )


def _carve(surface: Surface, detail: Field, hummocks: Field, slide: Landslide, footprint: Footprint) -> None:
    """Changes `surface` where the slide passes, and takes what it wipes out from `detail`."""
    window, level = footprint.window, np.maximum(footprint.level, 0.0)
    half_width_px = 0.5 * slide.length_px * slide.width
    edge = np.clip(level * half_width_px / 1.5, 0.0, 1.0)
    # The source thins out downhill, and its lower end is bowed.
    source_end = slide.source_end - 0.1 * footprint.across**2
    source = smoothstep((source_end - footprint.along) / slide.source_end + 0.5)
    wiped = 0.85 * edge * slide.freshness * detail[window]
    detail[window] -= wiped
    change = _deposit_m(slide, footprint, hummocks[window], level, edge) * (1.0 - source)
    change -= source * slide.depth_m * (1.0 - (1.0 - level) ** 3)
    surface.dem[window] += change - wiped
    surface.mask[window][level > 0.0] = 1
    # The youngest landslide is what a camera sees.
    body = edge * (1.0 - 0.6 * source)
    surface.heat[window] += body * (slide.heat - surface.heat[window])
    surface.tint[window] += body * (slide.tint - surface.tint[window])


def _deposit_m(slide: Landslide, footprint: Footprint, hummocks: Field, level: Field, edge: Field) -> Field:
    """Returns the thickness in metres of the run-out: a bulge with a steep toe, side ridges and hummocks."""
    thickness = 0.45 * slide.depth_m
    bulge = thickness * np.sqrt(level)
    at_the_sides = smoothstep(2.0 * np.abs(footprint.across) - 0.8)
    ridges = 0.5 * thickness * np.exp(-(((level - 0.14) / 0.09) ** 2)) * at_the_sides * edge
    relief = min(0.35 * thickness, 42.0) + 8.0
    return bulge + slide.freshness * (ridges + relief * edge * hummocks)
