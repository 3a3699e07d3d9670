"""What a sweep has found so far: one line for runs that differ in their seed alone."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mmls_tf.evaluation.confusion import Confusion
from mmls_tf.files import write_text
from mmls_tf.sweeping.finished import RunFiles
from mmls_tf.sweeping.plan import Cell, value_text
from mmls_tf.sweeping.run import Sweep, finished_run
from mmls_tf.sweeping.spread import Spread, spread, spread_text

_REPEATED = "seed"
_VAL = {"best": "best_val_miou", "last": "last_val_miou", "ema": "ema_val_miou"}
_VAL_TITLES = {
    "val.best": "val mIoU, best epoch",
    "val.last": "val mIoU, last epoch",
    "val.ema": "val mIoU, average",
}
Figures = dict[str, float | None]


@dataclass(frozen=True)
class Line:
    """Runs that differ in their seed alone.

    Attributes:
      values: of the other flags of the grid.
      planned: number of runs; `finished` of them are.
      figures: by name; None where a run has no such figure, or where it is undefined.
    """

    values: dict[str, Any]
    planned: int
    finished: int
    figures: dict[str, Spread | None]


def write_report(sweep: Sweep, command: str) -> str:
    """Writes OUT/sweep.json and OUT/sweep.md, and returns the table."""
    found = summed_up(sweep)
    text = table(found, _titles(sweep))
    value = {
        "command": command,
        "evaluate": list(sweep.evaluate),
        "weights": sweep.weights,
        "lines": [dataclasses.asdict(line) for line in found],
        "runs": [_entry(sweep, cell) for cell in sweep.cells],
    }
    write_text(sweep.out / "sweep.json", json.dumps(value, indent=1) + "\n")
    write_text(sweep.out / "sweep.md", _page(sweep, command, text))
    return text


def summed_up(sweep: Sweep) -> list[Line]:
    """Returns a line for each combination of the grid's values without the seed, in the grid's order.

    Where a run sees pixels beside its tiles, lines say which, whether that is in the grid or not.
    """
    stated = {name for cell in sweep.cells for name in cell.config.surroundings}
    groups: dict[tuple[tuple[str, Any], ...], list[Cell]] = {}
    for cell in sweep.cells:
        values = cell.values | {name: getattr(cell.config, name) for name in sorted(stated)}
        key = tuple((name, value) for name, value in values.items() if name != _REPEATED)
        groups.setdefault(key, []).append(cell)
    return [_line(sweep, dict(key), cells) for key, cells in groups.items()]


def run_figures(found: RunFiles, evaluate: Sequence[str], weights: str) -> Figures:
    """Returns what a finished run has reached: val mIoU as seen in training, then scores by split and metric."""
    assert found.summary is not None
    figures: Figures = {f"val.{which}": found.summary[key] for which, key in _VAL.items()}
    for split in evaluate:
        result = found.evaluation_of(split, weights)
        scores = result["labelled_pixels"] if result else {}
        figures.update({f"evaluated.{split}.{name}": scores.get(name) for name in Confusion().metrics()})
    return figures


def table(found: Sequence[Line], titles: dict[str, str]) -> str:
    """Returns lines as a Markdown table that can be read as it is.

    Args:
      titles: of columns, by name of figure. That of the average is left out where no run has one; elsewhere, what
        finished runs do not have is a dash.
    """
    shown = {
        name: title
        for name, title in titles.items()
        if name != "val.ema" or any(line.figures.get(name) for line in found)
    }
    rows = [[*found[0].values, "n", *shown.values()]]
    for line in found:
        count = str(line.planned) if line.finished == line.planned else f"{line.finished} of {line.planned}"
        cells = [_text(line, name) for name in shown]
        rows.append([*(value_text(value) for value in line.values.values()), count, *cells])
    return markdown(rows)


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Returns a Markdown table, its first row being the head, with columns of equal width."""
    widths = [max(3, *(len(row[column]) for row in rows)) for column in range(len(rows[0]))]
    text = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([text[0], rule, *text[1:]])


def _text(line: Line, name: str) -> str:
    figure = line.figures.get(name)
    if figure:
        return spread_text(figure)
    return "-" if line.finished else ""


def _line(sweep: Sweep, values: dict[str, Any], cells: Sequence[Cell]) -> Line:
    runs = [run for cell in cells if (run := finished_run(sweep, cell)) is not None]
    figures = [run_figures(run, sweep.evaluate, sweep.weights) for run in runs]
    names = figures[0] if figures else {}
    spreads = {name: _spread([figure[name] for figure in figures]) for name in names}
    return Line(values, len(cells), len(runs), spreads)


def _spread(values: Sequence[float | None]) -> Spread | None:
    known = [value for value in values if value is not None]
    return spread(known) if len(known) == len(values) else None  # a mean over some seeds would mislead


def _entry(sweep: Sweep, cell: Cell) -> dict[str, Any]:
    found = finished_run(sweep, cell)
    entry: dict[str, Any] = {"name": cell.name, "values": cell.values, "seed": cell.config.seed}
    if found is None or found.summary is None:
        return {**entry, "finished": False}
    return {
        **entry,
        "finished": True,
        "best_epoch": found.summary["best_epoch"],
        "figures": run_figures(found, sweep.evaluate, sweep.weights),
        "seconds": found.summary["seconds"],
    }


def _titles(sweep: Sweep) -> dict[str, str]:
    titles = dict(_VAL_TITLES)
    for split in sweep.evaluate:
        titles[f"evaluated.{split}.miou"] = f"{split} mIoU ({sweep.weights})"
        titles[f"evaluated.{split}.iou_landslide"] = f"{split} IoU landslide ({sweep.weights})"
    return titles


def _page(sweep: Sweep, command: str, text: str) -> str:
    scored = f" Splits are scored with {sweep.weights} weights." if sweep.evaluate else ""
    return (
        f"# Sweep\n\n    {command}\n\n{text}\n\n"
        f"Mean ± sample standard deviation over n runs that differ in their seed alone.{scored}\n"
    )
