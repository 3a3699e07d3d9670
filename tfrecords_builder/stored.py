"""Reads a built data set back: for audits and for verification."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mmls_tf.errors import DatasetError
from mmls_tf.schema import MANIFEST_NAME, Manifest, ShardEntry, read_manifest
from mmls_tf.tfrecord import DamageError, read_records
from tfrecords_builder.audit.content import Content, content_of
from tfrecords_builder.records import Record, decode_record


def open_stored(data: Path) -> Manifest:
    """Returns the manifest of the data set in a folder.

    Raises:
      DatasetError: there is none, or it cannot be read.
    """
    path = data / MANIFEST_NAME
    if not path.is_file():
        raise DatasetError(f"--data={data}: expected a data set with {MANIFEST_NAME}, found none")
    try:
        return read_manifest(path)
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"{path}: expected a manifest of this version of the builder, found {error}"
        ) from error


def raw_records(data: Path, shard: ShardEntry) -> Iterator[bytes]:
    """Yields the records of a shard in order.

    Raises:
      DatasetError: the shard is missing or damaged; the message says how many records could be read.
    """
    count = 0
    try:
        for record in read_records(data / shard.path):
            yield record
            count += 1
    except (DamageError, OSError) as error:
        raise DatasetError(
            f"{data / shard.path}: expected {shard.records} records, found damage after {count} ({error})"
        ) from error


def stored_records(data: Path, manifest: Manifest) -> Iterator[Record]:
    """Yields all records of a data set.

    Raises:
      DatasetError: a shard is damaged, or a record is not what the schema says.
    """
    for split in manifest.splits:
        for shard in split.shards:
            for number, raw in enumerate(raw_records(data, shard)):
                try:
                    yield decode_record(raw, manifest.tile_size)
                except ValueError as error:
                    raise DatasetError(
                        f"{data / shard.path}, record {number}: expected a tile as in mmls_tf.schema, found {error}"
                    ) from error


def stored_contents(data: Path, manifest: Manifest) -> dict[str, Content]:
    """Returns what an audit compares of every tile, by key."""
    deviations = [band.std or 1.0 for band in manifest.statistics]
    return {record.key: content_of(record.image, deviations) for record in stored_records(data, manifest)}
