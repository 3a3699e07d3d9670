"""A comparison as text."""

from __future__ import annotations

from typing import Any

_HEAD = ("size", "true", "found", "recall", "mapped", "right", "precision")
_WIDTHS = (20, 6, 7, 8, 8, 7, 10)


def comparison_text(result: dict[str, Any]) -> str:
    """Returns the tables that the command prints."""
    lines = [_row(_HEAD)]
    lines += [_size_row(_size_name(row), row) for row in result["by_size"]]
    lines.append(_size_row("all", result["landslides"]))
    pairs, area, pixels, apart = (result[name] for name in ("one_to_one", "area", "pixels", "not_judged"))
    lines += [
        "",
        f"one to one    {pairs['matched']} pairs with IoU above 0.5, mean IoU {_share(pairs['mean_iou'])}, "
        f"F1 {_share(pairs['f1'])}, panoptic quality {_share(pairs['panoptic_quality'])}",
        f"area          true {area['true_km2']:.1f} km2, mapped {area['mapped_km2']:.1f} km2 "
        f"({_percent(area['relative_error'])}), both {area['both_km2']:.1f} km2, "
        f"of {area['compared_km2']:.0f} km2 compared",
        f"area of pairs {_percent(area['pairs_mean_error'])} on average, median of its size "
        f"{_percent(area['pairs_median_absolute_error'], sign=False)}",
        f"pixels        precision {_share(pixels['precision'])}, recall {_share(pixels['recall'])}, "
        f"IoU landslide {_share(pixels['iou_landslide'])}, mIoU {_share(pixels['miou'])}, of {pixels['counted']}",
        f"not judged    {apart['true_outside']} true and {apart['mapped_outside']} mapped landslides mostly outside of "
        f"what is compared, {apart['true_hidden']} true ones without a pixel of their own",
    ]
    return "\n".join(lines)


def _size_name(row: dict[str, Any]) -> str:
    if row["below_km2"] is None:
        return f"{row['from_km2']:g} km2 or more"
    return (
        f"{row['from_km2']:g} to {row['below_km2']:g} km2"
        if row["from_km2"]
        else f"below {row['below_km2']:g} km2"
    )


def _size_row(name: str, row: dict[str, Any]) -> str:
    true, mapped = row["found"] + row["missed"], row["right"] + row["false"]
    values = (true, row["found"], _share(row["recall"]), mapped, row["right"], _share(row["precision"]))
    return _row((name, *map(str, values)))


def _row(words: tuple[str, ...]) -> str:
    first, *rest = (word.rjust(width) for word, width in zip(words, _WIDTHS, strict=True))
    return words[0].ljust(_WIDTHS[0]) + "".join(rest) if first else ""


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _percent(value: float | None, sign: bool = True) -> str:
    return "-" if value is None else f"{100 * value:{'+' if sign else ''}.1f} %"
