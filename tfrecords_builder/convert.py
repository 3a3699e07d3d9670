"""Source -> record and everything the manifest says of the tile: the part of a build that needs no other tile."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mmls_tf.errors import InputError, Issue
from mmls_tf.raster.layouts import layout_named
from mmls_tf.raster.seams import rims_of
from mmls_tf.schema import TileEntry
from tfrecords_builder.records import encode_record
from tfrecords_builder.sources import Source
from tfrecords_builder.statistics import Moments, tile_moments
from tfrecords_builder.surroundings import Surroundings, read_halo
from tfrecords_builder.tiles import Tile, read_tile


@dataclass(frozen=True)
class ReadOptions:
    """How a source is read: the same for all tiles of a build, and plain values, so that workers can be sent it."""

    src: str
    layout: str
    tile_size: int
    drivers: str
    check_order: bool
    halo: int


@dataclass(frozen=True)
class Converted:
    """One tile on its way to a shard.

    Attributes:
      rims: float32 [4, 2, size], elevation along the upper, lower, left and right side, from the side inwards;
        None for a georeferenced tile, whose place needs no check.
    """

    entry: TileEntry
    record: bytes
    moments: Moments
    crs_wkt: str | None
    rims: npt.NDArray[np.float32] | None


@dataclass(frozen=True)
class Refused:
    """A tile that cannot be used, and why."""

    key: str
    issues: tuple[Issue, ...]


def convert(source: Source, options: ReadOptions, surroundings: Surroundings | None) -> Converted | Refused:
    """Reads, checks and encodes one tile; whatever is wrong with its files is returned, not raised."""
    layout = layout_named(options.layout)
    try:
        tile = read_tile(
            source, layout, options.tile_size, drivers=options.drivers, check_order=options.check_order
        )
        halo = read_halo(tile, source.key, surroundings, layout, options) if surroundings else None
    except InputError as error:
        return Refused(source.key, error.issues)
    except OSError as error:
        path = str(error.filename or source.image)
        return Refused(source.key, (Issue(path, "a file that can be read", error.strerror or str(error)),))
    record = encode_record(tile, halo)
    return Converted(
        entry=_tile_entry(tile, source, Path(options.src), record),
        record=record,
        moments=tile_moments(tile.image, tile.valid),
        crs_wkt=tile.crs_wkt,
        rims=None if tile.geotransform is not None else rims_of(tile.image),
    )


def _tile_entry(tile: Tile, source: Source, src: Path, record: bytes) -> TileEntry:
    return TileEntry(
        key=tile.key,
        split=source.split,
        image=source.image.relative_to(src).as_posix(),
        image_sha256=tile.image_sha256,
        mask=None if source.mask is None else source.mask.relative_to(src).as_posix(),
        mask_sha256=tile.mask_sha256,
        record_sha256=hashlib.sha256(record).hexdigest(),
        foreground_pixels=None if tile.mask is None else int((tile.mask == 1).sum()),
        labelled_pixels=0 if tile.mask is None else tile.mask.size,
        valid_pixels=int(tile.valid.sum()),
        geotransform=tile.geotransform,
    )
