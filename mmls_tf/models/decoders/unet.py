"""The expanding path of U-Net (Ronneberger, Fischer and Brox 2015), with bilinear upsampling."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from keras import layers

from mmls_tf.models.layers import conv_block, upsample
from mmls_tf.models.pyramid import Pyramid


def unet_decoder(pyramid: Pyramid, filters: int) -> tuple[Any, int]:
    """Goes from the coarsest level to the finest; each has as many filters as its skip."""
    strides = sorted(pyramid, reverse=True)
    x = pyramid[strides[0]]
    for below, stride in pairwise(strides):
        skip = pyramid[stride]
        x = layers.Concatenate(name=f"skip{stride}")(
            [upsample(x, below // stride, f"up{stride}_resize"), skip]
        )
        x = conv_block(x, skip.shape[-1], f"up{stride}")
    return x, strides[-1]
