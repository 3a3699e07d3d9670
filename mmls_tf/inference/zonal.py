"""Zonal statistics: what the pixels of each landslide of a map are like, some rows at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mmls_tf.inference.layers import PROBABILITY_STEPS
from mmls_tf.raster.byte_map import NODATA_BYTE
from mmls_tf.raster.layouts import CHALLENGE
from mmls_tf.raster.map_scene import MapScene
from mmls_tf.raster.nodata import NODATA
from mmls_tf.raster.raster import FloatArray
from mmls_tf.raster.rows import read_plane, row_bands
from mmls_tf.raster.windows import Window

TERRAIN = ("slope", "dem")

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int32]


class ZonalStatistics:
    """Sums over the pixels of labels 1, 2, ..., filled window by window.

    Attributes:
      pixels: int64 [labels], pixels of each label.
      detected: int64 [labels], those of them that the map has as landslide; the others were in holes.
    """

    def __init__(self, labels: int) -> None:
        self._size = labels + 1
        self.pixels = np.zeros(labels, np.int64)
        self.detected = np.zeros(labels, np.int64)
        self._known = np.zeros(labels, np.int64)
        self._probability = np.zeros(labels, np.int64)
        self._most = np.zeros(self._size, np.uint8)
        self._terrain = np.zeros((len(TERRAIN), labels))
        self._terrain_known = np.zeros((len(TERRAIN), labels), np.int64)

    def add(self, labels: Labels, probability: Any, detected: Any, terrain: FloatArray) -> None:
        """Counts the pixels of a window in.

        Args:
          labels: int32 [height, width], 0 where nothing is counted.
          probability: uint8 [height, width], 254 times the probability, 255 where unknown.
          detected: uint8 [height, width], 1 where the map has a landslide.
          terrain: float32 [bands, height, width], bands as in `TERRAIN`, `NODATA` where unknown.
        """
        chosen = labels > 0
        label, stored = labels[chosen], probability[chosen]
        known = stored != NODATA_BYTE
        self.pixels += self._count(label)
        self.detected += self._count(label[detected[chosen] == 1])
        self._known += self._count(label[known])
        self._probability += np.rint(self._sum(label[known], stored[known])).astype(np.int64)
        np.maximum.at(self._most, label[known], stored[known])
        for index, band in enumerate(terrain):
            values = band[chosen]
            there = values != NODATA
            self._terrain_known[index] += self._count(label[there])
            self._terrain[index] += self._sum(label[there], values[there])

    @property
    def mean_probability(self) -> Floats:
        """Of each label; NaN where no pixel has one."""
        return _ratio(self._probability / PROBABILITY_STEPS, self._known)

    @property
    def max_probability(self) -> Floats:
        """Of each label; NaN where no pixel has a probability."""
        return np.where(self._known > 0, self._most[1:] / PROBABILITY_STEPS, np.nan)

    def mean_terrain(self, name: str) -> Floats:
        """Returns the mean of a band of `TERRAIN` of each label; NaN where no pixel has one."""
        index = TERRAIN.index(name)
        return _ratio(self._terrain[index], self._terrain_known[index])

    def _count(self, label: Labels) -> npt.NDArray[np.int64]:
        return np.bincount(label, minlength=self._size)[1:]

    def _sum(self, label: Labels, values: Any) -> Floats:
        sums: Floats = np.bincount(label, values.astype(np.float64), minlength=self._size)[1:].astype(
            np.float64
        )
        return sums


def zonal_statistics(
    labels: Any, count: int, probability: Any, detected: Any, scene: MapScene
) -> ZonalStatistics:
    """Returns the statistics of labels 1 to `count`; of the scene only what lies around labels is read.

    Args:
      labels, probability, detected: GDAL datasets of one band on the scene's grid; values as in
        `ZonalStatistics.add`.
    """
    statistics = ZonalStatistics(count)
    places = [CHALLENGE.order.index(name) for name in TERRAIN]
    for band in row_bands(scene.height, scene.width):
        found = read_plane(labels, band)
        columns = np.flatnonzero(found.any(axis=0))
        if not columns.size:
            continue
        first, stop = int(columns[0]), int(columns[-1]) + 1
        window = Window(first, band.row, stop - first, band.height)
        terrain = scene.read(window)[places]
        statistics.add(
            found[:, first:stop], read_plane(probability, window), read_plane(detected, window), terrain
        )
    return statistics


def _ratio(total: npt.NDArray[Any], number: npt.NDArray[np.int64]) -> Floats:
    return np.divide(total, number, out=np.full(number.shape, np.nan), where=number > 0)
