"""Ways to damage a TIFF: bytes, lengths, tags, and files that pose as one."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np

WIDE_TAGS = (
    256,
    257,
    258,
    259,
    262,
    266,
    273,
    277,
    278,
    279,
    284,
    317,
    322,
    323,
    324,
    325,
    339,
    254,
    42113,
    34735,
)
HUGE = (0, 1, 2, 3, 7, 31, 33, 255, 65535, 65536, 2**20, 2**31 - 1, 2**31, 2**32 - 1)
VRT = """<VRTDataset rasterXSize="{size}" rasterYSize="{size}">{bands}</VRTDataset>"""
VRT_BAND = """<VRTRasterBand dataType="Float32" band="{band}"><SimpleSource>
<SourceFilename relativeToVRT="{relative}">{name}</SourceFilename><SourceBand>1</SourceBand>
</SimpleSource></VRTRasterBand>"""
OUTSIDE = (
    "/etc/passwd",
    "/vsicurl/http://127.0.0.1:9/x.tif",
    "http://127.0.0.1:9/x.tif",
    "/dev/zero",
    "t.tif",
)


def mutate(rng: np.random.Generator, content: bytes) -> bytes:
    """Returns a damaged copy: one to three mutations, mostly one, each of a random kind."""
    data = bytearray(content)
    for _ in range(int(rng.choice([1, 1, 2, 3]))):
        data = MUTATIONS[int(rng.integers(len(MUTATIONS)))](rng, data)
    return bytes(data)


def _flip(rng: np.random.Generator, data: bytearray) -> bytearray:
    for place in rng.integers(0, max(1, len(data)), int(rng.integers(1, 9))):
        if place < len(data):
            data[place] ^= int(rng.integers(1, 256))
    return data


def _flip_head(rng: np.random.Generator, data: bytearray) -> bytearray:
    for place in rng.integers(0, 300, int(rng.integers(1, 5))):
        if place < len(data):
            data[place] = int(rng.integers(0, 256))
    return data


def _truncate(rng: np.random.Generator, data: bytearray) -> bytearray:
    return data[: int(rng.integers(0, len(data) + 1))]


def _grow(rng: np.random.Generator, data: bytearray) -> bytearray:
    return data + bytes(rng.integers(0, 256, int(rng.integers(1, 5000)), np.uint8))


def _zero(rng: np.random.Generator, data: bytearray) -> bytearray:
    start = int(rng.integers(0, len(data) + 1))
    stop = min(len(data), start + int(rng.integers(1, 2000)))
    data[start:stop] = bytes(stop - start)
    return data


def _copy(rng: np.random.Generator, data: bytearray) -> bytearray:
    length = int(rng.integers(1, 200))
    source, target = (int(rng.integers(0, max(1, len(data) - length))) for _ in range(2))
    data[target : target + length] = data[source : source + length]
    return data


def _entries(data: bytearray) -> tuple[str, bool, list[int]]:
    """Byte order, BigTIFF or not, and where the tags of up to 40 pages lie."""
    order, big = (">" if data[:2] == b"MM" else "<"), data[2:4] in (b"+\0", b"\0+")
    places: list[int] = []
    try:
        (offset,) = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)
        for _ in range(40):
            if not offset:
                break
            (count,) = struct.unpack_from(order + ("Q" if big else "H"), data, offset)
            head, step = (8, 20) if big else (2, 12)
            places += [offset + head + step * index for index in range(min(count, 40))]
            (offset,) = struct.unpack_from(order + ("Q" if big else "I"), data, offset + head + step * count)
    except (struct.error, OverflowError):
        pass
    return order, big, [place for place in places if place + 20 <= len(data)]


def _retag(rng: np.random.Generator, data: bytearray) -> bytearray:
    """Changes type, count, value or code of a tag, mostly of one that decides how pixels are decoded."""
    order, big, places = _entries(data)
    telling = [place for place in places if struct.unpack_from(order + "H", data, place)[0] in WIDE_TAGS]
    places = telling if telling and rng.random() < 0.8 else places
    if not places:
        return _flip(rng, data)
    place = places[int(rng.integers(len(places)))]
    number = "Q" if big else "I"
    what = int(rng.integers(4))
    value = int(rng.choice(HUGE)) if rng.random() < 0.7 else int(rng.integers(0, 2 * len(data)))
    if what == 0:
        struct.pack_into(order + "H", data, place + 2, int(rng.integers(0, 20)))
    elif what == 1:
        struct.pack_into(order + number, data, place + 4, value)
    elif what == 2:
        short = struct.unpack_from(order + "H", data, place + 2)[0] == 3
        struct.pack_into(order + ("H" if short else number), data, place + (12 if big else 8), value % 65536)
        if not short:
            struct.pack_into(order + number, data, place + (12 if big else 8), value)
    else:
        struct.pack_into(order + "H", data, place, int(rng.choice(WIDE_TAGS)))
    return data


def _pose(rng: np.random.Generator, data: bytearray) -> bytearray:
    """A VRT that poses as a TIFF and names files outside."""
    name, count = str(rng.choice(OUTSIDE)), int(rng.choice([1, 7]))
    bands = "".join(
        VRT_BAND.format(band=band + 1, name=name, relative=int(rng.integers(2))) for band in range(count)
    )
    return bytearray(VRT.format(size=32, bands=bands).encode())


Mutation = Callable[[np.random.Generator, bytearray], bytearray]
MUTATIONS: list[Mutation] = [
    _flip, _flip_head, _flip_head, _truncate, _grow, _zero, _copy, _retag, _retag, _retag, _retag, _pose,
]  # fmt: skip
