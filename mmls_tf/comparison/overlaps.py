"""How much of each landslide lies where: areas on the sphere summed over pixels, some rows at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mmls_tf.comparison.ground import Ground
from mmls_tf.evaluation.confusion import Confusion
from mmls_tf.raster.rows import read_plane, row_bands
from mmls_tf.raster.sphere import cell_areas_km2

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Overlaps:
    """Areas in km2.

    Attributes:
      true, mapped: float64 [landslides] of that side, all of their pixels on the map.
      true_counted, mapped_counted: those of their pixels that are compared.
      both: by (true, mapped) index from 0, the compared area that both cover, where it is not 0.
      counted_km2: all that is compared.
      confusion: its pixels.
    """

    true: Floats
    mapped: Floats
    true_counted: Floats
    mapped_counted: Floats
    both: dict[tuple[int, int], float]
    counted_km2: float
    confusion: Confusion


def find_overlaps(ground: Ground) -> Overlaps:
    """Sums up areas and pixels."""
    sizes = len(ground.truth.places) + 1, len(ground.mapped.places) + 1
    whole, compared = [[np.zeros(size) for size in sizes] for _ in range(2)]
    both: dict[int, float] = {}
    cells_km2, confusion = 0.0, Confusion()
    for band in row_bands(ground.grid.height, ground.grid.width):
        labels = [read_plane(side.labels, band) for side in (ground.truth, ground.mapped)]
        areas = np.broadcast_to(cell_areas_km2(ground.grid, band.row, band.height), labels[0].shape)
        counted = ground.counted(band)
        for index, plane in enumerate(labels):
            whole[index] += np.bincount(plane.ravel(), areas.ravel(), minlength=sizes[index])
            compared[index] += np.bincount(plane[counted], areas[counted], minlength=sizes[index])
        true, mapped = (plane > 0 for plane in labels)
        shared = counted & true & mapped
        codes, place = np.unique(
            labels[0][shared].astype(np.int64) * sizes[1] + labels[1][shared], return_inverse=True
        )
        for code, area in zip(codes.tolist(), np.bincount(place, areas[shared]).tolist(), strict=True):
            both[code] = both.get(code, 0.0) + area
        cells_km2 += float(areas[counted].sum())
        found = np.bincount(2 * true[counted] + mapped[counted], minlength=4).tolist()
        confusion += Confusion(found[3], found[1], found[2], found[0])
    pairs = {(code // sizes[1] - 1, code % sizes[1] - 1): area for code, area in both.items()}
    return Overlaps(whole[0][1:], whole[1][1:], compared[0][1:], compared[1][1:], pairs, cells_km2, confusion)
