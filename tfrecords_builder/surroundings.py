"""The N pixels around a tile, taken from the images of other tiles; labels are never read for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mmls_tf.raster.layouts import Layout
from mmls_tf.raster.raster import ByteArray, FloatArray
from mmls_tf.schema import Place
from tfrecords_builder.sources import Source
from tfrecords_builder.tiles import Tile, read_image

if TYPE_CHECKING:
    from tfrecords_builder.convert import ReadOptions


@dataclass(frozen=True)
class Surroundings:
    """Which tiles may lend pixels to which: {key: sources}, and the places of all of them."""

    lenders: Mapping[str, tuple[Source, ...]]
    places: Mapping[str, Place]


@dataclass(frozen=True)
class Halo:
    """The frame of `width` pixels around a tile.

    Attributes:
      image: float32 [size + 2 width, size + 2 width, 7], canonical values; the middle is the tile itself.
      valid: uint8 [size + 2 width, size + 2 width], 0 where no tile lends a pixel or a band has no data.
    """

    width: int
    image: FloatArray
    valid: ByteArray


def find_lenders(
    sources: Sequence[Source], places: Mapping[str, Place], tile_size: int, halo: int, same_split: bool
) -> Surroundings:
    """Finds, for every tile, the tiles that reach into its halo.

    The isolated region takes pixels from itself only, and gives none; other splits lend to one another unless
    `same_split`.
    """
    reach = tile_size + halo
    by_key = {source.key: source for source in sources}
    order = sorted(places, key=lambda key: (places[key].frame, places[key].x))
    lenders: dict[str, list[Source]] = {key: [] for key in by_key}
    start = 0
    for index, key in enumerate(order):
        here = places[key]
        while places[order[start]].frame != here.frame or here.x - places[order[start]].x >= reach:
            start += 1
        for other in order[start:index]:
            may = _may_lend(by_key[key].split, by_key[other].split, same_split)
            if may and abs(places[other].y - here.y) < reach:
                lenders[key].append(by_key[other])
                lenders[other].append(by_key[key])
    return Surroundings({key: tuple(found) for key, found in lenders.items()}, places)


def _may_lend(one: str, other: str, same_split: bool) -> bool:
    if same_split or "isolated" in (one, other):
        return one == other
    return True


def read_halo(tile: Tile, key: str, surroundings: Surroundings, layout: Layout, options: ReadOptions) -> Halo:
    """Assembles the halo of a tile.

    Raises:
      InputError: the image of a lender cannot be read.
    """
    size, width = options.tile_size, options.halo
    image = np.zeros((size + 2 * width, size + 2 * width, tile.image.shape[-1]), np.float32)
    valid = np.zeros(image.shape[:2], np.uint8)
    here = surroundings.places[key]
    for lender in surroundings.lenders[key]:
        there = surroundings.places[lender.key]
        right, down = round(there.x - here.x) + width, round(there.y - here.y) + width
        into_rows, from_rows = _cut(down, size, image.shape[0])
        into_columns, from_columns = _cut(right, size, image.shape[1])
        lent, known = read_image(lender.image, layout, size, options.drivers)
        image[into_rows, into_columns] = lent[from_rows, from_columns]
        valid[into_rows, into_columns] = known[from_rows, from_columns]
    middle = slice(width, width + size)
    image[middle, middle], valid[middle, middle] = tile.image, tile.valid
    return Halo(width, image, valid)


def _cut(offset: int, size: int, whole: int) -> tuple[slice, slice]:
    """Returns (where in the whole, what of the tile) for a tile that starts at `offset`."""
    start, stop = max(0, offset), min(whole, offset + size)
    return slice(start, stop), slice(start - offset, stop - offset)
