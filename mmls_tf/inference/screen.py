"""What a finished map says on the screen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def map_text(record: Mapping[str, Any]) -> str:
    """Returns some lines about a map from the content of its `prediction.json`."""
    scene, windows, timings, inventory = (
        record[name] for name in ("scene", "windows", "timings", "inventory")
    )
    empty = windows["planned"] - windows["predicted"]
    seconds = timings["rows_seconds"] + timings["products_seconds"]
    lines = [
        f"scene      {scene['height']} rows x {scene['width']} columns, {windows['predicted']} windows of "
        f"{windows['tile']} pixels" + (f", {empty} more without data" if empty else ""),
        f"threshold  {record['threshold']:.4f}, from {record['threshold_from']}",
        f"time       {seconds:.1f} s, of which networks {timings['network_seconds']:.1f} s; "
        f"{timings['megapixels_per_second']:.3g} megapixels/s; peak memory {timings['peak_memory_mb']} MB",
    ]
    if inventory is not None:
        lines.append(
            f"landslides {inventory['landslides']}, {inventory['area_km2']:,.1f} of {inventory['mapped_km2']:,.1f} km2 "
            f"({inventory['share']:.1%})"
        )
    return "\n".join(lines)
