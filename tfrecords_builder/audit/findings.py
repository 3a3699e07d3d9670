"""What an audit finds, from places and contents alone."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmls_tf.raster.places import overlaps, touching
from mmls_tf.schema import SPLITS, Manifest, Place
from tfrecords_builder.audit.content import Content, Duplicate, find_duplicates


@dataclass(frozen=True)
class Overlap:
    """Two tiles that share pixels; `share` is the shared part of a tile in (0, 1]."""

    one: str
    other: str
    share: float


@dataclass(frozen=True)
class Contact:
    """How a split lies to the train split: tiles whose place is known, that touch it, that share pixels with it."""

    split: str
    tiles: int
    placed: int
    touching_train: int
    overlapping_train: int


@dataclass(frozen=True)
class Distance:
    """The least distance of the isolated region from any other tile; `km` is None where pixels have no size."""

    isolated: str
    other: str
    pixels: float
    km: float | None


@dataclass(frozen=True)
class Audit:
    """Everything that an audit found."""

    overlaps_across: tuple[Overlap, ...]
    overlaps_within: tuple[Overlap, ...]
    duplicates: tuple[Duplicate, ...]
    contacts: tuple[Contact, ...]
    isolated_distance: Distance | None

    @property
    def leaks(self) -> bool:
        """Whether a tile outside train shares pixels or content with a tile of another split."""
        return bool(self.overlaps_across) or any(
            split_of(pair.one) != split_of(pair.other) for pair in self.duplicates
        )

    def to_dict(self) -> dict[str, Any]:
        """Returns the findings as plain values for JSON."""
        return {**dataclasses.asdict(self), "leaks": self.leaks}


def split_of(key: str) -> str:
    """Returns the split in a key SPLIT/STEM."""
    return key.partition("/")[0]


def audit_tiles(places: Mapping[str, Place | None], contents: Mapping[str, Content], tile_size: int) -> Audit:
    """Audits tiles by place (None: not known) and, for those that `contents` has, by content."""
    known = {key: place for key, place in places.items() if place is not None}
    pairs = [Overlap(*pair) for pair in overlaps(known, tile_size)]
    across = tuple(pair for pair in pairs if split_of(pair.one) != split_of(pair.other))
    within = tuple(pair for pair in pairs if split_of(pair.one) == split_of(pair.other))
    return Audit(
        overlaps_across=across,
        overlaps_within=within,
        duplicates=tuple(find_duplicates(contents)),
        contacts=_contacts(places, known, across, tile_size),
        isolated_distance=_isolated_distance(known, tile_size),
    )


def _contacts(
    places: Mapping[str, Place | None],
    known: Mapping[str, Place],
    across: tuple[Overlap, ...],
    tile_size: int,
) -> tuple[Contact, ...]:
    touches = touching(known, tile_size)
    meets = {key for key, others in touches.items() if any(split_of(other) == "train" for other in others)}
    shares = {
        key
        for pair in across
        for key, other in ((pair.one, pair.other), (pair.other, pair.one))
        if split_of(other) == "train"
    }
    tiles, placed = Counter(map(split_of, places)), Counter(map(split_of, known))
    return tuple(
        Contact(
            split=split,
            tiles=tiles[split],
            placed=placed[split],
            touching_train=sum(split_of(key) == split for key in meets),
            overlapping_train=sum(split_of(key) == split for key in shares),
        )
        for split in SPLITS
        if tiles[split] and split != "train"
    )


def _isolated_distance(known: Mapping[str, Place], tile_size: int) -> Distance | None:
    """Returns the closest pair of an isolated and another tile of the same frame, None where there is none."""
    isolated = sorted(key for key in known if split_of(key) == "isolated")
    best: Distance | None = None
    for frame in sorted({known[key].frame for key in isolated}):
        others = sorted(key for key in known if split_of(key) != "isolated" and known[key].frame == frame)
        corners = np.array([(known[key].x, known[key].y) for key in others]).reshape(-1, 2)
        for key in isolated:
            place = known[key]
            if place.frame != frame or not others:
                continue
            gaps = np.maximum(np.abs(corners - (place.x, place.y)) - tile_size, 0.0)
            distances = np.hypot(gaps[:, 0], gaps[:, 1])
            nearest = int(distances.argmin())
            pixels = float(distances[nearest])
            if best is None or pixels < best.pixels:
                km = None if place.pixel_m is None else pixels * place.pixel_m / 1000
                best = Distance(key, others[nearest], pixels, km)
    return best


def audit_manifest(manifest: Manifest) -> Audit:
    """Audits what a manifest tells; contents are not compared."""
    return audit_tiles({tile.key: tile.place for tile in manifest.tiles}, {}, manifest.tile_size)
