"""Random changes of training batches, with stateless seeds: the step number decides, never the thread."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf


def random_d4(image: tf.Tensor, target: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Applies to each tile one of the eight symmetries of the square, image and target alike.

    Whole batches are cheaper than tiles: three selections between a batch and its mirror image reach all
    eight symmetries with equal probability.

    Args:
      image: [batch, size, size, bands].
      target: [batch, size, size, channels].
      seed: int [2].
    """
    coins = tf.random.stateless_uniform([3, tf.shape(image)[0], 1, 1, 1], seed) < 0.5
    turned = []
    for value in (image, target):
        value = tf.where(coins[0], tf.reverse(value, [1]), value)
        value = tf.where(coins[1], tf.reverse(value, [2]), value)
        turned.append(tf.where(coins[2], tf.transpose(value, [0, 2, 1, 3]), value))
    return turned[0], turned[1]


def drop_bands(
    image: tf.Tensor, seed: tf.Tensor, probability: float, parts: Sequence[Sequence[int]]
) -> tf.Tensor:
    """Takes bands away from tiles, as if they were missing: 0.0 stands for them, the mean of training.

    Each part of each tile goes with the given probability; a tile that would lose every part keeps all.
    This is the modality dropout of Neverova et al. 2016 (arXiv 1501.00102, section 4), in the input.

    Args:
      image: [batch, size, size, bands], normalised.
      seed: int [2].
      parts: which channels go together; each channel is in one of them.
    """
    membership = np.zeros((len(parts), image.shape[-1]), np.float32)
    for part, channels in enumerate(parts):
        membership[part, list(channels)] = 1.0
    gone = tf.random.stateless_uniform([tf.shape(image)[0], len(parts)], seed) < probability
    gone = gone & ~tf.reduce_all(gone, axis=1, keepdims=True)
    kept = tf.matmul(tf.cast(~gone, image.dtype), membership)
    return image * kept[:, None, None, :]
