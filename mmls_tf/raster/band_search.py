"""Looks for the order in which a file holds its bands, where it is not the one that was declared."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mmls_tf.bands import BAND_NAMES, BANDS
from mmls_tf.raster.horn import Floats, horn_slope
from mmls_tf.raster.layouts import LAYOUTS, Layout

EXACT_DEGREES = 0.02  # slope as computed from the stored elevation; the files agree to 2e-6
_SHARE = 0.9  # of the pixels that must agree
_SOME_SLOPE = 0.1  # standard deviation in degrees, below which ground is flat and tells nothing
_LEAST_PIXELS = 100
_CLEARLY_ALIKE = 0.85  # correlation
_BY_MUCH = 0.1
_WHOLE = 0.01  # how far a whole number may be off after scaling and unscaling in float32
_VALUES = 8  # different values that a band must have for its lattice to tell something
_COLOURS_ALIKE = 0.9  # red, green and blue of Mars correlate by .95 and more
_COLOUR_MARGIN = 0.005
_BY_A_DN = 1.0

Order = tuple[str | None, ...]  # a name for every band of the file, None where nothing tells it


def order_by_slope(
    stored: Floats, valid: npt.NDArray[np.bool_], layout: Layout, pixel: tuple[float, float]
) -> Order | None:
    """Returns the order that the relation of slope and elevation shows, None where it is the declared one.

    Args:
      stored: [7, height, width] as in the file, finite.
      valid: [height, width], where all bands have data.
      pixel: width and height of a pixel in metres.
    """
    inside = _surrounded(valid)
    if inside.sum() < _LEAST_PIXELS:
        return None
    declared = (layout.order.index("dem"), layout.order.index("slope"))
    seen = stored[:, 1:-1, 1:-1][:, inside]
    alike = np.zeros((len(BANDS), len(BANDS)))
    for scaled in dict.fromkeys((layout.scaled, False, True)):
        dem, slope = (_unit_of(name) if scaled else (1.0, 0.0) for name in ("dem", "slope"))
        slopes = horn_slope(stored * dem[0] + dem[1], pixel)[:, inside]
        degrees = seen * slope[0] + slope[1]
        exact = _exact_pairs(slopes, degrees)
        if declared in exact and scaled == layout.scaled:
            return None
        if exact:
            return _complete(exact[0], seen, scaled)
        if scaled == layout.scaled:
            alike = _correlations(slopes, degrees)
    best = tuple(int(index) for index in np.unravel_index(alike.argmax(), alike.shape))
    if best == declared or alike[best] < max(_CLEARLY_ALIKE, alike[declared] + _BY_MUCH):
        return None
    return _complete((best[0], best[1]), seen, layout.scaled)


def order_by_lattice(stored: Floats, layout: Layout) -> Order | None:
    """Returns the order of the bands of whole numbers in a public tile, None if it is the declared one or unclear.

    Args:
      stored: [7, pixels] as in the file.
    """
    names = [band.name for band in BANDS if band.group != "terrain"]
    if not layout.scaled or layout.scaling != "mmlsv2":
        return None
    places = [layout.order.index(name) for name in names]
    if any(len(np.unique(stored[place][:4096])) < _VALUES for place in places):
        return None
    fits = {
        (place, name): fits_lattice(stored[place] * _unit_of(name)[0] + _unit_of(name)[1])
        for place in places
        for name in names
    }
    if all(fits[place, name] for place, name in zip(places, names, strict=True)):
        return None
    for permuted in itertools.permutations(names):
        if all(fits[place, name] for place, name in zip(places, permuted, strict=True)):
            return _replaced(layout.order, dict(zip(places, permuted, strict=True)))
    return None


def order_by_colour(values: Floats, layout: Layout) -> Order | None:
    """Returns the order of red, green and blue, None if the declared one may be right.

    Both signs must speak against it: Mars is brighter in red than in green, and the two neighbours in wavelength
    green and blue resemble each other most.

    Args:
      values: [7, pixels] in DN.
    """
    names = ("red", "green", "blue")
    places = [layout.order.index(name) for name in names]
    if values.shape[1] < _LEAST_PIXELS or any(values[place].std() == 0 for place in places):
        return None
    alike = np.asarray(np.corrcoef(values[places]))
    means = values[places].mean(axis=1)
    too_dark = means[0] < means[1] - _BY_A_DN
    unlike = alike[0, 1] > alike[1, 2] + _COLOUR_MARGIN or alike[0, 2] > alike[1, 2] + _COLOUR_MARGIN
    if not (too_dark and unlike and alike.min() > _COLOURS_ALIKE):
        return None
    red, green, blue = _tell_colours(alike)
    return _replaced(layout.order, {places[red]: "red", places[green]: "green", places[blue]: "blue"})


def fits_lattice(values: Floats) -> bool:
    """Tells whether values are whole numbers, but for the rounding of float32."""
    return bool(np.mean(np.abs(values - np.rint(values)) < _WHOLE) >= 0.99)


def tell_order(order: Order) -> str:
    """Returns an order in words, with the layout that has it."""
    names = ", ".join(name or "unknown" for name in order)
    known = [layout.name for layout in LAYOUTS.values() if layout.order == order]
    return f"the order {names}" + (f" of the {known[0]} layout" if known else "")


def _unit_of(name: str) -> tuple[float, float]:
    band = BANDS[BAND_NAMES.index(name)]
    return band.scale, band.offset


def _surrounded(valid: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Returns [height - 2, width - 2], where a pixel and its eight neighbours are valid."""
    rows = valid[:-2] & valid[1:-1] & valid[2:]
    return np.asarray(rows[:, :-2] & rows[:, 1:-1] & rows[:, 2:])


