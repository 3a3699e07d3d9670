"""Every check of a stored data set; each returns problems as text that names the shard and the record."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mmls_tf.errors import DatasetError, InputError
from mmls_tf.raster.layouts import layout_named
from mmls_tf.schema import Manifest, ShardEntry, SplitEntry, TileEntry, shard_problem
from tfrecords_builder.assemble import fingerprint
from tfrecords_builder.records import Record, decode_record
from tfrecords_builder.sources import Source
from tfrecords_builder.stored import raw_records
from tfrecords_builder.tiles import read_tile


def verify_stored(data: Path, manifest: Manifest) -> Iterator[str]:
    """Yields what is wrong with a data set on its own: counts, hashes, every record parsed."""
    entries = {tile.key: tile for tile in manifest.tiles}
    seen: set[str] = set()
    for split in manifest.splits:
        for shard in split.shards:
            if problem := shard_problem(data, shard):
                yield problem
            yield from _record_problems(data, split, shard, manifest, entries, seen)
        stated = sum(shard.records for shard in split.shards)
        if stated != split.tiles:
            yield f"dataset.json: split {split.name} has {split.tiles} tiles, its shards {stated} records"
    yield from (f"dataset.json: tile {key} is in no shard" for key in sorted(entries.keys() - seen))
    if fingerprint(manifest.tiles) != manifest.fingerprint:
        yield "dataset.json: the fingerprint is not that of its tiles"


def verify_sources(data: Path, manifest: Manifest, src: Path, drivers: str) -> Iterator[str]:
    """Yields every tile that its source files, read again, do not give."""
    entries = {tile.key: tile for tile in manifest.tiles}
    for split in manifest.splits:
        for shard in split.shards:
            try:
                for number, raw in enumerate(raw_records(data, shard)):
                    record = decode_record(raw, manifest.tile_size)
                    if record.key in entries:
                        problems = _source_problems(record, entries[record.key], manifest, src, drivers)
                        yield from (f"{shard.path}, record {number}, {text}" for text in problems)
            except (DatasetError, ValueError):
                continue  # named by verify_stored already


def _record_problems(
    data: Path,
    split: SplitEntry,
    shard: ShardEntry,
    manifest: Manifest,
    entries: dict[str, TileEntry],
    seen: set[str],
) -> Iterator[str]:
    if not (data / shard.path).is_file():
        return
    number = -1
    try:
        for number, raw in enumerate(raw_records(data, shard)):
            where = f"{shard.path}, record {number}"
            try:
                record = decode_record(raw, manifest.tile_size)
            except ValueError as error:
                yield f"{where}: expected a tile as in mmls_tf.schema, found {error}"
                continue
            entry = entries.get(record.key)
            if entry is None or record.key in seen or entry.split != split.name:
                yield f"{where}: {record.key} is not expected here"
            elif hashlib.sha256(raw).hexdigest() != entry.record_sha256:
                yield f"{where}: {record.key} is not what the manifest's SHA-256 says"
            else:
                yield from (f"{where}, {record.key}: {text}" for text in _content_problems(record, entry))
            seen.add(record.key)
    except DatasetError as error:
        yield str(error)
    if number + 1 != shard.records:
        yield f"{shard.path}: expected {shard.records} records, found {number + 1}"


def _content_problems(record: Record, entry: TileEntry) -> Iterator[str]:
    if not np.isfinite(record.image).all():
        yield "expected finite values"
    if int(record.valid.sum()) != entry.valid_pixels:
        yield f"expected {entry.valid_pixels} valid pixels, found {int(record.valid.sum())}"
    if (record.mask is None) != (entry.foreground_pixels is None):
        yield "expected a mask in both record and manifest, or in neither"
    elif record.mask is not None and int((record.mask == 1).sum()) != entry.foreground_pixels:
        yield f"expected {entry.foreground_pixels} landslide pixels, found {int((record.mask == 1).sum())}"


def _source_problems(
    record: Record, entry: TileEntry, manifest: Manifest, src: Path, drivers: str
) -> Iterator[str]:
    mask = None if entry.mask is None else src / entry.mask
    split, _, stem = entry.key.partition("/")
    try:
        tile = read_tile(
            Source(split, stem, src / entry.image, mask),
            layout_named(manifest.layout),
            manifest.tile_size,
            drivers=drivers,
            check_order=False,
        )
    except InputError as error:
        yield from map(str, error.issues)
        return
    for path, stored, found in (
        (entry.image, entry.image_sha256, tile.image_sha256),
        (entry.mask, entry.mask_sha256, tile.mask_sha256),
    ):
        if stored != found:
            yield f"{path}: the file is not the one that was built"
    if not (np.array_equal(record.image, tile.image) and np.array_equal(record.valid, tile.valid)):
        yield f"{entry.image}: the record holds another image"
    if record.mask is not None and tile.mask is not None and not np.array_equal(record.mask, tile.mask):
        yield f"{entry.mask}: the record holds another mask"
