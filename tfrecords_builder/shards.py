"""Which record goes into which shard, planned from names and numbers alone, and the writing of a shard."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from mmls_tf.errors import UsageError
from mmls_tf.schema import ShardEntry, shard_path
from mmls_tf.tfrecord import write_records
from tfrecords_builder.sources import Source

_SALT = b"mmls_tf record order 1\0"
_RECORD_OVERHEAD = 256  # feature names, lengths, key, geotransform and TFRecord's own framing
Item = TypeVar("Item")


@dataclass(frozen=True)
class ShardPlan:
    """One shard to be written: its split, its path inside the data set and its tiles, in order."""

    split: str
    path: str
    sources: tuple[Source, ...]


def in_record_order(sources: Sequence[Source]) -> list[Source]:
    """Orders tiles by a salted hash of their keys: shuffled, yet independent of listing and of threads."""
    return sorted(sources, key=lambda source: hashlib.sha256(_SALT + source.key.encode()).digest())


def cut_evenly(items: Sequence[Item], parts: int) -> list[list[Item]]:
    """Cuts a sequence into consecutive parts whose lengths differ by at most one."""
    edges = [index * len(items) // parts for index in range(parts + 1)]
    return [list(items[edges[index] : edges[index + 1]]) for index in range(parts)]


def shard_count(tiles: int, tile_size: int, shard_mb: int, halo: int = 0) -> int:
    """Returns how many shards keep each at or under `shard_mb` megabytes, with one record or more in each."""
    around = (tile_size + 2 * halo) ** 2 * (7 * 4 + 1) if halo else 0
    record_bytes = tile_size**2 * (7 * 4 + 2) + around + _RECORD_OVERHEAD
    return max(1, min(tiles, -(-tiles * record_bytes // (shard_mb * 1_000_000))))


def plan_shards(
    sources: Sequence[Source], split: str, tile_size: int, shard_mb: int, halo: int = 0
) -> list[ShardPlan]:
    """Plans the shards of one split."""
    count = shard_count(len(sources), tile_size, shard_mb, halo)
    parts = cut_evenly(in_record_order(sources), count)
    return [
        ShardPlan(split, shard_path(split, index, count), tuple(part)) for index, part in enumerate(parts)
    ]


def write_shard(root: Path, path: str, records: Iterable[bytes]) -> ShardEntry:
    """Writes one shard under `root` and returns its entry in the manifest; `flush_shard` finishes it.

    Raises:
      UsageError: the disk is full, or the folder cannot be written.
    """
    file = root / path
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        count, sha256 = write_records(file, records)
    except OSError as error:
        raise UsageError(
            f"{file}: cannot be written: {error.strerror}; make room, or give another --out"
        ) from error
    return ShardEntry(path=path, records=count, bytes=file.stat().st_size, sha256=sha256)


def flush_shard(root: Path, path: str) -> None:
    """Has the disk hold a written shard: what the journal says must be true after a power cut, too."""
    with (root / path).open("rb+") as handle:
        os.fsync(handle.fileno())
