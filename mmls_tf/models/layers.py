"""Layers that every architecture shares."""

from __future__ import annotations

from typing import Any

from keras import layers

from mmls_tf.errors import UsageError

# Keras's default of 0.99 forgets far too slowly for epochs of 20 to 30 steps: validation stays erratic.
BATCH_NORM_MOMENTUM = 0.9


def conv_block(x: Any, filters: int, name: str, dilation: int = 1) -> Any:
    """Twice: 3 x 3 convolution without bias, batch normalisation, ReLU."""
    for part in ("a", "b"):
        x = layers.Conv2D(
            filters,
            3,
            padding="same",
            dilation_rate=dilation,
            use_bias=False,
            kernel_initializer="he_normal",
            name=f"{name}_conv_{part}",
        )(x)
        x = layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM, name=f"{name}_norm_{part}")(x)
        x = layers.ReLU(name=f"{name}_relu_{part}")(x)
    return x


def upsample(x: Any, factor: int, name: str) -> Any:
    """Bilinear upsampling, pinned to float32: XLA crashes on its gradient in bfloat16."""
    if factor == 1:
        return x
    return layers.UpSampling2D(factor, interpolation="bilinear", dtype="float32", name=name)(x)


def logits_head(x: Any, stride: int) -> Any:
    """1 x 1 convolution to one float32 logit, brought from `stride` to full resolution."""
    return upsample(layers.Conv2D(1, 1, dtype="float32", name="logits")(x), stride, "logits_resize")


def require_multiple(size: int, stride: int) -> None:
    """Raises UsageError unless `size` is a multiple of `stride`."""
    if size % stride:
        raise UsageError(
            f"tiles of {size} x {size} pixels: expected a multiple of the model's stride, {stride}"
        )
