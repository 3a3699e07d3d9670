"""What cross-validation has found: each fold, their mean, and one confusion matrix over all of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from mmls_tf.config import parse_folds
from mmls_tf.data.dataset import open_dataset
from mmls_tf.errors import MmlsError
from mmls_tf.evaluation.confusion import Confusion
from mmls_tf.files import write_text
from mmls_tf.schema import TRAINING_SPLITS
from mmls_tf.sweeping.plan import value_text
from mmls_tf.sweeping.report import markdown
from mmls_tf.sweeping.run import Sweep, finished_run
from mmls_tf.sweeping.spread import Spread, number_text, spread, spread_text

_TITLES = {
    "miou": "mIoU",
    "iou_landslide": "IoU landslide",
    "iou_background": "IoU background",
    "f1": "F1",
    "precision": "precision",
    "recall": "recall",
}


@dataclass(frozen=True)
class Fold:
    """The score of a fold on its val tiles; `seconds` of training."""

    number: int
    tiles: int
    confusion: Confusion
    seconds: float


def write_pooled(sweep: Sweep, command: str) -> str:
    """Writes OUT/crossval.json and OUT/crossval.md of the folds that are done, and returns the table.

    Raises:
      MmlsError: all folds are done, and did not score every tile exactly once.
    """
    folds = scored_folds(sweep)
    whole = len(folds) == len(sweep.cells)
    if whole:
        _require_every_tile_once(sweep, folds)
    pooled = sum((fold.confusion for fold in folds), Confusion())
    means = {name: _spread(folds, name) for name in _TITLES}
    value = {
        "command": command,
        "folds": sweep.cells[0].config.folds,
        "weights": sweep.weights,
        "runs": [
            {
                "fold": fold.number,
                "tiles": fold.tiles,
                **_numbers(fold.confusion),
                "seconds": fold.seconds,
            }
            for fold in folds
        ],
        "mean": {name: asdict(mean) if mean else None for name, mean in means.items()},
        "pooled": {"tiles": sum(fold.tiles for fold in folds), **_numbers(pooled)} if whole else None,
    }
    text = _table(folds, means, pooled if whole else None, sweep.cells[0].config.surroundings)
    write_text(sweep.out / "crossval.json", json.dumps(value, indent=1) + "\n")
    write_text(sweep.out / "crossval.md", _page(sweep, command, text))
    return text


def scored_folds(sweep: Sweep) -> list[Fold]:
    """Returns the folds that are trained and scored, in order."""
    names = [field.name for field in fields(Confusion)]
    folds = []
    for cell in sweep.cells:
        found = finished_run(sweep, cell)
        result = found.evaluation_of("val", sweep.weights) if found else None
        if found is None or found.summary is None or result is None:
            continue
        counts = Confusion(**{name: result["labelled_pixels"][name] for name in names})
        folds.append(Fold(cell.config.fold, result["tiles"], counts, found.summary["seconds"]))
    return folds


def _require_every_tile_once(sweep: Sweep, folds: list[Fold]) -> None:
    config = sweep.cells[0].config
    dealt = parse_folds(config.folds, config.fold)
    tiles = [
        tile
        for tile in open_dataset(Path(config.data)).manifest.tiles
        if tile.split in TRAINING_SPLITS and (tile.place or (dealt and dealt[0] == "random"))
    ]
    scored = sum(fold.tiles for fold in folds)
    if scored != len(tiles):
        raise MmlsError(
            f"{sweep.out}: expected the folds to score each of {len(tiles)} tiles once, found {scored} scores; were "
            f"runs evaluated on other data than {config.data}? Remove their evaluations folders and start again"
        )


def _spread(folds: list[Fold], name: str) -> Spread | None:
    values = [getattr(fold.confusion, name) for fold in folds]
    known = [value for value in values if value is not None]
    return spread(known) if known and len(known) == len(values) else None


def _numbers(confusion: Confusion) -> dict[str, Any]:
    return {**asdict(confusion), **confusion.metrics()}


def _table(
    folds: list[Fold],
    means: dict[str, Spread | None],
    pooled: Confusion | None,
    surroundings: Mapping[str, Any],
) -> str:
    seen = [value_text(value) for value in surroundings.values()]
    rows = [["fold", "tiles", *surroundings, *_TITLES.values()]]
    rows += [[str(fold.number), str(fold.tiles), *seen, *_cells(fold.confusion)] for fold in folds]
    cells = [spread_text(mean) if mean else "undefined" for mean in means.values()]
    rows.append([f"mean of {len(folds)}", "", *seen, *cells])
    if pooled:
        rows.append(["pooled", str(sum(fold.tiles for fold in folds)), *seen, *_cells(pooled)])
    return markdown(rows)


def _cells(confusion: Confusion) -> list[str]:
    values = [confusion.metrics()[name] for name in _TITLES]
    return ["undefined" if value is None else number_text(value) for value in values]


def _page(sweep: Sweep, command: str, text: str) -> str:
    return (
        f"# Cross-validation\n\n    {command}\n\n{text}\n\n"
        f"Folds {sweep.cells[0].config.folds}, {sweep.weights} weights. Mean ± sample standard deviation over folds; "
        "pooled: one confusion matrix over all folds, in which every tile counts once.\n"
    )
