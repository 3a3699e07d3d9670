"""What a cut prints when it is done."""

from __future__ import annotations

from tfrecords_builder.tile.config import TileConfig
from tfrecords_builder.tile.cut import Outcome


def summary(config: TileConfig, outcome: Outcome) -> str:
    """Returns some lines: what was written, what was left out and why, what to do next."""
    size = config.tile_size
    kinds = "images only" if outcome.polygons is None else "images and masks"
    tiles = "tile" if outcome.written == 1 else "tiles"
    lines = [f"{config.out}/{config.split}: {outcome.written} {tiles} of {size} x {size} written ({kinds})"]
    if outcome.polygons is not None:
        share = outcome.foreground / outcome.pixels
        lines.append(
            f"landslide   {share:.2%} of the pixels; {outcome.polygons.inside} of {outcome.polygons.total} polygons "
            "reach into the scene"
        )
    lines.append(
        f"left out    {outcome.too_empty} with data in all bands on less than {config.min_valid:.0%} of their pixels"
    )
    if any(outcome.cut_off):
        columns, rows = outcome.cut_off
        lines.append(f"left out    {columns} columns and {rows} rows of pixels at the edges (--edge=drop)")
    lines += [f"note        {note}" for note in outcome.notes]
    if outcome.polygons is not None and not outcome.foreground:
        lines.append(
            "note        no pixel is landslide: no polygon holds a pixel's centre in the tiles written"
        )
    lines.append(f"next        python -m tfrecords_builder --src {config.out} --tile_size {size} --out data")
    return "\n".join(lines)
