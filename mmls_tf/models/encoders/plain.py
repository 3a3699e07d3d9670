"""The contracting path of U-Net (Ronneberger, Fischer and Brox 2015), with same padding and batch normalisation."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from mmls_tf.models.layers import conv_block
from mmls_tf.models.pyramid import EncoderRequest

STRIDES = (1, 2, 4, 8, 16)


def plain_encoder(request: EncoderRequest) -> keras.Model:
    """Builds five levels of two convolutions each; filters double at every level."""
    image = keras.Input((request.tile_size, request.tile_size, request.bands), name="image")
    x, features = image, list[Any]()
    coarsest = request.output_stride or STRIDES[-1]
    for level, stride in enumerate(STRIDES):
        if level and stride <= coarsest:
            x = layers.MaxPooling2D(name=f"pool{level}")(x)
        dilation = max(1, stride // coarsest)
        x = conv_block(x, request.filters * 2**level, f"level{level}", dilation)
        if stride > coarsest:
            features.pop()
        features.append(x)
    return keras.Model(image, features, name=request.name)
