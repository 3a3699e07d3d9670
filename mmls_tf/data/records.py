"""Record bytes -> tensors of static shape, as `mmls_tf.schema` describes them."""

from __future__ import annotations

import tensorflow as tf

from mmls_tf.bands import BANDS
from mmls_tf.schema import UNKNOWN_LABEL


def parse_halo(record: tf.Tensor, tile_size: int, halo: int) -> dict[str, tf.Tensor]:
    """Parses the surroundings stored with a tile (builder's `--halo`).

    Returns:
      image: float32 [tile_size + 2 halo, tile_size + 2 halo, 7], canonical values; the middle is the tile itself.
      valid: uint8 [tile_size + 2 halo, tile_size + 2 halo], 0 where nothing is known.
    """
    spec = {name: tf.io.FixedLenFeature([], tf.string) for name in ("halo_image", "halo_valid")}
    features = tf.io.parse_single_example(record, spec)
    plane = [tile_size + 2 * halo] * 2
    return {
        "image": tf.reshape(tf.io.decode_raw(features["halo_image"], tf.float32), [*plane, len(BANDS)]),
        "valid": tf.reshape(tf.io.decode_raw(features["halo_valid"], tf.uint8), plane),
    }


def parse_record(record: tf.Tensor, tile_size: int) -> dict[str, tf.Tensor]:
    """Parses one record.

    Returns:
      image: float32 [tile_size, tile_size, 7], canonical values, 0.0 where invalid.
      valid: uint8 [tile_size, tile_size], 1 where every band has data.
      mask: uint8 [tile_size, tile_size], 0, 1 or 255 (unknown); all 255 if the record has no mask.
      key: string [], SPLIT/STEM.
    """
    pixels = tile_size * tile_size
    spec = {
        "key": tf.io.FixedLenFeature([], tf.string),
        "image": tf.io.FixedLenFeature([], tf.string),
        "valid": tf.io.FixedLenFeature([], tf.string),
        "mask": tf.io.FixedLenFeature([], tf.string, default_value=bytes([UNKNOWN_LABEL]) * pixels),
    }
    features = tf.io.parse_single_example(record, spec)
    plane = [tile_size, tile_size]
    return {
        "image": tf.reshape(tf.io.decode_raw(features["image"], tf.float32), [*plane, len(BANDS)]),
        "valid": tf.reshape(tf.io.decode_raw(features["valid"], tf.uint8), plane),
        "mask": tf.reshape(tf.io.decode_raw(features["mask"], tf.uint8), plane),
        "key": features["key"],
    }
