"""Tiles in memory, put together again: windows of any size, anywhere, with what is not known left open.

A tile is how the data is stored, not what a network must see: tiles abut seamlessly, so a window may be larger than a
tile and lie across several.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mmls_tf.data.normalise import Normalisation
from mmls_tf.errors import UsageError
from mmls_tf.schema import UNKNOWN_LABEL, Place

MEMORY_LIMIT_BYTES = 8 << 30


@dataclass(frozen=True)
class Window:
    """A square of ground.

    Attributes:
      image: float32 [size, size, bands], normalised, 0.0 where nothing is known.
      valid: uint8 [size, size], 1 where every band has data.
      mask: uint8 [size, size], 0, 1 or 255 (unknown).
    """

    image: npt.NDArray[np.float32]
    valid: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.uint8]


class Ground:
    """Tiles at their places.

    A tile whose place is not known has ground of its own, without neighbours. Places are rounded to whole pixels.
    """

    def __init__(
        self,
        tiles: Iterable[Mapping[str, Any]],
        places: Mapping[str, Place],
        normalisation: Normalisation,
        size: int,
        labelled: Sequence[str],
    ) -> None:
        """Takes tiles in; masks of splits other than `labelled` are dropped here, so that no later step can use them.

        Args:
          tiles: NumPy elements of `mmls_tf.data.pipeline.canonical_tiles`.
          places: by key, of those whose place is known.
          size: height and width of a tile in pixels.
          labelled: splits whose masks may be used.
        """
        self.size = size
        self.keys: list[str] = []
        self._labelled: list[bool] = []
        self._windows: list[Window] = []
        self._corners: list[tuple[str, int, int]] = []
        self._cells: dict[tuple[str, int, int], list[int]] = defaultdict(list)
        for tile in tiles:
            self._add(tile, places, normalisation, labelled)
        self._index = {key: index for index, key in enumerate(self.keys)}

    def _add(
        self,
        tile: Mapping[str, Any],
        places: Mapping[str, Place],
        normalisation: Normalisation,
        labelled: Sequence[str],
    ) -> None:
        key, valid = tile["key"].decode(), tile["valid"]
        image = normalisation.apply(tile["image"][..., list(normalisation.bands)], valid.astype(np.float32))
        known = key.partition("/")[0] in labelled
        mask = tile["mask"] if known else np.full_like(tile["mask"], UNKNOWN_LABEL)
        place = places.get(key)
        frame, x, y = (place.frame, round(place.x), round(place.y)) if place else (f"alone {key}", 0, 0)
        self._cells[frame, math.floor(x / self.size), math.floor(y / self.size)].append(len(self.keys))
        self.keys.append(key)
        self._labelled.append(known)
        self._windows.append(Window(image.astype(np.float32), valid, mask))
        self._corners.append((frame, x, y))

    def window(self, key: str, right: int, down: int, size: int) -> Window:
        """Returns the square whose upper left corner lies (right, down) pixels from that of a tile.

        Where tiles overlap, the tile `key` comes first, then those whose masks may be used, then the others.
        """
        anchor = self._index[key]
        frame, x, y = self._corners[anchor]
        left, top = x + right, y + down
        # Painted from the least to the most important, so that the last one stays.
        layers = sorted(
            self._near(frame, left, top, size),
            key=lambda index: (index == anchor, self._labelled[index], -index),
        )
        bands = self._windows[anchor].image.shape[-1]
        found = Window(
            np.zeros((size, size, bands), np.float32),
            np.zeros((size, size), np.uint8),
            np.full((size, size), UNKNOWN_LABEL, np.uint8),
        )
        for index in layers:
            _, tile_x, tile_y = self._corners[index]
            self._paint(found, self._windows[index], tile_x - left, tile_y - top)
        return found

    def _near(self, frame: str, left: int, top: int, size: int) -> list[int]:
        columns, rows = (
            range(math.floor((start - self.size) / self.size), math.floor((start + size) / self.size) + 1)
            for start in (left, top)
        )
        return [
            index for column in columns for row in rows for index in self._cells.get((frame, column, row), ())
        ]

    def _paint(self, found: Window, tile: Window, x: int, y: int) -> None:
        """Copies what of a tile, whose corner lies at (x, y) of a window, is inside."""
        size = found.valid.shape[0]
        target = tuple(slice(max(0, start), min(size, start + self.size)) for start in (y, x))
        if any(part.start >= part.stop for part in target):
            return
        source = tuple(
            slice(part.start - start, part.stop - start) for part, start in zip(target, (y, x), strict=True)
        )
        found.image[target] = tile.image[source]
        found.valid[target] = tile.valid[source]
        found.mask[target] = tile.mask[source]


def require_memory(tiles: int, size: int, bands: int) -> None:
    """Makes sure that tiles fit in memory.

    Raises:
      UsageError: they do not.
    """
    needed = tiles * size * size * (4 * bands + 2)
    if needed > MEMORY_LIMIT_BYTES:
        raise UsageError(
            f"--context: expected tiles that fit in {MEMORY_LIMIT_BYTES >> 30} GiB of memory, found "
            f"{needed / 2**30:.1f} GiB; build the data set with --halo, which stores the surroundings with every tile"
        )
