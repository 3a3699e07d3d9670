"""Metrics of resamples of groups of tiles, with standard errors, by matrix products instead of loops over resamples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mmls_tf.errors import UsageError
from mmls_tf.evaluation.confusion import Confusion

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MEAN, MEDIAN = "tile_iou_mean", "tile_iou_median"
METRICS = (*Confusion().metrics(), MEAN, MEDIAN)
LEAST_DRAWS = 100
_CELLS = 1 << 20  # weights held at a time: memory does not grow with the draws

# Metrics as means of ratios of two sums over these columns of a tile.
_TP, _FP, _FN, _TN, _IOU, _DEFINED = np.eye(6)
_LANDSLIDE = (_TP, _TP + _FP + _FN)
_BACKGROUND = (_TN, _TN + _FP + _FN)
_RATIOS: dict[str, tuple[tuple[Floats, Floats], ...]] = {
    "precision": ((_TP, _TP + _FP),),
    "recall": ((_TP, _TP + _FN),),
    "f1": ((2 * _TP, 2 * _TP + _FP + _FN),),
    "iou_landslide": (_LANDSLIDE,),
    "iou_background": (_BACKGROUND,),
    "miou": (_LANDSLIDE, _BACKGROUND),
    MEAN: ((_IOU, _DEFINED),),
}


@dataclass(frozen=True)
class Table:
    """What resampling needs of a run.

    Attributes:
      sums: [groups, 6], sums over the tiles of a group of true positives, false positives, false negatives, true
        negatives, landslide IoU where defined, 1 where defined.
      ranked: [ranked tiles], the defined IoUs, rising.
      ranked_group: [ranked tiles], the rows of `sums` that they belong to.
    """

    sums: Floats
    ranked: Floats
    ranked_group: Ints

    @staticmethod
    def of(counts: Ints, groups: Ints | None) -> Table:
        union = counts[:, :3].sum(axis=1)
        iou = counts[:, 0] / np.maximum(union, 1)
        row = np.arange(len(counts)) if groups is None else np.unique(groups, return_inverse=True)[1]
        sums = np.zeros((row.max(initial=-1) + 1, 6))
        np.add.at(sums, row, np.column_stack([counts, iou, union > 0]))
        order = np.argsort(iou, kind="stable")
        order = order[union[order] > 0]
        return Table(sums, iou[order], row[order])


def once(table: Table) -> Floats:
    """Returns the weights of the data set itself, [1, groups]."""
    return np.ones((1, len(table.sums)))


def resample(
    tables: Sequence[Table], names: Sequence[str], draws: int, seed: int
) -> dict[str, tuple[Floats, Floats]]:
    """Returns values [draws] and standard errors [draws] by metric, all from the same resamples.

    Args:
      tables: one run, or two for their difference.

    Raises:
      UsageError: too few draws.
    """
    if draws < LEAST_DRAWS:
        raise UsageError(f"draws={draws}: expected at least {LEAST_DRAWS} bootstrap resamples")
    chunks = [
        {name: values_of(tables, name, weights) for name in names}
        for weights in _weights(tables[0], draws, seed)
    ]
    return {name: (_join(chunks, name, 0), _join(chunks, name, 1)) for name in names}


def _join(chunks: Sequence[dict[str, tuple[Floats, Floats]]], name: str, part: int) -> Floats:
    return np.concatenate([chunk[name][part] for chunk in chunks])


def _weights(table: Table, draws: int, seed: int) -> Iterator[Floats]:
    """Yields how often each group is drawn, whole numbers [some draws, groups]."""
    rng, groups = np.random.default_rng(seed), len(table.sums)
    at_once = max(1, _CELLS // max(groups, len(table.ranked)))
    for done in range(0, draws, at_once):
        size = min(at_once, draws - done)
        yield rng.multinomial(groups, np.full(groups, 1 / groups), size=size).astype(np.float64)


def values_of(tables: Sequence[Table], name: str, weights: Floats) -> tuple[Floats, Floats]:
    """Returns a metric (of two tables, the difference) and its standard error in each resample; NaN if undefined."""
    if name == MEDIAN:
        medians = [_median(table, weights) for table in tables]
        value = medians[0] - medians[1] if len(tables) == 2 else medians[0]
        return value, np.full(len(weights), np.nan)
    parts = [_linearised(table, name, weights) for table in tables]
    value, influence = parts[0]
    if len(tables) == 2:
        value, influence = value - parts[1][0], influence - parts[1][1]
    return value, np.sqrt(np.einsum("dg,dg->d", weights, influence**2))


def _linearised(table: Table, name: str, weights: Floats) -> tuple[Floats, Floats]:
    """Returns a metric [draws] and by how much each group's sums pull it [draws, groups]."""
    # einsum, and not @: products this small only wait for the threads of a BLAS on a busy machine.
    totals, terms = np.einsum("dg,gk->dk", weights, table.sums), _RATIOS[name]
    value, gradient = np.zeros(len(totals)), np.zeros_like(totals)
    for numerator, denominator in terms:
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = (totals @ numerator) / (totals @ denominator)
            gradient += (numerator - ratio[:, None] * denominator) / (totals @ denominator)[:, None]
        value += ratio
    return value / len(terms), np.einsum("dk,gk->dg", gradient, table.sums) / len(terms)


def _median(table: Table, weights: Floats) -> Floats:
    last = len(table.ranked) - 1
    if last < 0:
        return np.full(len(weights), np.nan)
    reached = np.cumsum(weights[:, table.ranked_group], axis=1)
    tiles = reached[:, -1:]
    lower, upper = ((reached <= place).sum(axis=1).clip(max=last) for place in ((tiles - 1) // 2, tiles // 2))
    return np.where(tiles[:, 0] > 0, (table.ranked[lower] + table.ranked[upper]) / 2, np.nan)
