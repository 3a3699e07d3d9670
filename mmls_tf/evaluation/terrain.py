"""Where on the map false alarms and misses fall: counts by slope and by elevation. NumPy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mmls_tf.errors import DatasetError
from mmls_tf.evaluation.confusion import Confusion
from mmls_tf.schema import UNKNOWN_LABEL

# Inner edges: the first and the last bin are open, so that every pixel has one. Published train tiles reach from
# -5834 m to 6988 m and to 63 degrees (mmls_tf.bands); elsewhere on Mars ground lies lower and higher.
SLOPE_EDGES_DEG: tuple[int, ...] = tuple(range(5, 61, 5))
ELEVATION_EDGES_M: tuple[int, ...] = tuple(range(-9000, 12001, 1000))
# Elevations are whole metres, which scaling to canonical float32 and back leaves up to a millimetre off to either side.
_ELEVATION_DECIMALS = 2

Plane = npt.NDArray[np.floating]


@dataclass(frozen=True)
class TerrainCounts:
    """One confusion matrix a bin; bins run upwards, and a value on an edge belongs to the bin above.

    Attributes:
      slope: by slope in degrees; bins between `SLOPE_EDGES_DEG`, one more than edges.
      elevation: by elevation in metres; bins between `ELEVATION_EDGES_M`, one more than edges.
    """

    slope: tuple[Confusion, ...] = (Confusion(),) * (len(SLOPE_EDGES_DEG) + 1)
    elevation: tuple[Confusion, ...] = (Confusion(),) * (len(ELEVATION_EDGES_M) + 1)

    def __add__(self, other: TerrainCounts) -> TerrainCounts:
        return TerrainCounts(
            tuple(mine + its for mine, its in zip(self.slope, other.slope, strict=True)),
            tuple(mine + its for mine, its in zip(self.elevation, other.elevation, strict=True)),
        )

    def metrics(self) -> dict[str, Any]:
        """Returns {slope_deg: bins, elevation_m: bins}, bins without a pixel left out.

        A bin is {from, to, background_pixels, false_alarms, false_alarm_rate, landslide_pixels, misses, miss_rate}:
        `from` and `to` are its edges (None where it is open), false_alarm_rate is the share of the background that
        was predicted as landslide, miss_rate the share of landslide pixels that was not; None where undefined.
        """
        return {
            "slope_deg": _bins(self.slope, (0, *SLOPE_EDGES_DEG, None)),
            "elevation_m": _bins(self.elevation, (None, *ELEVATION_EDGES_M, None)),
        }


def count_by_terrain(
    predicted: npt.NDArray[np.bool_],
    mask: npt.NDArray[np.uint8],
    slope_deg: Plane,
    elevation_m: Plane,
    valid: npt.NDArray[np.uint8],
) -> TerrainCounts:
    """Counts predictions of one tile against labels in bins of slope and of elevation.

    Only pixels with a label and with data in both bands count. Elevations are taken to the nearest centimetre.

    Args:
      predicted: bool [height, width]; True is landslide.
      mask: uint8 [height, width], 0 background, 1 landslide, 255 unknown.
      slope_deg: floats [height, width], degrees.
      elevation_m: floats [height, width], metres.
      valid: uint8 or bool [height, width], 1 where both bands have data.

    Raises:
      DatasetError: slope or elevation of a pixel that counts is not finite.
    """
    counted = (mask != UNKNOWN_LABEL) & (valid != 0)
    outcome = 2 * mask[counted].astype(np.int64) + predicted[counted]
    slope = _finite(slope_deg[counted], "slope")
    elevation = np.round(_finite(elevation_m[counted], "elevation"), _ELEVATION_DECIMALS)
    return TerrainCounts(
        _count(outcome, slope, SLOPE_EDGES_DEG), _count(outcome, elevation, ELEVATION_EDGES_M)
    )


def _finite(values: Plane, name: str) -> Plane:
    if not np.isfinite(values).all():
        raise DatasetError(
            f"{name} band of a tile: expected finite values wherever the tile is valid, found NaN or infinity; "
            "build the data set anew"
        )
    return values.astype(np.float64)


def _count(outcome: npt.NDArray[np.int64], values: Plane, edges: Sequence[int]) -> tuple[Confusion, ...]:
    """Counts 2 * label + predicted [pixels] by the bins of some values [pixels]."""
    bins = np.searchsorted(edges, values, side="right")
    table = np.bincount(4 * bins + outcome, minlength=4 * (len(edges) + 1)).reshape(-1, 4).tolist()
    return tuple(
        Confusion(positives, false_alarms, misses, negatives)
        for negatives, false_alarms, misses, positives in table
    )


def _bins(counts: Sequence[Confusion], edges: Sequence[int | None]) -> list[dict[str, Any]]:
    bins = []
    for count, lower, upper in zip(counts, edges[:-1], edges[1:], strict=True):
        background = count.false_positive + count.true_negative
        landslide = count.true_positive + count.false_negative
        if count.pixels:
            bins.append(
                {
                    "from": lower,
                    "to": upper,
                    "background_pixels": background,
                    "false_alarms": count.false_positive,
                    "false_alarm_rate": count.false_positive / background if background else None,
                    "landslide_pixels": landslide,
                    "misses": count.false_negative,
                    "miss_rate": count.false_negative / landslide if landslide else None,
                }
            )
    return bins
