"""The plots of a report, each with an alternative text that says what is seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmls_tf.reporting.comparison import gaps
from mmls_tf.reporting.document import Plot
from mmls_tf.reporting.drawing import INK, SERIES, legend, new_figure, style, to_svg, wrapped
from mmls_tf.reporting.reading import Evaluation, Run
from mmls_tf.reporting.rows import Row, metric_text, number_text, signed_text, spread

Curve = Sequence[tuple[float, float]]


def gap_plot(rows: Sequence[Row]) -> Plot:
    """mIoU on test and on isolated, a line a row, with intervals (one run) or standard deviations (several)."""
    figure, axes = new_figure(1.3 + 0.55 * len(rows))
    for index, (split, offset) in enumerate((("test", -0.13), ("isolated", 0.13))):
        for place, row in enumerate(rows):
            found = row.evaluations(split)
            middle = row.mean(split) or 0.0
            low, high = _reach(found, middle)
            axes.errorbar(
                [middle],
                [place + offset],
                xerr=[[middle - low], [high - middle]],
                fmt="os"[index],
                color=SERIES[index],
                markerfacecolor=SERIES[index] if index == 0 else "none",
                markersize=6,
                capsize=3,
                label=split if place == 0 else None,
            )
    axes.set_yticks(range(len(rows)), [wrapped(row.label) for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel("mIoU")
    legend(figure, 2)
    alt = "; ".join(
        f"{row.label}: test {metric_text(row.evaluations('test'), 'miou')}, isolated "
        f"{metric_text(row.evaluations('isolated'), 'miou')}, gap "
        f"{signed_text(spread(gaps(row)).mean)}"
        for row in rows
    )
    caption = (
        "Test (filled circles) and isolated (open squares); bars are 95 % intervals over "
        "blocks for one run, ± one standard deviation for several."
    )
    return Plot("plot-gap", "mIoU on test and on isolated", caption, alt, to_svg(figure, "gap"))


def _reach(found: Sequence[Evaluation], middle: float) -> tuple[float, float]:
    if len(found) == 1:
        return found[0].interval("miou") or (middle, middle)
    deviation = spread([value for one in found if (value := one.metric("miou")) is not None]).sd or 0.0
    return middle - deviation, middle + deviation


def precision_recall_plot(rows: Sequence[Row], split: str) -> Plot:
    """Precision by recall of the first run of each row."""
    figure, axes = new_figure(3.3 + 0.2 * len(rows))
    alts = []
    for index, row in enumerate(rows):
        curve = row.evaluations(split)[0].figures["curve"]
        every = max(1, len(curve["recall"]) // 8)
        axes.plot(
            curve["recall"],
            curve["precision"],
            **style(index),
            markevery=(index % every, every),
            label=wrapped(row.label, 44),
        )
        alts.append(f"{row.label}: average precision {_text(curve['average_precision'])}")
    _unit_axes(axes, "recall", "precision")
    legend(figure, max(3, len(rows)))
    title = f"Precision and recall on {split}"
    caption = "At every threshold, over all labelled pixels; the first run of each row."
    name = f"plot-precision-recall-{split}"
    return Plot(name, title, caption, f"{title}. " + "; ".join(alts) + ".", to_svg(figure, name))


def reliability_plot(row: Row, split: str, name: str) -> Plot:
    """How often landslide came true, by probability, before and after division by the temperature of val."""
    figure, axes = new_figure(3.7)
    axes.plot([0, 1], [0, 1], color=INK, alpha=0.5, linewidth=1, label="perfect")
    found = row.evaluations(split)[0].figures["calibration"]
    alts = []
    for index, (kind, title) in enumerate(
        (("before", "as predicted"), ("after", "at the temperature of val"))
    ):
        if not found[kind]:
            continue
        bars = [one for one in found[kind]["bins"] if one["pixels"]]
        points = [(one["probability"], one["frequency"]) for one in bars]
        axes.plot(
            *zip(*points, strict=True),
            **{**style(index), "linestyle": "-" if index == 0 else "--"},
            label=title,
        )
        alts.append(f"{title}: calibration error (ECE) {_text(found[kind]['ece'])}")
    _unit_axes(axes, "predicted probability of landslide", "share that is landslide")
    legend(figure, 3)
    title = f"Calibration of {row.label} on {split}"
    return Plot(
        name, title, "Pixels in 15 bins of probability; on the diagonal, probabilities can be believed.",
        f"{title}. " + "; ".join(alts) + ".", to_svg(figure, name),
    )  # fmt: skip


def terrain_plot(row: Row, split: str, kind: str, name: str) -> Plot:
    """False alarms and misses by slope_deg or elevation_m."""
    words, unit = {"slope_deg": ("slope", "degrees"), "elevation_m": ("elevation", "m")}[kind]
    figure, axes = new_figure(3.4)
    bins = row.evaluations(split)[0].figures["terrain"][kind]
    alts = []
    series = (("false_alarm_rate", "background taken for landslide"), ("miss_rate", "landslide missed"))
    for index, (rate, title) in enumerate(series):
        points = [(_middle(one), one[rate]) for one in bins if one[rate] is not None]
        if points:
            axes.plot(
                *zip(*points, strict=True),
                **{**style(index), "linestyle": "-" if index == 0 else "--"},
                label=title,
            )
            worst = max((one for one in bins if one[rate] is not None), key=lambda one: one[rate])
            alts.append(f"{title}: most, {_text(worst[rate])}, at {span_text(worst)} {unit}")
    axes.set(xlabel=f"{words} ({unit})", ylabel="share of pixels", ylim=(-0.02, 1.02))
    legend(figure, 3)
    title = f"Errors by {words}, {row.label} on {split}"
    return Plot(
        name,
        title,
        f"Shares of valid labelled pixels by {words}.",
        f"{title}. " + "; ".join(alts) + ".",
        to_svg(figure, name),
    )


def span_text(one: dict[str, Any]) -> str:
    """Returns the edges of a bin; an open one has only one."""
    low, high = one["from"], one["to"]
    if low is None:
        return f"below {high}"
    return f"{low} or more" if high is None else f"{low} to {high}"


def _middle(one: dict[str, Any]) -> float:
    low, high = one["from"], one["to"]
    if low is None:
        return float(high)
    return float(low) if high is None else (low + high) / 2


def learning_plot(
    rows: Sequence[Row], columns: Sequence[tuple[str, str]], label: str, name: str, logarithmic: bool = False
) -> Plot:
    """Figures of `history.csv` by epoch.

    Args:
      columns: (column, its title); the first is drawn solid with markers, the second dashed.
      label: of the y axis.
    """
    from matplotlib.ticker import MaxNLocator

    lines = sum(any(_curve(run, column) for run in row.runs) for row in rows for column, _ in columns)
    figure, axes = new_figure(3.0 + 0.2 * lines)
    alts = []
    for index, row in enumerate(rows):
        for kind, (column, title) in enumerate(columns):
            curves = [curve for run in row.runs if (curve := _curve(run, column))]
            look = {**style(index), "linestyle": "-" if kind == 0 else "--"}
            for number, curve in enumerate(curves):
                every = max(1, len(curve) // 6)
                text = wrapped(f"{row.label}, {title}", 44) if number == 0 else None
                axes.plot(*zip(*curve, strict=True), **look, markevery=(kind, every), alpha=0.9, label=text)
            if curves:
                ends = ", ".join(number_text(curve[-1][1]) for curve in curves)
                alts.append(f"{row.label}, {title}: {ends} after the last epoch")
    axes.set(xlabel="epoch", ylabel=label)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    if logarithmic:
        _on_log_scale(axes)
    legend(figure, max(3, lines))
    return Plot(
        name,
        f"{label} while training",
        "Every run of a row in the row's colour.",
        f"{label} by epoch. " + "; ".join(alts) + ".",
        to_svg(figure, name),
    )


def _on_log_scale(axes: Any) -> None:
    """Numbers at 1, 2, 5, 10, or evenly where there is not room for three of those."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)) if high > 5 * low else MaxNLocator(5))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter("{x:g}")


