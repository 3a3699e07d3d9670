"""U-Net (Ronneberger, Fischer and Brox 2015), with same padding, batch normalisation and bilinear upsampling."""

from __future__ import annotations

import keras
from keras import layers

from mmls_tf.models.layers import conv_block, logits_head, require_multiple, upsample

LEVELS = 4


def unet(tile_size: int, bands: int, filters: int) -> keras.Model:
    """Builds a U-Net with four halvings.

    Args:
      tile_size: height and width of the input, a multiple of 16.
      bands: channels of the input.
      filters: filters of the first level; doubled at every halving.

    Returns:
      A model from float [batch, tile_size, tile_size, bands] to float32 logits [batch, tile_size, tile_size, 1].

    Raises:
      UsageError: `tile_size` is no multiple of 16.
    """
    require_multiple(tile_size, 2**LEVELS)
    image = keras.Input((tile_size, tile_size, bands), name="image")
    x, skips = image, []
    for level in range(LEVELS):
        x = conv_block(x, filters * 2**level, f"down{level}")
        skips.append(x)
        x = layers.MaxPooling2D(name=f"pool{level}")(x)
    x = conv_block(x, filters * 2**LEVELS, "bottom")
    for level in reversed(range(LEVELS)):
        x = layers.Concatenate(name=f"skip{level}")([upsample(x, 2, f"up{level}_resize"), skips[level]])
        x = conv_block(x, filters * 2**level, f"up{level}")
    return keras.Model(image, logits_head(x), name="unet")
