"""Two evaluations beside each other: test against isolated, a run against a run on the same tiles."""

from __future__ import annotations

import math

import numpy as np

from mmls_tf.evaluation.intervals import LEVEL, Difference, Interval, paired_bootstrap
from mmls_tf.evaluation.resampling import Table, once, resample, values_of
from mmls_tf.reporting.reading import Evaluation, TileTable
from mmls_tf.reporting.rows import Row

_SAME = ("weights_sha256", "ensemble", "data_fingerprint", "threshold", "tta", "missing")
_DRAWS = 2000


def gap(test: Evaluation, isolated: Evaluation, metric: str = "miou") -> float | None:
    """Returns isolated minus test, None if the metric is undefined or they are not of the same weights and kind."""
    if any(test.figures[name] != isolated.figures[name] for name in _SAME):
        return None
    values = isolated.metric(metric), test.metric(metric)
    return None if values[0] is None or values[1] is None else values[0] - values[1]


def gap_pairs(row: Row) -> list[tuple[Evaluation, Evaluation]]:
    """Returns test and isolated of every run of a row that has a gap in mIoU between them."""
    both = [run.evaluations for run in row.runs if {"test", "isolated"} <= run.evaluations.keys()]
    pairs = [(found["test"], found["isolated"]) for found in both]
    return [pair for pair in pairs if gap(*pair) is not None]


def gaps(row: Row) -> list[float]:
    """Returns the gap in mIoU of every run of a row that has one."""
    return [value for pair in gap_pairs(row) if (value := gap(*pair)) is not None]


def gap_interval(test: TileTable, isolated: TileTable, metric: str = "miou") -> Interval | None:
    """Returns the 95 % interval of isolated minus test.

    Both splits are drawn anew by themselves, block by block, since they have no tile in common; the interval is the
    symmetric bootstrap-t one of the difference (Hall 1988), its standard error the root of the sum of both squares.
    None where a split has fewer than two blocks or no spread.
    """
    tables = [Table.of(tiles.counts, tiles.blocks) for tiles in (isolated, test)]
    if min(len(table.sums) for table in tables) < 2:
        return None
    own = [values_of([table], metric, once(table)) for table in tables]
    drawn = [resample([table], (metric,), _DRAWS, seed)[metric] for seed, table in enumerate(tables)]
    difference = float(own[0][0][0] - own[1][0][0])
    error = math.hypot(own[0][1][0], own[1][1][0])
    if not error > 0:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.abs(drawn[0][0] - drawn[1][0] - difference) / np.hypot(drawn[0][1], drawn[1][1])
    ratios = np.sort(np.where(np.isfinite(ratios), ratios, np.inf))
    reach = error * float(ratios[math.ceil(LEVEL * (_DRAWS + 1)) - 1])
    return max(-1.0, difference - reach), min(1.0, difference + reach)


def compare(first: Evaluation, second: Evaluation, metric: str = "miou") -> Difference | None:
    """Returns first minus second on the same tiles by a paired bootstrap over blocks.

    None where their tiles are not the same ones of the same data set, or the difference is undefined.
    """
    mine, its = first.tiles, second.tiles
    if first.fingerprint != second.fingerprint or set(mine.keys) != set(its.keys):
        return None
    place = {key: index for index, key in enumerate(its.keys)}
    other = its.counts[[place[key] for key in mine.keys]]
    return paired_bootstrap(mine.counts, other, mine.blocks, (metric,), _DRAWS)[metric]
