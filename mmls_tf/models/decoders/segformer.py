"""The all-MLP head of SegFormer (Xie et al. 2021, arXiv 2105.15203, section 3.2)."""

from __future__ import annotations

from typing import Any

from keras import layers

from mmls_tf.models.layers import conv_norm_relu, upsample
from mmls_tf.models.pyramid import Pyramid

FINEST = 4


def segformer_decoder(pyramid: Pyramid, filters: int) -> tuple[Any, int]:
    """Every level from stride 4 on, brought linearly to 16 * `filters` channels and to stride 4, and mixed (eq. 4).

    The mixing is normalised, as in the authors' code. With 16 filters the head has the 256 channels of SegFormer-B0.
    """
    levels = []
    for stride in sorted(stride for stride in pyramid if stride >= FINEST):
        level = layers.Dense(16 * filters, name=f"linear{stride}")(pyramid[stride])
        levels.append(upsample(level, stride // FINEST, f"linear{stride}_resize"))
    return conv_norm_relu(layers.Concatenate(name="levels")(levels), 16 * filters, 1, "mixed"), FINEST
