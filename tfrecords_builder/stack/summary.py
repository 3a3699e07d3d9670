"""What a stack prints when it is done."""

from __future__ import annotations

from mmls_tf.raster.crs import is_geographic, reference
from tfrecords_builder.stack.config import StackConfig
from tfrecords_builder.stack.stack import Outcome


def summary(config: StackConfig, outcome: Outcome) -> str:
    """Returns some lines: the mosaic's grid, how much of each band has data, what to do next."""
    grid = outcome.grid
    unit = "degrees" if is_geographic(grid.crs_wkt) else reference(grid.crs_wkt).GetLinearUnitsName()
    across, down = grid.geotransform[1], -grid.geotransform[5]
    size = f"{across:g}" if across == down else f"{across:g} x {down:g}"
    lines = [
        f"{config.out}: {grid.height} rows x {grid.width} columns, pixels of {size} {unit}",
        "with data   " + ", ".join(f"{name} {share:.1%}" for name, share in outcome.valid.items()),
    ]
    if not config.tiles and not config.slope:
        lines.append("slope       derived from the DEM on the mosaic's grid (Horn, degrees)")
    lines += [f"note        {note}" for note in outcome.notes]
    lines.append(
        f"next        python -m tfrecords_builder.tile --scene {config.out} --polygons FILE --out raw"
    )
    return "\n".join(lines)
