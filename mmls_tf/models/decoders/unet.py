"""The expanding path of U-Net (Ronneberger, Fischer and Brox 2015), with bilinear upsampling."""

from __future__ import annotations

from typing import Any

from keras import layers

from mmls_tf.models.layers import conv_block, upsample
from mmls_tf.models.pyramid import Pyramid


def unet_decoder(pyramid: Pyramid, filters: int) -> tuple[Any, int]:
    """Doubles the resolution until it is full, beside the encoder's features wherever there are any.

    Args:
      filters: of the last block, at full resolution; one at stride s has s times as many, so 16 gives 256, 128, 64,
        32 and 16, the widths that U-Nets over pretrained encoders commonly have.
    """
    coarsest = max(pyramid)
    return expand(pyramid[coarsest], coarsest, pyramid, filters), 1


def expand(x: Any, stride: int, skips: Pyramid, filters: int) -> Any:
    """Goes from `stride` to full resolution by the blocks of a U-Net; those at strides not in `skips` have no skip."""
    while stride > 1:
        stride //= 2
        x = upsample(x, 2, f"up{stride}_resize")
        if stride in skips:
            x = layers.Concatenate(name=f"skip{stride}")([x, skips[stride]])
        x = conv_block(x, filters * stride, f"up{stride}")
    return x
