"""The TFRecord file format, without TensorFlow: a builder of records need not load 600 MB to write them.

A record is: its length as uint64, the masked CRC-32C of these eight bytes, its bytes, their masked CRC-32C; all
little-endian (https://www.tensorflow.org/tutorials/load_data/tfrecord).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import google_crc32c

_HEAD, _CRC = struct.Struct("<Q"), struct.Struct("<I")


class DamageError(ValueError):
    """A file that is no sequence of whole records; the text says what is wrong."""


def write_records(path: Path, records: Iterable[bytes]) -> tuple[int, str]:
    """Writes a file and returns its number of records and its SHA-256.

    Raises:
      OSError: the disk is full, or the folder cannot be written.
    """
    count, sha256 = 0, hashlib.sha256()
    with path.open("wb") as file:
        for record in records:
            head = _HEAD.pack(len(record))
            for part in (head + _masked_crc(head), record, _masked_crc(record)):
                file.write(part)
                sha256.update(part)
            count += 1
    return count, sha256.hexdigest()


def read_records(path: Path) -> Iterator[bytes]:
    """Yields the records of a file in order.

    Raises:
      DamageError: a checksum does not fit, or the file ends within a record. A file that was cut between two
        records reads short without an error: its length is for the manifest to know.
      OSError: the file cannot be read.
    """
    left = path.stat().st_size
    with path.open("rb") as file:
        while left:
            head = _checked(file, _HEAD.size, left)
            length = _HEAD.unpack(head)[0]
            left -= _HEAD.size + _CRC.size
            yield _checked(file, length, left)
            left -= length + _CRC.size


def _checked(file: BinaryIO, length: int, left: int) -> bytes:
    if length + _CRC.size > left:  # before reading: a damaged length may ask for any amount of memory
        raise DamageError("it ends within a record")
    content = file.read(length)
    if _masked_crc(content) != file.read(_CRC.size):
        raise DamageError("a checksum does not fit")
    return content


def _masked_crc(content: bytes) -> bytes:
    crc = google_crc32c.value(content)
    return _CRC.pack((((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)
