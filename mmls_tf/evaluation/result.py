"""The figures of an evaluation as they stand in its JSON file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from mmls_tf.data.dataset import Dataset
from mmls_tf.evaluation.calibration import calibration
from mmls_tf.evaluation.choice import Choice
from mmls_tf.evaluation.confusion import Confusion
from mmls_tf.evaluation.counting import SplitCounts
from mmls_tf.evaluation.curves import average_precision, precision_recall
from mmls_tf.evaluation.intervals import bootstrap, spatial_blocks
from mmls_tf.evaluation.landslides import definitions
from mmls_tf.evaluation.subsets import counts_of, per_tile, without_leaks
from mmls_tf.models.cost import model_cost
from mmls_tf.prediction.member import Member


def scores(counts: SplitCounts, dataset: Dataset, choice: Choice | None) -> dict[str, Any]:
    """Returns every figure that follows from the counts of a split.

    Args:
      choice: gives the temperature of the calibration after scaling; None: only that before.
    """
    entries = {tile.key: tile for tile in dataset.manifest.tiles}
    groups = spatial_blocks([entries[tile.key].place for tile in counts.tiles], dataset.manifest.tile_size)
    numbers = counts_of(counts.tiles)
    return {
        "labelled_pixels": _numbers(counts.labelled),
        "valid_pixels_only": _numbers(counts.valid),
        "per_tile": per_tile(counts.tiles),
        "intervals": {
            "tiles": bootstrap(numbers, None),
            "blocks": bootstrap(numbers, groups),
            "number_of_blocks": len(set(groups)),
        },
        "leaks": without_leaks(counts.tiles, entries),
        "boundary": {str(radius): found.metrics() for radius, found in counts.boundaries.items()},
        "landslides": {"definitions": definitions(), **counts.landslides.metrics()},
        "terrain": counts.terrain.metrics(),
        "curve": {
            "average_precision": average_precision(counts.histogram),
            **precision_recall(counts.histogram),
        },
        "calibration": {
            "before": calibration(counts.histogram),
            "temperature": choice.temperature if choice else None,
            "after": calibration(counts.histogram, choice.temperature) if choice else None,
        },
    }


def costs(members: Sequence[Member], milliseconds: dict[str, float]) -> dict[str, Any]:
    """Returns what the prediction of a tile and the training of its members cost."""
    each = [model_cost(member.model) for member in members]
    finished = all(member.folder.finished for member in members)
    return {
        "parameters": sum(cost.parameters for cost in each),
        "macs": sum(cost.macs for cost in each),
        "milliseconds_per_tile": milliseconds,
        "training_seconds": sum(member.folder.read_summary()["seconds"] for member in members)
        if finished
        else None,
    }


def _numbers(confusion: Confusion) -> dict[str, Any]:
    return {"pixels": confusion.pixels, **asdict(confusion), **confusion.metrics()}