def _exact_pairs(slopes: Floats, degrees: Floats) -> list[tuple[int, int]]:
    """Returns the (dem, slope) bands for which one is the slope of the other, on ground that is not flat."""
    return [
        (dem, slope)
        for dem, slope in itertools.permutations(range(len(BANDS)), 2)
        if min(slopes[dem].std(), degrees[slope].std()) > _SOME_SLOPE
        and np.mean(np.abs(slopes[dem] - degrees[slope]) < EXACT_DEGREES) >= _SHARE
    ]


def _correlations(slopes: Floats, degrees: Floats) -> Floats:
    """Returns [dem, slope]: how much the slope of one band looks like another, 0 where one of them is flat."""
    with np.errstate(all="ignore"):
        alike = np.corrcoef(slopes, degrees)[: len(BANDS), len(BANDS) :]
    alike[slopes.std(axis=1) <= _SOME_SLOPE] = 0.0
    np.fill_diagonal(alike, 0.0)
    return np.nan_to_num(alike)


def _complete(pair: tuple[int, int], seen: Floats, scaled: bool) -> Order:
    """Returns the whole order: a known one that has elevation and slope there, or as far as the pixels tell."""
    layouts = sorted(LAYOUTS.values(), key=lambda layout: layout.scaled != scaled)
    for layout in layouts:
        if (layout.order.index("dem"), layout.order.index("slope")) == pair:
            return layout.order
    names: dict[int, str] = {pair[0]: "dem", pair[1]: "slope"}
    rest = [index for index in range(len(BANDS)) if index not in pair]
    with np.errstate(all="ignore"):
        alike = np.nan_to_num(np.asarray(np.corrcoef(seen[rest])))
    triple = max(
        itertools.combinations(range(len(rest)), 3), key=lambda some: alike[np.ix_(some, some)].min()
    )
    if alike[np.ix_(triple, triple)].min() > _COLOURS_ALIKE:
        colours = _tell_colours(alike[np.ix_(triple, triple)])
        names |= {rest[triple[place]]: name for place, name in zip(colours, BAND_NAMES[:3], strict=True)}
    return tuple(names.get(index) for index in range(len(BANDS)))


def _tell_colours(alike: Floats) -> Sequence[int]:
    """Returns the places of red, green and blue from the correlations [3, 3] of three bands."""
    red = min(range(3), key=lambda place: float(alike[place].sum()))
    others = [place for place in range(3) if place != red]
    green = max(others, key=lambda place: float(alike[red, place]))
    return red, green, next(place for place in others if place != green)


def _replaced(order: tuple[str, ...], names: dict[int, str]) -> Order:
    return tuple(names.get(index, name) for index, name in enumerate(order))
