"""Tiles in memory, put together again: windows of any size, anywhere, with what is not known left open.

A tile is how the data is stored, not what a network must see: tiles abut seamlessly, so a window may be larger than a
tile and lie across several. All of them lie on one sheet (`mmls_tf.data.sheet`), of which a window is a slice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mmls_tf.data.dataset import Dataset
from mmls_tf.data.known_mask import encode_mask
from mmls_tf.data.normalise import Normalisation
from mmls_tf.data.sheet import Spot, plan_sheet
from mmls_tf.data.tiles import Tile, read_tiles
from mmls_tf.errors import UsageError
from mmls_tf.schema import UNKNOWN_LABEL, Place

MEMORY_LIMIT_BYTES = 8 << 30


@dataclass(frozen=True)
class Ground:
    """Tiles on a sheet.

    Attributes:
      image: float32 [rows, columns, bands], normalised, 0.0 where nothing is known.
      target: uint8 [rows, columns, 2]; the mask, 0, 1 or 255 (unknown), and 1 where every band has data. Where masks
        of neighbours are told there is a third channel, the codes of `mmls_tf.data.known_mask`.
      corners: (row, column) of the upper left corner of every labelled tile, by key, in the order of the records.
      size: height and width of a tile in pixels.
      reach: how many pixels away from a labelled tile the sheet is right.
    """

    image: npt.NDArray[np.float32]
    target: npt.NDArray[np.uint8]
    corners: Mapping[str, tuple[int, int]]
    size: int
    reach: int

    def window(
        self, key: str, right: int, down: int, side: int
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
        """Returns views of image and target: the square whose upper left corner lies (right, down) pixels from that
        of a tile.

        Raises:
          ValueError: it lies beyond the reach.
        """
        if min(right, down) < -self.reach or max(right, down) + side > self.size + self.reach:
            raise ValueError(
                f"a window of {side} at ({right}, {down}): expected a reach of {self.reach} pixels"
            )
        row, column = self.corners[key]
        part = (slice(row + down, row + down + side), slice(column + right, column + right + side))
        return self.image[part], self.target[part]


def lay_ground(
    tiles: Iterable[Tile],
    places: Mapping[str, Place],
    normalisation: Normalisation,
    size: int,
    reach: int,
    labelled: Callable[[str], bool],
    told: Callable[[str], bool] | None = None,
) -> Ground:
    """Puts tiles together; masks that are neither `labelled` nor `told` are dropped here, so that no later step can use
    them.

    Where tiles overlap, a window around one of them shows this one; elsewhere labelled ones cover the others. Places
    are rounded to whole pixels; a tile whose place is not known has ground of its own, without neighbours.

    Args:
      places: by key, of those whose place is known.
      size: height and width of a tile in pixels.
      reach: how far windows go beyond their tile, in pixels.
      labelled: whether the mask of the tile of a key may be used, and windows around it are asked for.
      told: whether it may be shown to networks that see tiles beside it; None: nobody asks.

    Raises:
      UsageError: the sheet does not fit in memory.
    """
    tiles = list(tiles)
    spots = [_spot(tile.key, places.get(tile.key), labelled(tile.key)) for tile in tiles]
    plan = plan_sheet(spots, size, reach)
    require_memory(plan.rows, plan.columns, len(normalisation.bands))
    image = np.zeros((plan.rows, plan.columns, len(normalisation.bands)), np.float32)
    target = np.zeros((plan.rows, plan.columns, 2 if told is None else 3), np.uint8)
    target[..., 0] = UNKNOWN_LABEL
    for stamp in plan.stamps:
        tile = tiles[stamp.tile]
        part, source = _inside(stamp.row, stamp.column, stamp.rectangle, size)
        image[part] = normalisation.apply(
            tile.image[source][..., list(normalisation.bands)], tile.valid[source].astype(np.float32)
        )
        target[part][..., 1] = tile.valid[source]
        target[part][..., 0] = tile.mask[source] if spots[stamp.tile].labelled else UNKNOWN_LABEL
        if told is not None:
            codes = encode_mask(tile.mask[source], tile.valid[source])
            target[part][..., 2] = codes if told(tile.key) else 0
    corners = {tiles[index].key: plan.corners[index] for index in sorted(plan.corners)}
    return Ground(image, target, corners, size, reach)


def _spot(key: str, place: Place | None, labelled: bool) -> Spot:
    if place is None:
        return Spot(f"alone {key}", 0, 0, labelled)
    return Spot(place.frame, round(place.y), round(place.x), labelled)


def _inside(
    row: int, column: int, rectangle: tuple[int, int, int, int], size: int
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Returns the part of the sheet that a tile fills inside a rectangle, and that part of the tile."""
    top, left, bottom, right = rectangle
    spans = [(max(row, top), min(row + size, bottom)), (max(column, left), min(column + size, right))]
    part = tuple(slice(start, max(start, stop)) for start, stop in spans)
    source = tuple(
        slice(span.start - corner, span.stop - corner)
        for span, corner in zip(part, (row, column), strict=True)
    )
    return part, source  # type: ignore[return-value]


def load_ground(
    dataset: Dataset,
    split: str,
    normalisation: Normalisation,
    context_from: str,
    reach: int,
    change: Callable[[Tile], Tile] | None = None,
    context_masks: str = "none",
) -> Ground:
    """Reads the tiles of a split, with labels, and those that may surround them, without; `change` is done to each.

    With `context_masks` "train", masks of train tiles are told to those around them.

    Raises:
      UsageError: they do not fit in memory.
      DatasetError: a shard is damaged.
    """
    splits = lenders(dataset, split, context_from) if reach else (split,)
    size = dataset.manifest.tile_size
    places = {tile.key: tile.place for tile in dataset.manifest.tiles if tile.place} if reach else {}
    tiles = (tile for name in splits for tile in read_tiles(dataset, name))
    if change:
        tiles = (change(tile) for tile in tiles)
    told = None if context_masks == "none" else lambda key: dataset.has(key, context_masks)
    return lay_ground(tiles, places, normalisation, size, reach, lambda key: dataset.has(key, split), told)


def lenders(dataset: Dataset, split: str, context_from: str) -> tuple[str, ...]:
    """Returns the splits whose images may surround the tiles of `split`, itself first.

    The isolated region takes from itself only, and lends to none.
    """
    if context_from == "split" or split == "isolated":
        return (split,)
    others = (entry.name for entry in dataset.manifest.splits)
    return (split, *(name for name in others if name not in (split, "isolated")))


def require_memory(rows: int, columns: int, bands: int) -> None:
    """Makes sure that a sheet of that many pixels fits in memory.

    Raises:
      UsageError: it does not.
    """
    needed = rows * columns * (4 * bands + 2)
    if needed > MEMORY_LIMIT_BYTES:
        raise UsageError(
            f"--input: expected tiles that fit in {MEMORY_LIMIT_BYTES >> 30} GiB of memory, found "
            f"{needed / 2**30:.1f} GiB; give --input=disk, which reads every tile anew, without --context"
        )
