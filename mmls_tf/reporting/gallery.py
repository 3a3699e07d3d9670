"""The section with pictures: best, middle and worst tiles, and the map of all tiles."""

from __future__ import annotations

from collections.abc import Sequence

from mmls_tf.evaluation.pictures import Row as Tile
from mmls_tf.reporting.document import Block, Legend, Paragraph, Picture, Section, Strip
from mmls_tf.reporting.drawing import to_png
from mmls_tf.reporting.rows import Row, number_text
from mmls_tf.reporting.tile_maps import tile_maps

# The colours of mmls_tf.evaluation.pictures, which are laid over the hill-shade.
ERROR_COLOURS = (
    ("#009e73", "hit: landslide, and predicted"),
    ("#e69e00", "false alarm: predicted, but background"),
    ("#cc40a6", "miss: landslide, but not predicted"),
)
_TRUTH_COLOURS = (
    ("#ffffff", "truth: landslide"),
    ("#7f7f7f", "truth: not known"),
    ("#000000", "truth: background"),
)
_PROBABILITY_COLOURS = (
    ("#440154", "probability 0"),
    ("#21918c", "probability one half"),
    ("#fde725", "probability 1"),
)
_TITLES = {
    "colour": "colour",
    "shade": "hill-shade",
    "truth": "truth",
    "probability": "probability",
    "errors": "errors",
}


def gallery(rows: Sequence[Row], splits: Sequence[str]) -> Section:
    """Five pictures of each chosen tile, of the first run of each row."""
    parts = []
    for number, row in enumerate(rows, 1):
        for split in splits:
            found = row.evaluations(split)[:1]
            blocks = [
                _strip(tile, f"tile-{split}-{number}-{place}")
                for one in found
                for place, tile in enumerate(one.gallery(), 1)
            ]
            if found:
                absent = [] if blocks else [Paragraph("No tile has a landslide, in truth or predicted.")]
                parts.append(
                    Section(f"gallery-{split}-{number}", f"{row.label} on {split}", (*blocks, *absent))
                )
    text = (
        "Best, middle and worst tiles by landslide IoU, of those with a landslide in truth "
        "or prediction. Colours are stretched tile by tile; the hill-shade has its light in "
        "the north-west and relief doubled."
    )
    keys = Legend((*ERROR_COLOURS, *_TRUTH_COLOURS, *_PROBABILITY_COLOURS))
    return Section("gallery", "Gallery", (Paragraph(text), keys), tuple(parts))


def maps(rows: Sequence[Row], splits: Sequence[str]) -> Section:
    """Where tiles lie and how high their IoU is."""
    blocks: list[Block] = []
    for number, row in enumerate(rows, 1):
        for split in splits:
            for found in row.evaluations(split)[:1]:
                size = int(row.runs[0].files.record["tile_size"])
                drawn = tile_maps(found, size, row.label, f"plot-map-{split}-{number}")
                without = sum(place is None for place in found.tiles.places)
                blocks += drawn
                if without:
                    blocks.append(
                        Paragraph(
                            f"{row.label} on {split}: {without} of {len(found.tiles.keys)} tiles have no known "
                            "place."
                        )
                    )
    return Section("maps", "Maps of tiles", tuple(blocks))


def _strip(tile: Tile, name: str) -> Strip:
    caption = f"{tile.group}: {tile.key}, landslide IoU {number_text(tile.iou)}"
    pictures = []
    for kind, title in _TITLES.items():
        png = to_png(getattr(tile, kind), "viridis" if kind == "probability" else "gray")
        pictures.append(Picture(f"{name}-{kind}", title, f"{title} of {tile.key}: {_seen(tile, kind)}", png))
    return Strip(caption, tuple(pictures))


def _seen(tile: Tile, kind: str) -> str:
    """Says what is seen, with a figure where there is one."""
    if kind == "truth":
        return f"{_percent((tile.truth == 255).mean())} of the tile is landslide"
    if kind == "probability":
        return f"{_percent((tile.probability / 255).mean())} on average"
    if kind == "errors":
        return f"hits, false alarms and misses over the hill-shade, landslide IoU {number_text(tile.iou)}"
    return {"colour": "the ground in red, green and blue", "shade": "the relief lit from the north-west"}[
        kind
    ]


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
