"""Tile <-> bytes of one record, as `mmls_tf.schema` describes it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mmls_tf.bands import BANDS
from mmls_tf.example import Buffer, decode_example, encode_example
from mmls_tf.raster.raster import ByteArray, FloatArray
from tfrecords_builder.surroundings import Halo
from tfrecords_builder.tiles import Tile


@dataclass(frozen=True)
class Record:
    """A decoded record: arrays as in `tfrecords_builder.tiles.Tile`."""

    key: str
    image: FloatArray
    valid: ByteArray
    mask: ByteArray | None
    geotransform: tuple[float, ...] | None


def encode_record(tile: Tile, halo: Halo | None = None) -> bytes:
    """Returns the serialized `tf.train.Example` of a tile: the same tile always gives the same bytes."""
    features: dict[str, Buffer] = {
        "key": tile.key.encode(),
        "image": _buffer(tile.image, "<f4"),
        "valid": _buffer(tile.valid, "u1"),
    }
    if tile.mask is not None:
        features["mask"] = _buffer(tile.mask, "u1")
    if tile.geotransform is not None:
        features["geotransform"] = _buffer(np.asarray(tile.geotransform), "<f8")
    if halo is not None:
        features["halo_image"] = _buffer(halo.image, "<f4")
        features["halo_valid"] = _buffer(halo.valid, "u1")
    return encode_example(features)


def decode_record(record: bytes, tile_size: int) -> Record:
    """Reads what `encode_record` wrote.

    Raises:
      ValueError: no Example of byte strings, or a feature is missing or has another length.
    """
    values = decode_example(record)
    plane = (tile_size, tile_size)
    if not {"key", "image", "valid"} <= values.keys():
        raise ValueError(f"features {', '.join(sorted(values))}")
    return Record(
        key=values["key"].decode(),
        image=np.frombuffer(values["image"], "<f4").reshape(*plane, len(BANDS)),
        valid=np.frombuffer(values["valid"], np.uint8).reshape(plane),
        mask=np.frombuffer(values["mask"], np.uint8).reshape(plane) if "mask" in values else None,
        geotransform=tuple(np.frombuffer(values["geotransform"], "<f8").tolist())
        if "geotransform" in values
        else None,
    )


def _buffer(array: npt.NDArray[np.generic], dtype: str) -> memoryview:
    """Returns the bytes of an array in C order, without a copy where it is so already."""
    return np.ascontiguousarray(array, dtype).data.cast("B")
