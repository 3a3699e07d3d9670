"""How sure a score is: 95 % bootstrap intervals over tiles or spatial blocks, and a paired test between two runs.

Ratios of pixel sums (every pooled metric, the mean IoU of tiles) get the symmetric bootstrap-t interval (Hall 1988, "On
Symmetric Bootstrap Confidence Intervals"), a score by itself on the logit scale, where it cannot leave (0, 1), and a
difference as it is. Standard errors, also those inside the resamples, come from the ratio linearised in the sums of
the groups (the infinitesimal jackknife). The median IoU of tiles has no such error and gets the expanded percentile
interval (Hesterberg 2015, "What Teachers Should Know About the Bootstrap").

Chosen by coverage: in 2 000 simulated data sets of 56 tiles, or 9 to 41 blocks of unequal size, it is 93.2 to 96.2 %
for every metric, where plain percentile intervals have 87.5 to 95.5 %, BCa 86.8 to 95.3 % and basic ones 78 to 94 %.

Tiles touch, and neighbours are alike: intervals over tiles are then too narrow, those over blocks are not. Blocks touch
too, so they should be large against the distance over which errors are alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from scipy import special, stats

from mmls_tf.errors import UsageError
from mmls_tf.evaluation.resampling import MEDIAN, METRICS, Floats, Ints, Table, once, resample, values_of
from mmls_tf.schema import Place

Interval = tuple[float, float]

LEVEL = 0.95
_ROUNDING = 1e-12  # a standard error below this is none


class Difference(TypedDict):
    """A metric of one run minus that of another on the same tiles, with its 95 % interval, as it goes into JSON.

    p: two-sided, of the hypothesis that the metric is the same for both in the population that the tiles stand for; at
      most 0.05 exactly where the interval leaves 0 out.
    """

    difference: float
    interval: Interval
    p: float


def estimates(counts: Ints) -> dict[str, float | None]:
    """Returns every metric of `METRICS` itself; None where it is undefined.

    Args:
      counts: int64 [tiles, 4], true positives, false positives, false negatives, true negatives.
    """
    table = Table.of(counts, None)
    return {name: _none_if_nan(float(values_of([table], name, once(table))[0][0])) for name in METRICS}


def bootstrap(
    counts: Ints,
    groups: Ints | None = None,
    names: Sequence[str] = METRICS,
    draws: int = 2000,
    seed: int = 0,
) -> dict[str, Interval | None]:
    """Returns the 95 % interval of every named metric.

    Args:
      counts: int64 [tiles, 4], true positives, false positives, false negatives, true negatives.
      groups: int [tiles], tiles of one number are drawn together; None draws tile by tile.
      names: from `METRICS`: the pooled ones of `Confusion`, mean and median of the landslide IoU of those tiles
        that have one.
      draws: resamples, at least 100.

    Returns:
      None where the metric is undefined, where there are fewer than two groups, or where no resample could differ, as
      with a recall of exactly 0 or 1.

    Raises:
      UsageError: too few draws.
    """
    table = Table.of(counts, groups)
    result: dict[str, Interval | None] = dict.fromkeys(names)
    if len(table.sums) < 2:
        return result
    drawn = resample([table], names, draws, seed)
    for name in names:
        value, error = (float(part[0]) for part in values_of([table], name, once(table)))
        if name == MEDIAN:
            result[name] = _expanded_percentile(drawn[name][0], len(table.sums))
        elif error > _ROUNDING:
            result[name] = _on_logit_scale(value, error, *drawn[name])
    return result


def paired_bootstrap(
    counts_a: Ints,
    counts_b: Ints,
    groups: Ints | None = None,
    names: Sequence[str] = METRICS,
    draws: int = 2000,
    seed: int = 0,
) -> dict[str, Difference | None]:
    """Compares two runs on the same tiles: both are scored on every resample, so that what tiles share cancels.

    With t = difference / standard error and t* = (difference of a resample - difference) / its standard error, the p
    value is (1 + number of |t*| >= |t|) / (1 + draws) (Davison and Hinkley 1997, section 4.4). For the median, t is
    compared with Student's distribution of (groups - 1) degrees of freedom, its standard error being the standard
    deviation over the resamples.

    Args:
      counts_a: int64 [tiles, 4] as for `bootstrap`.
      counts_b: the other run's, the same tiles in the same order; the differences are a - b.
      groups: int [tiles], as for `bootstrap`; also `names`, `draws` and `seed`.

    Returns:
      None as from `bootstrap`. Runs that agree everywhere differ by 0 with interval (0, 0) and a p value of 1.

    Raises:
      UsageError: the tiles are not the same, or too few draws.
    """
    _require_same_tiles(counts_a, counts_b)
    tables = [Table.of(counts, groups) for counts in (counts_a, counts_b)]
    blocks = len(tables[0].sums)
    result: dict[str, Difference | None] = dict.fromkeys(names)
    if blocks < 2:
        return result
    drawn = resample(tables, names, draws, seed)
    for name in names:
        value, error = (float(part[0]) for part in values_of(tables, name, once(tables[0])))
        values, errors = drawn[name]
        if value == 0.0 and not np.nan_to_num(values).any():
            result[name] = {"difference": 0.0, "interval": (0.0, 0.0), "p": 1.0}
        elif name == MEDIAN and not math.isnan(value):
            result[name] = _student(value, float(np.nanstd(values)), blocks)
        elif error > _ROUNDING:
            result[name] = _studentised(value, error, values, errors)
    return result


def spatial_blocks(places: Sequence[Place | None], tile_size: int, tiles_a_side: int = 4) -> Ints:
    """Returns the number of the square block of the map that each tile's upper left corner lies in, int64 [tiles].

    Args:
      places: of the tiles; a tile without one is a block of its own.
      tile_size: in pixels, as the places.
      tiles_a_side: a block is so many tiles wide and high, counted from the origin of the frame.
    """
    side = tile_size * tiles_a_side
    numbers: dict[tuple[object, ...], int] = {}
    keys = [
        (index,) if place is None else (place.frame, math.floor(place.x / side), math.floor(place.y / side))
        for index, place in enumerate(places)
    ]
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)


def _on_logit_scale(value: float, error: float, values: Floats, errors: Floats) -> Interval:
    """Returns the symmetric bootstrap-t interval of a metric in (0, 1)."""
    centre, slope = special.logit(value), value * (1 - value)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = _unsigned((special.logit(values) - centre) * values * (1 - values) / errors)
    reach = _quantile(ratios) * error / slope
    return float(special.expit(centre - reach)), float(special.expit(centre + reach))


def _studentised(value: float, error: float, values: Floats, errors: Floats) -> Difference:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = _unsigned((values - value) / errors)
    beyond = np.count_nonzero(ratios >= abs(value) / error)
    return _difference(value, error * _quantile(ratios), (1 + beyond) / (1 + len(ratios)))


def _student(value: float, error: float, groups: int) -> Difference | None:
    if error <= _ROUNDING:
        return None
    reach = error * stats.t.ppf((1 + LEVEL) / 2, groups - 1)
    return _difference(value, reach, 2 * stats.t.sf(abs(value) / error, groups - 1))


def _difference(value: float, reach: float, p: float) -> Difference:
    interval = float(max(-1.0, value - reach)), float(min(1.0, value + reach))
    return {"difference": value, "interval": interval, "p": float(p)}


def _unsigned(ratios: Floats) -> Floats:
    # A resample without spread, or without the metric, says nothing: it counts as far out, which widens the interval.
    return np.where(np.isfinite(ratios), np.abs(ratios), np.inf)


def _quantile(ratios: Floats) -> float:
    return float(np.sort(ratios)[math.ceil(LEVEL * (len(ratios) + 1)) - 1])


def _expanded_percentile(values: Floats, groups: int) -> Interval | None:
    """Percentiles moved out as if the spread were multiplied by what a t interval has over a plain normal one."""
    defined = values[~np.isnan(values)]
    if not len(defined) or np.ptp(defined) <= _ROUNDING:
        return None
    out = special.ndtr(-math.sqrt(groups / (groups - 1)) * stats.t.ppf((1 + LEVEL) / 2, groups - 1))
    low, high = np.quantile(defined, [out, 1 - out])
    return float(low), float(high)


def _require_same_tiles(counts_a: Ints, counts_b: Ints) -> None:
    if counts_a.shape != counts_b.shape:
        raise UsageError(
            f"expected two runs scored on the same tiles, found {len(counts_a)} and {len(counts_b)} of them"
        )
    differ = ((counts_a[:, [0, 1]] + counts_a[:, [2, 3]]) != (counts_b[:, [0, 1]] + counts_b[:, [2, 3]])).any(
        1
    )
    if differ.any():
        raise UsageError(
            "expected two runs scored on the same tiles in the same order, found other labels in "
            f"{np.count_nonzero(differ)} of {len(differ)} tiles, the first at place {int(np.argmax(differ))}"
        )


def _none_if_nan(value: float) -> float | None:
    return None if math.isnan(value) else value
