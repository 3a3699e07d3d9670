"""Sections on curves, calibration, learning, cost and robustness."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmls_tf.reporting.document import Block, Paragraph, Section, Table
from mmls_tf.reporting.looks import look_cells, look_heads
from mmls_tf.reporting.plots import learning_plot, precision_recall_plot, reliability_plot, robustness_plot
from mmls_tf.reporting.reading import Evaluation
from mmls_tf.reporting.rows import (
    SPLITS,
    UNDEFINED,
    Row,
    figure_text,
    interval_text,
    number_text,
    signed_text,
)

_CALIBRATION = ("ece", "brier", "nll")


def curves(rows: Sequence[Row], splits: Sequence[str]) -> Section:
    """Precision-recall curves with average precision."""
    blocks: list[Block] = []
    cells = []
    for split in splits:
        scored = [row for row in rows if row.evaluations(split)]
        blocks.append(precision_recall_plot(scored, split))
        cells += [
            (
                row.label,
                split,
                figure_text(row.evaluations(split), lambda one: one.figures["curve"]["average_precision"]),
                *look_cells(row, split, splits),
            )
            for row in scored
        ]
    heads = ("model", "split", "average precision", *look_heads(splits))
    table = Table("average-precision", "Average precision", heads, tuple(cells))
    return Section("precision-recall", "Precision and recall at every threshold", (*blocks, table))


def calibration(rows: Sequence[Row], detailed: Sequence[Row], splits: Sequence[str]) -> Section:
    """Reliability before and after the temperature that was chosen on val."""
    plots = [
        reliability_plot(row, split, f"plot-calibration-{split}-{number}")
        for split in splits
        for number, row in enumerate(detailed, 1)
        if row.evaluations(split)
    ]
    cells = []
    for split in splits:
        for row in rows:
            found = row.evaluations(split)
            if found:
                after = all(one.figures["calibration"]["after"] for one in found)
                cells.append((
                    row.label, split,
                    *(_calibration(found, "before", name) for name in _CALIBRATION),
                    *(_calibration(found, "after", name) if after else "no temperature" for name in _CALIBRATION),
                    figure_text(found, lambda one: one.figures["calibration"]["temperature"]),
                    *look_cells(row, split, splits),
                ))  # fmt: skip
    names = ("ECE", "Brier", "NLL")
    heads = (
        "model",
        "split",
        *names,
        *(f"{name} after" for name in names),
        "temperature",
        *look_heads(splits),
    )
    text = Paragraph(
        "Whether a probability of .7 is right seven times in ten: expected calibration error "
        "(ECE), Brier score and negative log-likelihood of pixels, lower is better; before "
        "and after division of the logits by the temperature that suits val."
    )
    return Section(
        "calibration", "Calibration", (text, *plots, Table("calibration", "Calibration", heads, tuple(cells)))
    )


def learning(rows: Sequence[Row], detailed: Sequence[Row]) -> Section:
    """Curves of training."""
    title = "Learning curves"
    known = [row for row in rows if any(run.history for run in row.runs)]
    if not known:
        return Section("learning", title, (Paragraph("No history of training in any run folder."),))
    near = [row for row in detailed if row in known]
    columns = (("val_miou", "weights of the epoch"), ("ema_val_miou", "moving average"))
    blocks: list[Block] = [learning_plot(known, columns, "val mIoU", "plot-learning-miou")]
    if near:
        losses = (("loss", "train"), ("val_loss", "val"))
        blocks.append(learning_plot(near, losses, "loss", "plot-learning-loss", logarithmic=True))
    return Section("learning", title, tuple(blocks))


def cost(rows: Sequence[Row]) -> Section:
    """Parameters, arithmetic, time."""
    cells: list[tuple[str, ...]] = []
    for row in rows:
        found = [one for run in row.runs for split in SPLITS if (one := run.evaluations.get(split))][:1]
        seconds = [float(run.files.summary["seconds"]) / 60 for run in row.runs if run.files.summary]
        if not found:
            cells.append(
                (
                    row.label,
                    "no evaluation",
                    "no evaluation",
                    "no evaluation",
                    "no evaluation",
                    _minutes(seconds),
                    "-",
                )
            )
            continue
        figures = found[0].figures
        times = figures["milliseconds_per_tile"] or {}
        cells.append(
            (
                row.label,
                f"{figures['parameters']:,}",
                f"{figures['macs'] / 1e9:.2f}",
                *(f"{times[batch]:.1f}" if batch in times else UNDEFINED for batch in ("1", "16")),
                _minutes(seconds),
                str(figures["device"]),
            )
        )
    heads = (
        "model",
        "parameters",
        "GMACs a tile",
        "ms a tile, batch 1",
        "ms a tile, batch 16",
        "training (minutes)",
        "device",
    )
    text = (
        "Of the first run of each row; times are medians without compilation, on the device "
        "named, which other work may have shared."
    )
    return Section("cost", "Cost", (Paragraph(text), Table("cost", "What models cost", heads, tuple(cells))))


def robustness(rows: Sequence[Row]) -> Section:
    """What changes of the input cost, of every run with files in robustness/."""
    title = "Robustness"
    found = [
        (run.name, name, result)
        for row in rows
        for run in row.runs
        for name, result in run.robustness.items()
    ]
    if not found:
        return Section("robustness", title, (Paragraph("No run has robustness results."),))
    parts = [_robustness(number, *one) for number, one in enumerate(found, 1)]
    text = Paragraph(
        "mIoU with inputs changed on purpose, and its drop against the clean inputs, with 95 % intervals."
    )
    return Section("robustness", title, (text,), tuple(parts))


def _robustness(number: int, run: str, name: str, result: dict[str, Any]) -> Section:
    clean = result["clean"]
    cells: list[tuple[str, ...]] = [
        ("clean", "-", "-", number_text(clean["value"]), interval_text(clean["interval"]), "-", "-")
    ]
    families: dict[str, list[dict[str, Any]]] = {}
    for change in result["changes"]:
        cells.append(_change_cells(change))
        if isinstance(change["severity"], int | float) and change["drop"] is not None:
            families.setdefault(str(change["family"]), []).append(change)
    plots = [
        robustness_plot(f"plot-robustness-{number}-{place}", f"{family}: {run}, {name}", family, changes)
        for place, (family, changes) in enumerate(families.items(), 1)
        if len(changes) > 1
    ]
    heads = ("change", "family", "severity", "mIoU", "95 % interval", "drop", "95 % interval of the drop")
    table = Table(f"robustness-{number}", f"{run}, {name}: mIoU under changes", heads, tuple(cells))
    return Section(f"robustness-of-{number}", f"{run}, {name}", (*plots, table, *_not_applicable(result)))


def _not_applicable(result: dict[str, Any]) -> list[Paragraph]:
    reasons = [
        f"{one['name']} ({one['family']}): {one['reason']}" for one in result.get("not_applicable") or ()
    ]
    return [Paragraph(f"Not applicable: {'; '.join(reasons)}.")] if reasons else []


def _change_cells(change: dict[str, Any]) -> tuple[str, ...]:
    severity, value, drop = change["severity"], change["value"], change["drop"]
    level = (
        "-" if severity is None else f"{severity:g}" if isinstance(severity, int | float) else str(severity)
    )
    unit = change.get("unit")
    return (
        str(change["name"]), str(change["family"]), f"{level} {unit}" if unit and level != "-" else level,
        UNDEFINED if value is None else number_text(value), interval_text(change["interval"]),
        UNDEFINED if drop is None else signed_text(drop), interval_text(change["drop_interval"], True),
    )  # fmt: skip


def _calibration(found: Sequence[Evaluation], kind: str, name: str) -> str:
    return figure_text(found, lambda one: one.figures["calibration"][kind][name], 4)


def _minutes(values: Sequence[float]) -> str:
    if not values:
        return "not finished"
    return f"{values[0]:.1f}" if len(values) == 1 else f"{min(values):.1f} to {max(values):.1f}"
