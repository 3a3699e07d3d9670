"""The order of bands in a file is checked, not believed.

What tells the bands apart: slope is Horn's slope of the elevation; in the public release the whole numbers of the
original come out again only with a band's own constants; red is brighter than green, and green resembles blue more
than red. A look at the middle of a tile settles it for nearly all tiles; `band_search` looks closer at the others.
A tile is refused only where another order fits and the declared one does not: flat ground, or a slope from another
source, tells nothing and passes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mmls_tf.bands import BAND_NAMES, BANDS
from mmls_tf.raster.band_search import (
    EXACT_DEGREES,
    fits_lattice,
    order_by_colour,
    order_by_lattice,
    order_by_slope,
    tell_order,
)
from mmls_tf.raster.horn import Floats, horn_slope, pixel_metres
from mmls_tf.raster.layouts import V1, Layout, find_valid
from mmls_tf.raster.raster import Raster

_WINDOW = 34
_SHARE = 0.9
_ALIKE = 0.85  # correlation of the v1 slope with the slope of its elevation: .89 to .98
_STEEPEST = 90.0
_WAY_OUT = (
    "bring the bands into that order, name the right --layout, or pass --check_order=false if they are right"
)


@dataclass(frozen=True)
class OrderProblem:
    """What was expected of the order of bands and what the pixels say."""

    expected: str
    found: str


def order_problem(raster: Raster, layout: Layout) -> OrderProblem | None:
    """Tells what speaks against an image holding its bands in the order of `layout`; None if nothing does.

    Args:
      raster: the seven bands as stored, [7, height, width].
    """
    terrain, colours = _settled_by_the_middle(raster, layout)
    if terrain and colours and not _beyond_slopes(raster.pixels, layout):
        return None
    return _search(raster, layout, terrain)


def known_order(raster: Raster, layouts: Sequence[Layout]) -> Layout | None:
    """Returns the one of `layouts` whose elevation and slope the middle of a tile bears out, None if not just one."""
    borne_out = [layout for layout in layouts if _settled_by_the_middle(raster, layout)[0]]
    exact = [layout for layout in borne_out if layout.scaling != V1.scaling]  # v1 is only known to look alike
    found = exact or borne_out
    return found[0] if len(found) == 1 else None


def in_units(stored: npt.NDArray[np.generic], layout: Layout) -> Floats:
    """Returns [7, ...] in metres, degrees and DN; v1, whose constants nobody knows, by plausible ones."""
    values = stored.astype(np.float64)
    if not layout.scaled:
        return values
    shape = (len(layout.order),) + (1,) * (values.ndim - 1)
    bands = [BANDS[BAND_NAMES.index(name)] for name in layout.order]
    if layout.scaling == V1.scaling:
        scale = [band.scale if band.group == "terrain" else 255.0 for band in bands]
        return values * np.reshape(scale, shape)
    scale, offset = [band.scale for band in bands], [band.offset for band in bands]
    return values * np.reshape(scale, shape) + np.reshape(offset, shape)


def _settled_by_the_middle(raster: Raster, layout: Layout) -> tuple[bool, bool]:
    """Tells whether the middle of the tile bears out elevation and slope, and the colours."""
    _, height, width = raster.pixels.shape
    top, left = max(0, (height - _WINDOW) // 2), max(0, (width - _WINDOW) // 2)
    values = in_units(raster.pixels[:, top : top + _WINDOW, left : left + _WINDOW], layout)
    dem, slope, red, green, blue = (
        values[layout.order.index(name)] for name in ("dem", "slope", "red", "green", "blue")
    )
    with np.errstate(all="ignore"):
        computed, inner = (
            horn_slope(dem, pixel_metres(raster.geotransform, raster.crs_wkt)),
            slope[1:-1, 1:-1],
        )
        terrain = np.mean(np.abs(computed - inner) < EXACT_DEGREES) >= _SHARE
        if not terrain and layout.scaling == V1.scaling:
            terrain = np.corrcoef(computed.ravel(), inner.ravel())[0, 1] >= _ALIKE
        colours = bool(red.mean() >= green.mean())
        if colours and layout.scaled and layout.scaling != V1.scaling:
            colours = all(fits_lattice(band) for band in (red, green, blue))
    return bool(terrain), colours


def _beyond_slopes(pixels: npt.NDArray[np.generic], layout: Layout) -> bool:
    slope = pixels[layout.order.index("slope")]
    return bool(slope.min() < _least_slope() or slope.max() > _greatest_slope(layout))


def _least_slope() -> float:
    return -1e-3


def _greatest_slope(layout: Layout) -> float:
    """Returns 90 degrees as stored."""
    if layout.scaling == V1.scaling:
        return np.inf
    return 1.0001 * _STEEPEST / (BANDS[BAND_NAMES.index("slope")].scale if layout.scaled else 1.0)


def _search(raster: Raster, layout: Layout, terrain: bool) -> OrderProblem | None:
    valid = find_valid(raster) & np.isfinite(raster.pixels).all(axis=0)
    stored = np.where(valid, raster.pixels, 0).astype(np.float64)
    pixel = pixel_metres(raster.geotransform, raster.crs_wkt)
    names = ", ".join(layout.order)
    order = None if terrain else order_by_slope(stored, valid, layout, pixel)
    if order is None:
        slope = stored[layout.order.index("slope")][valid]
        if slope.size and (slope.min() < _least_slope() or slope.max() > _greatest_slope(layout)):
            return OrderProblem(
                f"a slope of 0 to 90 degrees in band {layout.order.index('slope') + 1} of the order {names}",
                f"stored values of {slope.min():.6g} to {slope.max():.6g}; pixels without data need a nodata tag; "
                + _WAY_OUT,
            )
        values = in_units(stored, layout)[:, valid]
        order = order_by_lattice(stored[:, valid], layout) or order_by_colour(values, layout)
    if order is None:
        return None
    return OrderProblem(
        f"bands in the order {names} of the {layout.name} layout", f"{tell_order(order)}; {_WAY_OUT}"
    )
