"""The decoder of DeepLabv3+ (Chen et al. 2018, arXiv 1802.02611, section 3)."""

from __future__ import annotations

from typing import Any

from keras import layers

from mmls_tf.models.decoders.deeplabv3 import atrous_pyramid
from mmls_tf.models.layers import conv_norm_relu, upsample
from mmls_tf.models.pyramid import Pyramid

LOW_LEVEL_STRIDE = 4
_RATES = (6, 12, 18)  # of the paper at output stride 16


def deeplabv3plus_decoder(pyramid: Pyramid, filters: int) -> tuple[Any, int]:
    """A separable atrous pyramid of 16 * `filters` channels, refined by 3 * `filters` of the level at stride 4.

    With 16 filters these are 256 and 48, the paper's. After the pyramid and after the concatenation stands one
    separable 3 x 3 convolution each.
    """
    coarsest = max(pyramid)
    x = atrous_pyramid(pyramid[coarsest], 16 * filters, _RATES, separable=True)
    x = conv_norm_relu(x, 16 * filters, 3, "context", separable=True)
    x = upsample(x, coarsest // LOW_LEVEL_STRIDE, "context_resize")
    low_level = conv_norm_relu(pyramid[LOW_LEVEL_STRIDE], 3 * filters, 1, "low_level")
    x = layers.Concatenate(name="low_level_skip")([x, low_level])
    return conv_norm_relu(x, 16 * filters, 3, "decoder", separable=True), LOW_LEVEL_STRIDE
