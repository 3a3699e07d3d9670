"""One region of the sample: terrain, landslides, and the seven bands an orbiter would have of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tfrecords_builder.sample.fields import Field, fractal, hillshade, slope_degrees, smooth
from tfrecords_builder.sample.landslides import Surface, add_landslides
from tfrecords_builder.sample.terrain import make_terrain

MARGIN_PX = 8  # generated all round and cut off: the border's slope and shading know their neighbours
_MISSING_GRAY = 0.015
_DARKEST_DN = 18.0


@dataclass(frozen=True)
class Character:
    """How a region differs from another: metres, degrees of steepness, DN, shares."""

    elevation_m: float
    steepness: float
    brightness_dn: float
    landslide_share: float


BASE = Character(elevation_m=900.0, steepness=1.0, brightness_dn=0.0, landslide_share=0.325)
ISOLATED = Character(elevation_m=6000.0, steepness=0.85, brightness_dn=24.0, landslide_share=0.22)


@dataclass(frozen=True)
class Region:
    """Raw bands f32[H, W] by canonical name (units as in `mmls_tf.bands`) and the mask u8[H, W] {0, 1}."""

    bands: dict[str, NDArray[np.float32]]
    mask: NDArray[np.uint8]


def make_region(rng: np.random.Generator, height_px: int, width_px: int, isolated: bool) -> Region:
    """Returns a made-up region; the isolated one is higher, brighter, gentler and has fewer landslides.

    All bands but slope are whole numbers; all but slope and DEM lie in 0..255. The same state of `rng` gives
    the same bytes.
    """
    character = ISOLATED if isolated else BASE
    shape = (height_px + 2 * MARGIN_PX, width_px + 2 * MARGIN_PX)
    terrain = make_terrain(rng, shape, character.steepness)
    surface = add_landslides(rng, terrain, character.landslide_share, MARGIN_PX)
    inner = (slice(MARGIN_PX, -MARGIN_PX), slice(MARGIN_PX, -MARGIN_PX))
    dem = np.rint(surface.dem - surface.dem[inner].mean() + character.elevation_m)
    slope = slope_degrees(dem)
    albedo = fractal(rng, shape, 120.0, 3.4) + 6.0 * surface.tint
    bands = {
        **_colours(rng, dem, albedo, character.brightness_dn),
        "dem": dem,
        "slope": slope,
        "thermal_inertia": _thermal_inertia(rng, surface, slope),
        "gray": _gray(rng, dem, albedo),
    }
    cut = {name: np.ascontiguousarray(band[inner], dtype=np.float32) for name, band in bands.items()}
    cut["gray"][_missing_strips(rng, (height_px, width_px))] = 0.0
    return Region(cut, np.ascontiguousarray(surface.mask[inner]))


def _colours(rng: np.random.Generator, dem: Field, albedo: Field, brightness_dn: float) -> dict[str, Field]:
    """Returns red, green and blue: one coarse camera, so nearly one picture; blue has the most contrast."""
    shape = (dem.shape[0], dem.shape[1])
    sunlit = smooth(hillshade(dem, azimuth_degrees=300.0, altitude_degrees=40.0), 2.4)
    haze = fractal(rng, shape, 300.0, 4.0)
    light = 4.0 * (sunlit - np.sin(np.radians(40.0))) + 0.35 * albedo + 0.35 * haze
    dust = fractal(rng, shape, 90.0, 3.6)
    tables = (("red", 120.0, 38.0, 2.5), ("green", 94.0, 44.0, 0.0), ("blue", 92.0, 49.0, -3.0))
    bands = {}
    for name, mean, contrast, redness in tables:
        grain = 5.0 * rng.standard_normal(shape)
        bands[name] = _to_dn(mean + brightness_dn + contrast * light + redness * dust + grain, _DARKEST_DN)
    return bands


def _thermal_inertia(rng: np.random.Generator, surface: Surface, slope: Field) -> Field:
    """Returns thermal inertia in DN: high on bare rock and blocky debris, low under dust."""
    shape = (slope.shape[0], slope.shape[1])
    rock = 0.9 * np.minimum(smooth(slope, 1.0), 35.0)
    dust = 20.0 * fractal(rng, shape, 140.0, 3.4)
    grain = 7.0 * fractal(rng, shape, 8.0, 1.5)
    return _to_dn(108.0 + rock + dust + surface.heat + grain, 0.0)


def _gray(rng: np.random.Generator, dem: Field, albedo: Field) -> Field:
    """Returns the fine camera's picture in DN: a sun low in the west, strips that do not quite match."""
    shape = (dem.shape[0], dem.shape[1])
    sunlit = hillshade(dem, azimuth_degrees=270.0, altitude_degrees=45.0) - np.sin(np.radians(45.0))
    joints = rng.uniform(size=shape[1]) < 1.0 / 60.0
    strips: Field = 2.5 * rng.standard_normal(shape[1] + 1)[np.cumsum(joints)]
    grain = 4.0 * rng.standard_normal(shape)
    return _to_dn(130.0 + 75.0 * sunlit + 6.0 * albedo + strips[None, :] + grain, 1.0)


def _missing_strips(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Returns where the fine camera has no picture [H, W]: upright strips, some 1.5 % of the pixels."""
    missing = np.zeros(shape, np.bool_)
    wanted = int(_MISSING_GRAY * missing.size)
    while (lacking := wanted - int(missing.sum())) > 0:
        width = min(int(rng.integers(3, 9)), lacking)
        length = min(int(shape[0] * rng.uniform(0.2, 1.0)), lacking // width)
        top, left = rng.integers(0, shape[0] - length + 1), rng.integers(0, shape[1] - width + 1)
        missing[top : top + length, left : left + width] = True
    return missing


def _to_dn(field: Field, lowest: float) -> Field:
    return np.clip(np.rint(field), lowest, 255.0)
