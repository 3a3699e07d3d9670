"""`tf.train.Example` <-> bytes for features that are one byte string each, without TensorFlow.

The wire format of protocol buffers (https://protobuf.dev/programming-guides/encoding): every field below is
length-delimited, a tag byte, a length and a content. An Example holds Features (field 1), which hold entries of
a map (field 1) of a name (field 1) and a Feature (field 2), which holds a BytesList (field 1) of values (field 1).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

Buffer = bytes | memoryview  # bytes, or a view of single bytes
_FIRST, _SECOND = b"\x0a", b"\x12"  # fields 1 and 2, length-delimited


def encode_example(features: Mapping[str, Buffer]) -> bytes:
    """Returns the serialized Example, its features in the order of their names: the same features, the same bytes."""
    parts: list[Buffer] = []
    for name in sorted(features):
        parts += _entry(name.encode(), features[name])
    return b"".join((_FIRST, _varint(sum(map(len, parts))), *parts))


def decode_example(content: bytes) -> dict[str, bytes]:
    """Reads an Example whose features are one byte string each, in any order.

    Raises:
      ValueError: it is none.
    """
    features: dict[str, bytes] = {}
    for _, message in _fields(memoryview(content), _FIRST):
        for _, entry in _fields(message, _FIRST):
            parts = dict(_fields(entry, _FIRST + _SECOND))
            if len(parts) != 2:
                raise ValueError("no tf.train.Example: an entry without name or feature")
            values = [
                value for _, one in _fields(parts[_SECOND[0]], _FIRST) for _, value in _fields(one, _FIRST)
            ]
            if len(values) != 1:
                raise ValueError(f"no tf.train.Example of single byte strings: {len(values)} values")
            features[bytes(parts[_FIRST[0]]).decode()] = bytes(values[0])
    return features


def _entry(name: bytes, value: Buffer) -> list[Buffer]:
    """Returns one entry of the map in parts, built from the inside out: the value is copied once, not five times."""
    size = _varint(len(value))
    parts: list[Buffer] = [_FIRST, size, value]
    length = len(_FIRST) + len(size) + len(value)
    for tag in (_FIRST, _SECOND):  # the list of values, the feature
        size = _varint(length)
        parts, length = [tag, size, *parts], length + len(tag) + len(size)
    key = b"".join((_FIRST, _varint(len(name)), name))
    return [_FIRST, _varint(length + len(key)), key, *parts]


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def _fields(content: memoryview, allowed: bytes) -> Iterator[tuple[int, memoryview]]:
    """Yields (tag, content) of every field of a message, all of them length-delimited."""
    place = 0
    while place < len(content):
        tag, place = content[place], place + 1
        if tag not in allowed:
            raise ValueError(f"no tf.train.Example of byte strings: tag {tag}")
        length, shift = 0, 0
        while True:
            if place >= len(content) or shift > 63:
                raise ValueError("no tf.train.Example: it ends within a field")
            byte, place = content[place], place + 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        if place + length > len(content):
            raise ValueError("no tf.train.Example: it ends within a field")
        yield tag, content[place : place + length]
        place += length