def _curve(run: Run, column: str) -> Curve:
    return [
        (epoch + 1.0, value)
        for epoch, line in enumerate(run.history)
        if (value := line.get(column)) is not None
    ]


def robustness_plot(name: str, title: str, family: str, changes: Sequence[dict[str, Any]]) -> Plot:
    """Drop of mIoU by severity, a curve for each part of a family, with intervals."""
    curves: dict[str, list[dict[str, Any]]] = {}
    for change in changes:
        curves.setdefault(str(change.get("part") or family), []).append(change)
    figure, axes = new_figure(3.2 + 0.2 * len(curves))
    axes.axhline(0, color=INK, alpha=0.6, linewidth=1, label="clean")
    severities = [change["severity"] for change in changes]
    for index, (label, points) in enumerate(curves.items()):
        points.sort(key=lambda change: change["severity"])
        # Side by side, or the intervals of parts would hide one another.
        aside = 0.015 * (max(severities) - min(severities)) * (index - (len(curves) - 1) / 2)
        drops = [change["drop"] for change in points]
        spans = [change["drop_interval"] or (change["drop"],) * 2 for change in points]
        below = [drop - low for drop, (low, _) in zip(drops, spans, strict=True)]
        above = [high - drop for drop, (_, high) in zip(drops, spans, strict=True)]
        places = [change["severity"] + aside for change in points]
        axes.errorbar(places, drops, yerr=[below, above], **style(index), capsize=3, label=wrapped(label, 44))
    units = sorted({str(change["unit"]) for change in changes if change.get("unit")})
    axes.set(xlabel="severity" + (f" ({', '.join(units)})" if units else ""), ylabel="drop of mIoU")
    legend(figure, max(3, len(curves) + 1))
    worst = max(changes, key=lambda change: change["drop"])
    alt = (
        f"{title}. Largest drop of mIoU {signed_text(worst['drop'])}, to {number_text(worst['value'])}, with "
        f"{worst['name']} at severity {worst['severity']:g}."
    )
    caption = f"Changes of the family {family}; bars are 95 % intervals of the drop against clean."
    return Plot(name, title, caption, alt, to_svg(figure, name))


def _unit_axes(axes: Any, x: str, y: str) -> None:
    axes.set(xlabel=x, ylabel=y, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")


def _text(value: float | None) -> str:
    return "undefined" if value is None else number_text(value)
