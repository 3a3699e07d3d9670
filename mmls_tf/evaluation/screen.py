"""An evaluation result as text for the screen."""

from __future__ import annotations

from typing import Any

_TITLES = {
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "iou_landslide": "IoU landslide",
    "iou_background": "IoU background",
    "miou": "mIoU",
}


def result_text(result: dict[str, Any]) -> str:
    """Returns the table of one evaluation, and what has to be said about it."""
    lines = [
        f"{result['run']} ({result['weights']} weights) on split {result['split']} of {result['data']}: "
        f"{result['tiles']} tiles" + (f", without {result['missing']}" if result["missing"] else ""),
        "",
        f"{'':<16}{'all labelled':>14}{'valid only':>14}" + (f"{'gap to test':>14}" if _gap(result) else ""),
    ]
    for name, title in _TITLES.items():
        row = f"{title:<16}{_number(result['labelled_pixels'][name])}{_number(result['valid_pixels_only'][name])}"
        lines.append(row + (f"{_gap(result)[name]:>+14.4f}" if name in _gap(result) else ""))
    lines.append(
        f"{'pixels':<16}{result['labelled_pixels']['pixels']:>14}{result['valid_pixels_only']['pixels']:>14}"
    )
    if result["milliseconds_per_tile"] is not None:
        lines.append(
            f"{result['milliseconds_per_tile']:.1f} ms a tile in batches of {result['batch']}, {result['device']}"
        )
    return "\n".join([*lines, *_remarks(result)])


def _gap(result: dict[str, Any]) -> dict[str, float]:
    return result.get("gap_to_test") or {}


def _remarks(result: dict[str, Any]) -> list[str]:
    remarks = []
    if not result["run_finished"]:
        remarks.append("The run is not finished: these are the weights so far.")
    if not result["trained_on_this_data_set"]:
        remarks.append("The run was trained on another data set: its training tiles may be among these.")
    if result["split"] == "isolated":
        counts = result["isolated_evaluations"]
        remarks.append(
            f"Entered in the ledger: evaluation {counts['of_this_run']} of this run and "
            f"{counts['of_this_data_set']} of this data set on the isolated split."
        )
        if not _gap(result):
            remarks.append("No gap to test yet: evaluate the same weights with --split=test first.")
    return remarks


def _number(value: float | None) -> str:
    return f"{'undefined':>14}" if value is None else f"{value:>14.4f}"
