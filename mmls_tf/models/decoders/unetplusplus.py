"""The nested dense skips of UNet++ (Zhou et al. 2018, arXiv 1807.10165), without deep supervision."""

from __future__ import annotations

from typing import Any

from keras import layers

from mmls_tf.models.decoders.unet import expand
from mmls_tf.models.layers import conv_block, upsample
from mmls_tf.models.pyramid import Pyramid


def unetplusplus_decoder(pyramid: Pyramid, filters: int) -> tuple[Any, int]:
    """Node (stride, column) sees all nodes before it at its stride and the one before it a level below (eq. 1).

    The last node at a stride is as wide as in a U-Net, `filters` times the stride; those before it are as wide as the
    encoder's features at that stride. Strides finer than the encoder's are reached without skips.
    """
    strides = sorted(pyramid)
    nodes = {stride: [pyramid[stride]] for stride in strides}
    for column in range(1, len(strides)):
        for row in range(len(strides) - column):
            stride, below = strides[row : row + 2]
            name = f"x{stride}_{column}"
            deeper = upsample(nodes[below][column - 1], below // stride, f"{name}_resize")
            x = layers.Concatenate(name=f"{name}_skips")([deeper, *nodes[stride]])
            last = row + column == len(strides) - 1
            width = filters * stride if last else pyramid[stride].shape[-1]
            nodes[stride].append(conv_block(x, width, name))
    finest = strides[0]
    return expand(nodes[finest][-1], finest, {}, filters), 1
