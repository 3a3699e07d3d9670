"""Mix Transformers (MiT), the encoders of SegFormer (Xie et al. 2021, arXiv 2105.15203), in plain Keras layers."""

from __future__ import annotations

from functools import partial
from itertools import accumulate
from typing import Any

import keras
import numpy as np
from keras import layers

from mmls_tf.models.encoders.rebuild import as_encoder
from mmls_tf.models.pyramid import Encoder, EncoderRequest

STRIDES = (4, 8, 16, 32)
_HEADS = (1, 2, 5, 8)
_REDUCTIONS = (8, 4, 2, 1)
_EXPANSION = 4
_LAST_DROP = 0.1  # stochastic depth rises linearly to it
_PATCH_EPSILON, _BLOCK_EPSILON = 1e-5, 1e-6  # of the authors' code


def mit_encoder(depths: tuple[int, ...], widths: tuple[int, ...], request: EncoderRequest) -> keras.Model:
    """Builds four stages of overlapping patches and transformer blocks (section 3.1).

    Beyond the output stride, patches are taken at every position, and patches and 3 x 3 convolutions are dilated;
    attention sees all positions anyway.
    """
    image = keras.Input((request.tile_size, request.tile_size, request.bands), name="image")
    x, features = image, list[Any]()
    drops = np.linspace(0.0, _LAST_DROP, sum(depths))
    firsts = accumulate(depths, initial=0)
    coarsest = request.output_stride or STRIDES[-1]
    for stage, (stride, depth, width, first) in enumerate(zip(STRIDES, depths, widths, firsts, strict=False)):
        x = _patches(x, stage, width, stride, coarsest)
        for index in range(depth):
            name = f"stage{stage}_block{index}"
            x = _attention(x, stage, float(drops[first + index]), name)
            x = _mix_ffn(x, max(1, stride // coarsest), float(drops[first + index]), name)
        x = layers.LayerNormalization(epsilon=_PATCH_EPSILON, name=f"stage{stage}_norm")(x)
        features.append(x)
    return as_encoder(keras.Model(image, features), features, request)


def _patches(x: Any, stage: int, width: int, stride: int, coarsest: int) -> Any:
    size, step = (7, 4) if stage == 0 else (3, 2)
    dilation = max(1, stride // step // coarsest)
    x = layers.ZeroPadding2D(dilation * (size // 2), name=f"stage{stage}_pad")(x)
    strides = step if stride <= coarsest else 1
    convolution = layers.Conv2D(width, size, strides, dilation_rate=dilation, name=f"stage{stage}_patches")
    return layers.LayerNormalization(epsilon=_PATCH_EPSILON, name=f"stage{stage}_patch_norm")(convolution(x))


def _attention(x: Any, stage: int, drop: float, name: str) -> Any:
    """Self-attention, its keys and values from patches of `reduction` x `reduction` positions (eq. 2)."""
    width, heads, reduction = x.shape[-1], _HEADS[stage], _REDUCTIONS[stage]
    queries = values = layers.LayerNormalization(epsilon=_BLOCK_EPSILON, name=f"{name}_norm_a")(x)
    if reduction > 1:
        # "same" matters for maps that are no multiple of the reduction: padding, where positions would be left out.
        values = layers.Conv2D(width, reduction, reduction, "same", name=f"{name}_reduction")(values)
        values = layers.LayerNormalization(epsilon=_PATCH_EPSILON, name=f"{name}_reduction_norm")(values)
    attention = layers.MultiHeadAttention(heads, width // heads, name=f"{name}_attention")
    y = attention(_tokens(queries, f"{name}_queries"), _tokens(values, f"{name}_values"))
    return _add(x, layers.Reshape(x.shape[1:], name=f"{name}_map")(y), drop, f"{name}_a")


def _mix_ffn(x: Any, dilation: int, drop: float, name: str) -> Any:
    """Two dense layers around a 3 x 3 convolution, which tells positions apart (eq. 3)."""
    y = layers.LayerNormalization(epsilon=_BLOCK_EPSILON, name=f"{name}_norm_b")(x)
    y = layers.Dense(_EXPANSION * x.shape[-1], name=f"{name}_expand")(y)
    y = layers.DepthwiseConv2D(3, padding="same", dilation_rate=dilation, name=f"{name}_mix")(y)
    y = layers.Activation("gelu", name=f"{name}_gelu")(y)
    y = layers.Dense(x.shape[-1], name=f"{name}_contract")(y)
    return _add(x, y, drop, f"{name}_b")


def _tokens(x: Any, name: str) -> Any:
    return layers.Reshape((x.shape[1] * x.shape[2], x.shape[3]), name=name)(x)


def _add(x: Any, y: Any, drop: float, name: str) -> Any:
    """Adds a branch, left out for a share of the tiles in training (Huang et al. 2016, arXiv 1603.09382)."""
    if drop:
        y = layers.Dropout(drop, noise_shape=(None, 1, 1, 1), name=f"{name}_drop")(y)
    return layers.Add(name=f"{name}_add")([x, y])


def _encoder(name: str, depths: tuple[int, ...], widths: tuple[int, ...]) -> Encoder:
    return Encoder(name, "ours", STRIDES, False, partial(mit_encoder, depths, widths))


MIXTRANSFORMERS: tuple[Encoder, ...] = (
    _encoder("mit_b0", (2, 2, 2, 2), (32, 64, 160, 256)),
    _encoder("mit_b1", (2, 2, 2, 2), (64, 128, 320, 512)),
    _encoder("mit_b2", (3, 4, 6, 3), (64, 128, 320, 512)),
)
