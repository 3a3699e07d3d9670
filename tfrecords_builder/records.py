"""Tile -> bytes of one record, as `mmls_tf.schema` describes it."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfrecords_builder.tiles import Tile


def encode_record(tile: Tile) -> bytes:
    """Returns the serialized `tf.train.Example` of a tile: the same tile always gives the same bytes."""
    features = {
        "key": tile.key.encode(),
        "image": np.ascontiguousarray(tile.image, "<f4").tobytes(),
        "valid": np.ascontiguousarray(tile.valid, np.uint8).tobytes(),
    }
    if tile.mask is not None:
        features["mask"] = np.ascontiguousarray(tile.mask, np.uint8).tobytes()
    if tile.geotransform is not None:
        features["geotransform"] = np.asarray(tile.geotransform, "<f8").tobytes()
    example = tf.train.Example(
        features=tf.train.Features(
            feature={
                name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
                for name, value in features.items()
            }
        )
    )
    return bytes(example.SerializeToString(deterministic=True))
