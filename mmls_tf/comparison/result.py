"""The scores of a comparison, as they are written and printed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mmls_tf.comparison.matching import Judged, Pair, one_to_one, size_classes
from mmls_tf.comparison.overlaps import Overlaps


def score(
    truth: Judged, mapped: Judged, overlaps: Overlaps, limits: Sequence[float], beyond: int
) -> dict[str, Any]:
    """Returns all scores as values for JSON; a figure is None where it is not defined.

    Args:
      limits: areas in km2 between the size classes.
      beyond: true landslides beyond the extent of the map, none of which is in `truth`.
    """
    pairs = one_to_one(overlaps, truth, mapped)
    return {
        "landslides": _landslides(truth, mapped),
        "by_size": _by_size(truth, mapped, limits),
        "one_to_one": _one_to_one(truth, mapped, pairs),
        "area": _area(truth, mapped, overlaps, pairs),
        "pixels": {
            "counted": overlaps.confusion.pixels,
            "confusion": {
                name: getattr(overlaps.confusion, name)
                for name in ("true_positive", "false_positive", "false_negative", "true_negative")
            },
            **overlaps.confusion.metrics(),
        },
        "not_judged": {
            "true_outside": truth.count("outside") + beyond,
            "true_hidden": truth.count("hidden"),
            "mapped_outside": mapped.count("outside"),
        },
        "missed": _listed(truth, "bad"),
        "false": _listed(mapped, "bad"),
        "pairs": [
            {
                "true": truth.places[pair.true].id,
                "mapped": mapped.places[pair.mapped].id,
                "iou": pair.iou,
                "area_error": pair.area_error,
            }
            for pair in pairs
        ],
    }


def _landslides(truth: Judged, mapped: Judged) -> dict[str, Any]:
    found, missed, right, false = (side.count(v) for side in (truth, mapped) for v in ("good", "bad"))
    return {
        "true": found + missed,
        "found": found,
        "missed": missed,
        "recall": _ratio(found, found + missed),
        "mapped": right + false,
        "right": right,
        "false": false,
        "precision": _ratio(right, right + false),
    }


def _by_size(truth: Judged, mapped: Judged, limits: Sequence[float]) -> list[dict[str, Any]]:
    classes = [size_classes(side.area_km2, limits) for side in (truth, mapped)]
    edges = [0.0, *limits, None]
    rows = []
    for index in range(len(limits) + 1):
        chosen = [
            [verdict for verdict, own in zip(side.verdicts, sizes, strict=True) if own == index]
            for side, sizes in zip((truth, mapped), classes, strict=True)
        ]
        found, missed = chosen[0].count("good"), chosen[0].count("bad")
        right, false = chosen[1].count("good"), chosen[1].count("bad")
        rows.append(
            {
                "from_km2": edges[index],
                "below_km2": edges[index + 1],
                "found": found,
                "missed": missed,
                "recall": _ratio(found, found + missed),
                "right": right,
                "false": false,
                "precision": _ratio(right, right + false),
            }
        )
    return rows


def _one_to_one(truth: Judged, mapped: Judged, pairs: Sequence[Pair]) -> dict[str, Any]:
    true = truth.count("good") + truth.count("bad")
    guessed = mapped.count("good") + mapped.count("bad")
    total = sum(pair.iou for pair in pairs)
    return {
        "matched": len(pairs),
        "true_unmatched": true - len(pairs),
        "mapped_unmatched": guessed - len(pairs),
        "f1": _ratio(2 * len(pairs), true + guessed),
        "mean_iou": _ratio(total, len(pairs)),
        "panoptic_quality": _ratio(2 * total, true + guessed),
    }


def _area(truth: Judged, mapped: Judged, overlaps: Overlaps, pairs: Sequence[Pair]) -> dict[str, Any]:
    true, guessed = float(overlaps.true_counted.sum()), float(overlaps.mapped_counted.sum())
    errors = np.array([pair.area_error for pair in pairs])
    return {
        "compared_km2": overlaps.counted_km2,
        "true_km2": true,
        "mapped_km2": guessed,
        "both_km2": float(sum(overlaps.both.values())),
        "relative_error": _ratio(guessed - true, true),
        "pairs_mean_error": float(errors.mean()) if pairs else None,
        "pairs_median_absolute_error": float(np.median(np.abs(errors))) if pairs else None,
    }


def _listed(side: Judged, verdict: str) -> list[dict[str, Any]]:
    """Returns the landslides of a verdict, the largest first."""
    chosen = [index for index, own in enumerate(side.verdicts) if own == verdict]
    chosen.sort(key=lambda index: -side.area_km2[index])
    return [
        {
            "id": side.places[index].id,
            "area_km2": float(side.area_km2[index]),
            "covered": float(side.covered_km2[index] / side.counted_km2[index]),
            "lon": side.places[index].lon,
            "lat": side.places[index].lat,
        }
        for index in chosen
    ]


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
