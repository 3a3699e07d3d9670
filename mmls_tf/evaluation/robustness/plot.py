"""The drops of a robustness job as a picture: a panel a family, a curve where there are severities."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_COLUMNS = 3
# Colours that stay apart for colour-blind readers (Okabe and Ito 2008).
_COLOURS = ("#0072B2", "#D55E00", "#009E73")
_TITLES = {
    "missing": "Missing bands",
    "permuted": "Bands in each other's place",
    "noise": "Gaussian noise",
    "blur": "Gaussian blur",
    "resolution": "Coarser pixels",
    "gain": "Gain of optical bands",
    "bias": "Bias of optical bands",
    "elevation": "Offset of elevation",
    "isolated": "Shift of the isolated region",
}
_AXES = {
    "noise": "train standard deviations",
    "blur": "sigma, pixels",
    "resolution": "side of a pixel, old pixels",
    "gain": "factor",
    "bias": "DN",
    "elevation": "metres",
    "isolated": "share of the shift",
}
_UNCHANGED = {"gain": 1.0, "resolution": 1.0}  # the severity that changes nothing; elsewhere 0

Row = dict[str, Any]


def draw_curves(path: Path, result: dict[str, Any]) -> None:
    """Draws the drop of mIoU against clean, with its 95 % interval, for every family of a result."""
    from matplotlib.figure import Figure  # no pyplot: no window system, no global state

    families: dict[str, list[Row]] = {}
    for row in result["changes"]:
        families.setdefault(row["family"], []).append(row)
    lines = max(1, math.ceil(len(families) / _COLUMNS))
    columns = min(_COLUMNS, max(1, len(families)))
    figure = Figure(figsize=(5.0 * columns, 3.3 * lines + 0.6), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False)
    for axis in axes.flat[len(families) :]:
        axis.set_axis_off()
    for axis, (family, rows) in zip(axes.flat, families.items(), strict=False):
        (_draw_names if rows[0]["severity"] is None else _draw_severities)(axis, family, rows)
        axis.set_title(_TITLES[family], fontsize=11, loc="left")
        axis.tick_params(labelsize=9)
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    _give_one_scale(
        [
            axis
            for axis, rows in zip(axes.flat, families.values(), strict=False)
            if rows[0]["severity"] is not None
        ]
    )
    clean = result["clean"]["value"]
    figure.suptitle(
        f"Drop of mIoU on {result['tiles']} tiles of {result['split']}, clean "
        f"{'undefined' if clean is None else f'{clean:.3f}'}; 95 % intervals over {result['intervals_over']}",
        fontsize=12,
    )
    partial = path.with_name(f".{path.stem}.partial.png")
    figure.savefig(partial, dpi=110)
    partial.replace(path)


def _draw_names(axis: Any, family: str, rows: Sequence[Row]) -> None:
    shown = [row for row in rows if row["drop"] is not None]
    places = list(range(len(shown)))
    axis.axvline(0, color="#777777", linewidth=0.8)
    axis.errorbar(
        [row["drop"] for row in shown],
        places,
        xerr=_reach(shown),
        fmt="o",
        color=_COLOURS[0],
        markersize=5,
        capsize=3,
        linewidth=1.2,
    )
    axis.set_yticks(places, [row["name"].removesuffix(" swapped").replace(" and ", " ↔ ") for row in shown])
    axis.invert_yaxis()
    axis.set_xlabel("drop of mIoU", fontsize=9)
    axis.grid(axis="x", color="#dddddd", linewidth=0.6)


def _draw_severities(axis: Any, family: str, rows: Sequence[Row]) -> None:
    unchanged = {"severity": _UNCHANGED.get(family, 0.0), "drop": 0.0, "drop_interval": (0.0, 0.0)}
    curves: dict[str, list[Row]] = {}
    for row in rows:
        curves.setdefault(row["part"], []).append(row)
    axis.axhline(0, color="#777777", linewidth=0.8)
    span = max(row["severity"] for row in rows) - min([0.0, *(row["severity"] for row in rows)])
    for number, (label, members) in enumerate(curves.items()):
        aside = 0.015 * span * (number - (len(curves) - 1) / 2)  # or intervals would hide one another
        shown = [row for row in members if row["drop"] is not None]
        shown = sorted([unchanged, *shown], key=lambda row: row["severity"])
        axis.errorbar(
            [row["severity"] + aside for row in shown],
            [row["drop"] for row in shown],
            yerr=_reach(shown),
            marker=("o", "s", "^")[number % 3],
            color=_COLOURS[number % len(_COLOURS)],
            markersize=5,
            capsize=3,
            linewidth=1.2,
            label=label,
        )
    if len(curves) > 1:
        axis.legend(frameon=False, fontsize=9)
    axis.set_xlabel(_AXES[family], fontsize=9)
    axis.set_ylabel("drop of mIoU", fontsize=9)
    axis.grid(axis="y", color="#dddddd", linewidth=0.6)


def _give_one_scale(axes: Sequence[Any]) -> None:
    """A curve that looks steeper than that of another family is steeper."""
    limits = [axis.get_ylim() for axis in axes]
    for axis in axes:
        axis.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))


def _reach(rows: Sequence[Row]) -> list[list[float]]:
    """Returns how far the intervals reach below and above the drops."""
    limits = [row["drop_interval"] or (row["drop"], row["drop"]) for row in rows]
    below = [max(0.0, row["drop"] - low) for row, (low, _) in zip(rows, limits, strict=True)]
    above = [max(0.0, high - row["drop"]) for row, (_, high) in zip(rows, limits, strict=True)]
    return [below, above]
