"""Atrous spatial pyramid pooling (Chen et al. 2017, arXiv 1706.05587, section 3.3)."""

from __future__ import annotations

from typing import Any

from keras import layers

from mmls_tf.models.layers import conv_norm_relu, pooled_conv_relu
from mmls_tf.models.pyramid import Pyramid

_RATES = (12, 24, 36)  # of the paper at output stride 8


def deeplabv3_decoder(pyramid: Pyramid, filters: int) -> tuple[Any, int]:
    """The coarsest level under the pyramid and a 3 x 3 convolution, both of 16 * `filters` channels."""
    stride = max(pyramid)
    x = atrous_pyramid(pyramid[stride], 16 * filters, _RATES)
    return conv_norm_relu(x, 16 * filters, 3, "decoder"), stride


def atrous_pyramid(x: Any, filters: int, rates: tuple[int, ...], separable: bool = False) -> Any:
    """1 x 1 and dilated 3 x 3 convolutions and the mean of the tile, side by side, then mixed by a 1 x 1 convolution.

    On a map no larger than a rate, such as 16 x 16 for tiles of 128 pixels at stride 8, all but the middle of that
    convolution sees padding: it acts as a 1 x 1 convolution (section 3.3 and figure 4 of the paper).
    """
    branches = [conv_norm_relu(x, filters, 1, "aspp1")]
    for rate in rates:
        branches.append(conv_norm_relu(x, filters, 3, f"aspp{rate}", rate, separable))
    branches.append(_image_pooling(x, filters))
    x = layers.Concatenate(name="aspp")(branches)
    return conv_norm_relu(x, filters, 1, "aspp_mixed")


def _image_pooling(x: Any, filters: int) -> Any:
    size = x.shape[1]
    x = layers.GlobalAveragePooling2D(keepdims=True, dtype="float32", name="image_pool")(x)
    x = pooled_conv_relu(x, filters, "image_pool")
    # Of a single value the nearest neighbour is what bilinear interpolation would give.
    return layers.UpSampling2D(size, interpolation="nearest", name="image_pool_resize")(x)
