"""Layers that every architecture shares."""

from __future__ import annotations

from typing import Any

from keras import initializers, layers

from mmls_tf.errors import UsageError
from mmls_tf.models.atrous import AtrousConv2D
from mmls_tf.models.batch_norm import FusedBatchNormalization

# Keras's default of 0.99 forgets far too slowly for epochs of 20 to 30 steps: validation stays erratic.
BATCH_NORM_MOMENTUM = 0.9


def conv_norm_relu(
    x: Any, filters: int, size: int, name: str, dilation: int = 1, separable: bool = False
) -> Any:
    """`size` x `size` convolution without bias, batch normalisation, ReLU; weights as of He et al. 2015.

    Args:
      separable: every channel is convolved by itself first, then they are mixed pixel by pixel (Chollet 2017, arXiv
        1610.02357).
    """
    shared = {"padding": "same", "dilation_rate": dilation, "use_bias": False, "name": f"{name}_conv"}
    if separable:
        x = layers.SeparableConv2D(
            filters,
            size,
            # One channel in, one out, yet Keras counts all channels as "in": "out" has the fan that is meant.
            depthwise_initializer=initializers.VarianceScaling(2.0, mode="fan_out"),
            pointwise_initializer="he_normal",
            **shared,
        )(x)
    else:
        x = AtrousConv2D(filters, size, kernel_initializer="he_normal", **shared)(x)
    x = FusedBatchNormalization(momentum=BATCH_NORM_MOMENTUM, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def conv_block(x: Any, filters: int, name: str, dilation: int = 1) -> Any:
    """Twice: 3 x 3 convolution without bias, batch normalisation, ReLU."""
    for part in ("a", "b"):
        x = conv_norm_relu(x, filters, 3, f"{name}_{part}", dilation)
    return x


def pooled_conv_relu(x: Any, filters: int, name: str) -> Any:
    """1 x 1 convolution with bias, ReLU: for one value a tile, too few for the statistics of a batch."""
    return layers.Conv2D(filters, 1, activation="relu", kernel_initializer="he_normal", name=f"{name}_conv")(
        x
    )


def upsample(x: Any, factor: int, name: str) -> Any:
    """Bilinear upsampling, pinned to float32: XLA crashes on its gradient in bfloat16."""
    if factor == 1:
        return x
    return layers.UpSampling2D(factor, interpolation="bilinear", dtype="float32", name=name)(x)


def logits_head(x: Any, stride: int, name: str = "logits") -> Any:
    """1 x 1 convolution to one float32 logit, brought from `stride` to full resolution."""
    return upsample(layers.Conv2D(1, 1, dtype="float32", name=name)(x), stride, f"{name}_resize")


def require_multiple(size: int, stride: int) -> None:
    """Raises UsageError unless `size` is a multiple of `stride`."""
    if size % stride:
        raise UsageError(
            f"tiles of {size} x {size} pixels: expected a multiple of the model's stride, {stride}"
        )
