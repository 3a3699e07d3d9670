"""Who goes into which split: as the folders say, at random, or by blocks along the map. A pure plan.

Random tiles of one region share edges with each other, so that a random test split measures interpolation. Blocks
are contiguous stretches of the map with a buffer between them: the honest way to an isolated set of one's own.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mmls_tf.errors import UsageError
from mmls_tf.raster.places import gap_px
from mmls_tf.schema import SPLITS, Place

METHODS = ("folders", "random", "blocks")


@dataclass(frozen=True)
class Deal:
    """The result of dealing: split of every tile that is kept, and the tiles left out as a buffer."""

    splits: dict[str, str]
    buffer: tuple[str, ...]


def parse_shares(text: str) -> dict[str, float]:
    """Reads `train=0.7,val=0.1,test=0.1,isolated=0.1` as shares that sum to one.

    Raises:
      UsageError: an unknown split, no number, a share out of (0, 1], no train, or another sum.
    """
    shares: dict[str, float] = {}
    for part in text.split(","):
        name, _, number = part.partition("=")
        try:
            share = float(number)
        except ValueError:
            share = -1.0
        if name.strip() not in SPLITS or name.strip() in shares or not 0 < share <= 1:
            raise UsageError(
                f"--shares={text}: expected parts such as train=0.7 with splits {', '.join(SPLITS)} at most once "
                f"each and shares in (0, 1], found {part!r}"
            )
        shares[name.strip()] = share
    if "train" not in shares or abs(sum(shares.values()) - 1) > 1e-6:
        raise UsageError(
            f"--shares={text}: expected a share for train and a sum of 1, found {sum(shares.values()):g}"
        )
    return shares


def deal_randomly(keys: Sequence[str], shares: Mapping[str, float], seed: int) -> Deal:
    """Deals tiles at random; the order of `keys` does not matter.

    Raises:
      UsageError: there are fewer tiles than splits.
    """
    order = sorted(keys)
    random.Random(seed).shuffle(order)
    counts = _counts(len(order), shares)
    splits: dict[str, str] = {}
    for split, count in counts.items():
        for key in order[len(splits) : len(splits) + count]:
            splits[key] = split
    return Deal(splits, ())


def deal_by_blocks(
    places: Mapping[str, Place], shares: Mapping[str, float], tile_size: int, buffer_px: float, seed: int
) -> Deal:
    """Deals contiguous blocks along the longer side of the map, in an order that the seed decides.

    Tiles closer than `buffer_px` to a tile of another block, or overlapping one, are left out: of each such
    pair the one in the larger block, whose loss weighs least.

    Args:
      places: places of all tiles, in one frame.
      buffer_px: least gap between tiles of different splits in pixels; 0 lets tiles touch, not overlap.

    Raises:
      UsageError: the tiles lie in several frames, or a split would be left empty.
    """
    frames = sorted({place.frame for place in places.values()})
    if len(frames) > 1:
        raise UsageError(
            f"--split_by=blocks: expected tiles on one map, found {', '.join(frames)}; "
            "split them one region at a time"
        )
    spread = [max(values) - min(values) for values in _axes(places)]
    along = 0 if spread[0] >= spread[1] else 1
    order = sorted(places, key=lambda key: (_axes({key: places[key]})[along][0], key))
    names = list(shares)
    random.Random(seed).shuffle(names)
    counts = _counts(len(order), shares)
    splits: dict[str, str] = {}
    for name in names:
        for key in order[len(splits) : len(splits) + counts[name]]:
            splits[key] = name
    buffer = _buffer(places, splits, counts, tile_size, buffer_px)
    kept = {key: split for key, split in splits.items() if key not in buffer}
    empty = sorted(set(shares) - set(kept.values()))
    if empty:
        raise UsageError(
            f"--split_by=blocks: expected tiles in every split, found none left in {', '.join(empty)}; "
            "make the buffer smaller or the share larger"
        )
    return Deal(kept, tuple(sorted(buffer)))


def _axes(places: Mapping[str, Place]) -> tuple[list[float], list[float]]:
    return [place.x for place in places.values()], [place.y for place in places.values()]


def _counts(total: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Whole numbers near the shares (largest remainders), none of them zero."""
    if total < len(shares):
        raise UsageError(
            f"--shares: expected at least {len(shares)} tiles for {len(shares)} splits, found {total}"
        )
    exact = {name: share * total for name, share in shares.items()}
    counts = {name: max(1, int(value)) for name, value in exact.items()}
    by_remainder = sorted(exact, key=lambda name: (counts[name] - exact[name], name))
    while sum(counts.values()) < total:
        for name in by_remainder[: total - sum(counts.values())]:
            counts[name] += 1
    while sum(counts.values()) > total:
        counts[max(counts, key=lambda name: (counts[name], name))] -= 1
    return counts


def _buffer(
    places: Mapping[str, Place],
    splits: Mapping[str, str],
    counts: Mapping[str, int],
    tile_size: int,
    buffer_px: float,
) -> set[str]:
    left_out: set[str] = set()
    for key, other in _close_pairs(places, splits, tile_size, buffer_px):
        if key in left_out or other in left_out:
            continue
        left_out.add(max(key, other, key=lambda name: (counts[splits[name]], name)))
    return left_out


def _close_pairs(
    places: Mapping[str, Place], splits: Mapping[str, str], tile_size: int, buffer_px: float
) -> list[tuple[str, str]]:
    """Pairs of tiles of different splits that are too close, found by a sweep from west to east."""
    order = sorted(places, key=lambda key: places[key].x)
    pairs = []
    start = 0
    for index, key in enumerate(order):
        while places[key].x - places[order[start]].x >= tile_size + buffer_px + 1:
            start += 1
        for other in order[start:index]:
            if splits[key] != splits[other] and _too_close(places[key], places[other], tile_size, buffer_px):
                pairs.append((other, key))
    return sorted(pairs)


def _too_close(one: Place, other: Place, tile_size: int, buffer_px: float) -> bool:
    if buffer_px > 0:
        return gap_px(one, other, tile_size) < buffer_px - 0.05
    return abs(one.x - other.x) < tile_size - 0.05 and abs(one.y - other.y) < tile_size - 0.05
