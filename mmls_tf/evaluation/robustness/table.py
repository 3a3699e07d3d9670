"""The result of a robustness job as text: aligned for the screen, as a Markdown table for documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

HEADS = ("family", "change", "mIoU", "drop", "95 % of the drop", "p", "IoU landslide", "precision", "recall")
_WORDS = 2  # columns from the left that are aligned to the left


def screen_text(result: dict[str, Any]) -> str:
    """Returns headline, table and remarks for a terminal."""
    rows = [HEADS, *_rows(result)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADS))]
    table = ["  ".join(_aligned(row, widths)).rstrip() for row in rows]
    return "\n".join([_headline(result), "", *table, "", *_remarks(result)])


def markdown(result: dict[str, Any]) -> str:
    """Returns the same as a Markdown document."""
    rules = ["---" if column < _WORDS else "---:" for column in range(len(HEADS))]
    lines = [f"| {' | '.join(row)} |" for row in [HEADS, rules, *_rows(result)]]
    remarks = [f"\n{remark}" for remark in _remarks(result)]
    return "\n".join([f"# {_headline(result)}", "", *lines, *remarks, ""])


def _headline(result: dict[str, Any]) -> str:
    return (
        f"Robustness of {result['run']} ({result['weights']}) on {result['tiles']} tiles of {result['split']}"
    )


def _rows(result: dict[str, Any]) -> list[Sequence[str]]:
    clean = {"family": "clean", "name": "", "drop": None, "drop_interval": None, "p": None, **result["clean"]}
    return [
        (
            row["family"],
            row["name"],
            _number(row["value"]),
            _signed(row["drop"]),
            ""
            if row["drop_interval"] is None
            else " to ".join(_signed(limit) for limit in row["drop_interval"]),
            _p(row["p"]),
            *(_number(row[name]) for name in ("iou_landslide", "precision", "recall")),
        )
        for row in [clean, *result["changes"]]
    ]


def _remarks(result: dict[str, Any]) -> list[str]:
    clean = result["clean"]
    spread = (
        "without an interval"
        if clean["interval"] is None
        else f"95 % {clean['interval'][0]:.4f} to {clean['interval'][1]:.4f}"
    )
    over = (
        f"{result['blocks']} spatial blocks of tiles"
        if result["intervals_over"] == "blocks"
        else "single tiles, for want of two blocks: neighbours are alike, and the intervals too narrow"
    )
    remarks = [
        f"Clean mIoU {_number(clean['value'])}, {spread}. Intervals over {over}; drops are paired, and p values not "
        "corrected for the number of changes."
    ]
    if not result["run_finished"]:
        remarks.append("The run is not finished: these are the weights so far.")
    if not result["trained_on_this_data_set"]:
        remarks.append("The run was trained on another data set: its training tiles may be among these.")
    if result["split"] == "val":
        remarks.append("Val chose the best epoch: the clean score flatters. Report test.")
    remarks += [
        f"Does not apply: {item['family']}, {item['name']}: {item['reason']}."
        for item in result["not_applicable"]
    ]
    return remarks


def _aligned(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [
        cell.ljust(width) if column < _WORDS else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"


def _p(value: float | None) -> str:
    if value is None:
        return ""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _signed(value: float | None) -> str:
    return "" if value is None else f"{value:+.4f}"
