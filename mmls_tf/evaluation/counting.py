"""Counts what a report needs in one pass over predicted tiles; all that grows with their number is four counts each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mmls_tf.bands import BAND_NAMES, BANDS
from mmls_tf.data.tiles import Tile
from mmls_tf.evaluation.boundaries import BoundaryCounts, count_boundaries
from mmls_tf.evaluation.confusion import Confusion, count_pixels
from mmls_tf.evaluation.histogram import Accumulator, Histogram
from mmls_tf.evaluation.landslides import LandslideCounts, count_landslides
from mmls_tf.evaluation.terrain import TerrainCounts, count_by_terrain

BOUNDARY_RADII = (1, 3)


@dataclass(frozen=True)
class TileScore:
    """The counts of one tile: over all labelled pixels, and over those where every band has data."""

    key: str
    labelled: Confusion
    valid: Confusion


@dataclass(frozen=True)
class SplitCounts:
    """All counts of a split.

    Attributes:
      tiles: in the order of the records.
      histogram: of the probabilities of all labelled pixels.
      boundaries: by radius in pixels.
      landslides: connected ones, cut at the tile's edge.
      terrain: errors by slope and elevation, of valid labelled pixels.
    """

    tiles: tuple[TileScore, ...]
    histogram: Histogram
    boundaries: dict[int, BoundaryCounts]
    landslides: LandslideCounts
    terrain: TerrainCounts

    @property
    def labelled(self) -> Confusion:
        """One confusion matrix over all labelled pixels, as published."""
        return sum((tile.labelled for tile in self.tiles), Confusion())

    @property
    def valid(self) -> Confusion:
        """The same over labelled pixels where every band has data."""
        return sum((tile.valid for tile in self.tiles), Confusion())


def count_split(predictions: Iterable[tuple[Tile, npt.NDArray[np.float32]]], threshold: float) -> SplitCounts:
    """Counts predicted tiles.

    Args:
      predictions: tiles with their landslide probability [height, width].
      threshold: a pixel is landslide if its probability is greater.
    """
    tiles: list[TileScore] = []
    accumulator = Accumulator()
    boundaries = {radius: BoundaryCounts(radius) for radius in BOUNDARY_RADII}
    landslides, terrain = LandslideCounts(), TerrainCounts()
    for tile, probability in predictions:
        predicted = probability > threshold
        tiles.append(score_tile(tile, predicted))
        accumulator.add(probability, tile.mask)
        for radius in BOUNDARY_RADII:
            boundaries[radius] += count_boundaries(predicted, tile.mask, radius)
        landslides += count_landslides(predicted, tile.mask)
        terrain += count_by_terrain(
            predicted, tile.mask, raw_band(tile, "slope"), raw_band(tile, "dem"), tile.valid
        )
    return SplitCounts(tuple(tiles), accumulator.histogram(), boundaries, landslides, terrain)


def score_tile(tile: Tile, predicted: npt.NDArray[np.bool_]) -> TileScore:
    """Counts the pixels of one tile."""
    return TileScore(
        tile.key, count_pixels(predicted, tile.mask), count_pixels(predicted, tile.mask, tile.valid == 1)
    )


def raw_band(tile: Tile, name: str) -> npt.NDArray[np.float32]:
    """Returns a band float32 [height, width] in its own unit, as the source file had it."""
    index = BAND_NAMES.index(name)
    return tile.image[..., index] * np.float32(BANDS[index].scale) + np.float32(BANDS[index].offset)
