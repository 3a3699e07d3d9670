"""Random changes of training batches, with stateless seeds: the step number decides, never the thread."""

from __future__ import annotations

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
