"""The directories of a TIFF, read with bounds and without trust.

The libraries that decode pixels allocate what a header asks for. So the header is read here first, in plain
Python: every offset must lie in the file, every count is bounded, and what the pixels would take is known before
anything is decoded.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from mmls_tf.raster.raster import RasterError

Result = TypeVar("Result")

MOST_PAGES = 65_536  # rows of the largest tile that somebody may stack
_MOST_TAGS = 256
_MOST_TAG_BYTES = 4 << 20
_TYPE_CODES = {3: "H", 4: "I", 16: "Q"}
_TYPE_BYTES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
_INTEGERS = frozenset((3, 4, 16))

SUBFILE, WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 254, 256, 257, 258, 259, 262, 266
STRIP_OFFSETS, SAMPLES, ROWS_PER_STRIP, STRIP_BYTES, PLANAR, PREDICTOR = 273, 277, 278, 279, 284, 317
TILE_WIDTH, TILE_LENGTH, TILE_OFFSETS, TILE_BYTES, SAMPLE_FORMAT = 322, 323, 324, 325, 339
EXTRA_SAMPLES = 338
_DEFAULTS = {
    SUBFILE: 0,
    BITS: 1,
    COMPRESSION: 1,
    FILL_ORDER: 1,
    SAMPLES: 1,
    PLANAR: 1,
    PREDICTOR: 1,
    SAMPLE_FORMAT: 1,
}


class HeaderError(ValueError):
    """A header that cannot be believed; the text says why."""


@dataclass(frozen=True)
class Directory:
    """One page: where its tags lie; they are looked at when asked for.

    Attributes:
      content: the whole file.
      order: "<" or ">", the byte order of all its numbers.
      start: where its first tag lies.
      count: number of its tags.
      big: True in a BigTIFF.
    """

    content: bytes
    order: str
    start: int
    count: int
    big: bool

    @property
    def entry_bytes(self) -> int:
        """Bytes that one tag takes: code, type, count, and the value or where it lies."""
        return 20 if self.big else 12

    @cached_property
    def tags(self) -> dict[int, tuple[int, int, int]]:
        """Tag code -> (type, count, where its value lies)."""
        step, inline = self.entry_bytes, 8 if self.big else 4
        entries = self.content[self.start : self.start + step * self.count]
        found: dict[int, tuple[int, int, int]] = {}
        for place, (code, kind, count, value) in enumerate(
            struct.iter_unpack(f"{self.order}{'HHQQ' if self.big else 'HHII'}", entries)
        ):
            if code in found:
                raise HeaderError(f"tag {code} twice")
            here = self.start + step * (place + 1) - inline
            found[code] = (kind, count, here if _TYPE_BYTES.get(kind, 0) * count <= inline else value)
        return found

    def raw(self, code: int) -> bytes | None:
        """Returns the bytes of a tag's value, None where there is no such tag."""
        if code not in self.tags:
            return None
        kind, count, offset = self.tags[code]
        size = _TYPE_BYTES.get(kind, 0) * count
        if not size or size > _MOST_TAG_BYTES or offset + size > len(self.content):
            raise HeaderError(
                f"tag {code} of {size} bytes at {offset}, beyond the end or without a known type"
            )
        return self.content[offset : offset + size]

    def numbers(self, code: int) -> tuple[int, ...]:
        """Returns a tag's whole numbers; its default where TIFF gives one, () where it is absent."""
        value = self.raw(code)
        if value is None:
            return (_DEFAULTS[code],) if code in _DEFAULTS else ()
        kind, count, _ = self.tags[code]
        if kind not in _INTEGERS or (kind == 16 and not self.big):
            raise HeaderError(f"tag {code} of type {kind}, which holds no whole numbers")
        return struct.unpack(f"{self.order}{count}{_TYPE_CODES[kind]}", value)

    def number(self, code: int) -> int:
        """Returns a tag's one whole number, or the first of several equal ones."""
        values = self.numbers(code)
        if not values or any(value != values[0] for value in values):
            raise HeaderError(f"tag {code} with {'different values' if values else 'no value'}")
        return values[0]

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, samples a pixel)."""
        return self.number(LENGTH), self.number(WIDTH), self.number(SAMPLES)

    @property
    def is_overview(self) -> bool:
        """True for a reduced copy of another page."""
        return bool(self.number(SUBFILE) & 1)


def read_directories(content: bytes, most: int = MOST_PAGES) -> list[Directory]:
    """Returns the first `most` pages of a TIFF, classic or BigTIFF, of either byte order.

    Raises:
      HeaderError: not a TIFF, or its directories leave the file, run in a circle, or have no end.
    """
    order, big = _signature(content)
    size, head, numbers = (20, 8, ("Q", "Q")) if big else (12, 2, ("H", "I"))
    read_count, read_next = (struct.Struct(f"{order}{number}").unpack_from for number in numbers)
    pages: list[Directory] = []
    (offset,) = read_next(content, 8 if big else 4)
    seen: set[int] = set()
    while offset and len(pages) < most:
        if offset in seen or len(seen) >= MOST_PAGES:
            raise HeaderError(
                "pages that run in a circle" if offset in seen else f"more than {MOST_PAGES} pages"
            )
        seen.add(offset)
        try:
            (count,) = read_count(content, offset)
            if not 0 < count <= _MOST_TAGS:
                raise HeaderError(f"a page with {count} tags")
            pages.append(Directory(content, order, offset + head, count, big))
            (offset,) = read_next(content, offset + head + size * count)
        except (struct.error, OverflowError):
            raise HeaderError(f"a page at byte {offset}, beyond the end of the file") from None
    if not pages:
        raise HeaderError("no page")
    return pages


def read_checked(path: object, content: bytes, expected: str, most: int = MOST_PAGES) -> list[Directory]:
    """Returns `read_directories`, with its error turned into a RasterError about `path`."""
    return checked(path, f"a readable TIFF with {expected}", lambda: read_directories(content, most))


def checked(path: object, expected: str, read: Callable[[], Result]) -> Result:
    """Returns what `read` returns, with a HeaderError turned into a RasterError about `path`."""
    try:
        return read()
    except HeaderError as error:
        raise RasterError(path, expected, f"something else ({error})") from error


def _signature(content: bytes) -> tuple[str, bool]:
    order = {b"II": "<", b"MM": ">"}.get(content[:2])
    version = struct.unpack_from(f"{order}H", content, 2)[0] if order and len(content) >= 8 else 0
    if order is None or version not in (42, 43) or (version == 43 and len(content) < 16):
        raise HeaderError("not a TIFF: its first bytes are not recognised")
    if version == 43 and struct.unpack_from(f"{order}HH", content, 4) != (8, 0):
        raise HeaderError("a BigTIFF whose offsets are not of 8 bytes")
    return order, version == 43
