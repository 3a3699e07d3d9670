"""Sections on where runs fail: landslides by stratum, terrain, boundaries, tiles that leak."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmls_tf.reporting.document import Block, Definitions, Paragraph, Section, Table
from mmls_tf.reporting.looks import look_cells, look_heads
from mmls_tf.reporting.plots import span_text, terrain_plot
from mmls_tf.reporting.reading import Evaluation
from mmls_tf.reporting.rows import UNDEFINED, Row, counted, figure_text, number_text

_LANDSLIDES = {
    "object_recall": "object recall",
    "object_precision": "object precision",
    "mean_iou": "mean IoU",
    "pixel_recall": "pixel recall",
}


def hard_cases(rows: Sequence[Row], splits: Sequence[str]) -> Section:
    """Landslides by size, shape and number of parts."""
    parts = []
    for split in splits:
        cells = [
            (
                row.label,
                stratum,
                *_landslide_cells(row.evaluations(split), stratum),
                *look_cells(row, split, [split]),
            )
            for row in rows
            for stratum in _strata(row.evaluations(split))
        ]
        heads = ("model", "landslides", "in truth", "predicted", *_LANDSLIDES.values(), *look_heads([split]))
        table = Table(f"landslides-{split}", f"Landslides of {split} by stratum", heads, tuple(cells))
        parts.append(Section(f"landslides-on-{split}", f"On {split}", (table,)))
    texts = _first(rows, splits).figures["landslides"]["definitions"]
    terms = tuple((name.replace("_", " ").replace("iou", "IoU"), text) for name, text in texts.items())
    remark = Paragraph(
        "An object is a connected part of a mask inside one tile (8 neighbours). Of a "
        "landslide that reaches beyond its tile only the part within is seen: sizes and "
        "shapes are those of landslides cut by tiles, not of landslides on the map. In the "
        "published train and val tiles every part is cut so."
    )
    return Section("hard-cases", "Hard cases", (remark, Definitions(terms)), tuple(parts))


def terrain(rows: Sequence[Row], detailed: Sequence[Row], splits: Sequence[str]) -> Section:
    """Errors by slope and elevation, of the first run of each row; plots of some rows, tables of all."""
    parts = []
    for split in splits:
        blocks: list[Block] = []
        for number, row in enumerate(detailed, 1):
            if not row.evaluations(split):
                continue
            for kind, words in (("slope_deg", "slope"), ("elevation_m", "elevation")):
                blocks.append(terrain_plot(row, split, kind, f"plot-{words}-{split}-{number}"))
        for kind, words, unit in (("slope_deg", "slope", "degrees"), ("elevation_m", "elevation", "m")):
            cells = [
                (row.label, span_text(one), *_bin_cells(one), *look_cells(row, split, [split]))
                for row in rows
                for found in row.evaluations(split)[:1]
                for one in found.figures["terrain"][kind]
            ]
            heads = (
                "model", f"{words} ({unit})", "background pixels", "taken for landslide", "landslide pixels", "missed",
                *look_heads([split]),
            )  # fmt: skip
            caption = f"Errors on {split} by {words}, first runs"
            blocks.append(Table(f"errors-{words}-{split}", caption, heads, tuple(cells), folded=True))
        parts.append(Section(f"terrain-on-{split}", f"On {split}", tuple(blocks)))
    text = (
        "The share of background taken for landslide and of landslide missed, in valid "
        "pixels. Bins of few pixels jump; the tables say how many there are."
    )
    return Section("terrain", "Errors by slope and elevation", (Paragraph(text),), tuple(parts))


def boundaries(rows: Sequence[Row], splits: Sequence[str]) -> Section:
    """Boundary F1 and boundary IoU by radius."""
    cells = []
    for split in splits:
        for row in rows:
            found = row.evaluations(split)
            for radius in found[0].figures["boundary"] if found else ():
                cells.append(
                    (
                        row.label,
                        split,
                        radius,
                        *(_boundary(found, radius, name) for name in ("precision", "recall", "f1", "iou")),
                        *look_cells(row, split, splits),
                    )
                )
    text = (
        "Boundary F1: boundary pixels that have one of the other side within the radius. "
        "Boundary IoU: IoU of the bands of that width inside the outlines. A tile's edge is "
        "no boundary."
    )
    heads = (
        "model",
        "split",
        "radius (pixels)",
        "boundary precision",
        "boundary recall",
        "boundary F1",
        "boundary IoU",
        *look_heads(splits),
    )
    table = Table("boundaries", "How well outlines agree", heads, tuple(cells))
    return Section("boundaries", "Boundaries", (Paragraph(text), table))


def leaks(rows: Sequence[Row], splits: Sequence[str]) -> Section:
    """Scores with and without tiles that train tiles give away."""
    cells = []
    for split in splits:
        for row in rows:
            found = row.evaluations(split)
            if not found:
                continue
            tiles = [
                counted(found[0].figures["leaks"][kind]["tiles"], "tile")
                for kind in ("without_overlapping", "without_touching")
            ]
            cells.append(
                (
                    row.label,
                    split,
                    f"{figure_text(found, lambda one: one.metric('miou'))} "
                    f"({counted(found[0].figures['tiles'], 'tile')})",
                    f"{_left(found, 'without_overlapping')} ({tiles[0]})",
                    f"{_left(found, 'without_touching')} ({tiles[1]})",
                    *look_cells(row, split, splits),
                )
            )
    text = (
        "Overlapping tiles have pixels in common with a train tile; touching ones share an "
        "edge with one besides. Where few tiles are left, the figure says little."
    )
    heads = (
        "model",
        "split",
        "mIoU, all tiles",
        "mIoU without overlapping tiles",
        "mIoU without touching tiles",
        *look_heads(splits),
    )
    return Section(
        "leaks",
        "With and without leaking tiles",
        (Paragraph(text), Table("leaks", "mIoU with and without leaking tiles", heads, tuple(cells))),
    )


def _strata(found: Sequence[Evaluation]) -> list[str]:
    return [name for name in found[0].figures["landslides"] if name != "definitions"] if found else []


def _landslide_cells(found: Sequence[Evaluation], stratum: str) -> tuple[str, ...]:
    def value(one: Evaluation, name: str) -> Any:
        return one.figures["landslides"][stratum][name]

    predicted = figure_text(found, lambda one: value(one, "predicted_landslides"), 0)
    return (
        str(value(found[0], "true_landslides")),
        predicted,
        *(figure_text(found, lambda one, name=name: value(one, name)) for name in _LANDSLIDES),  # type: ignore[misc]
    )


def _bin_cells(one: dict[str, Any]) -> tuple[str, ...]:
    rates = [
        UNDEFINED if one[name] is None else number_text(one[name])
        for name in ("false_alarm_rate", "miss_rate")
    ]
    return str(one["background_pixels"]), rates[0], str(one["landslide_pixels"]), rates[1]


def _boundary(found: Sequence[Evaluation], radius: str, name: str) -> str:
    return figure_text(found, lambda one: one.figures["boundary"][radius][name])


def _left(found: Sequence[Evaluation], kind: str) -> str:
    return figure_text(found, lambda one: one.figures["leaks"][kind]["miou"])


def _first(rows: Sequence[Row], splits: Sequence[str]) -> Evaluation:
    return next(found[0] for split in splits for row in rows if (found := row.evaluations(split)))
