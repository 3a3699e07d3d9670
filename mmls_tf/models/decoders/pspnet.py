"""Pyramid pooling (Zhao et al. 2017, arXiv 1612.01105, section 3.2)."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from mmls_tf.models.layers import conv_norm_relu, pooled_conv_relu
from mmls_tf.models.pyramid import Pyramid

BINS = (1, 2, 3, 6)


def pspnet_decoder(pyramid: Pyramid, filters: int) -> tuple[Any, int]:
    """Features of the coarsest level beside their means over 1, 2 x 2, 3 x 3 and 6 x 6 regions of the tile.

    Each grid of means is brought to a quarter of the channels, as there are four, and back to the size of the level;
    a 1 x 1 convolution to 32 * `filters` channels follows.
    """
    stride = max(pyramid)
    x = pyramid[stride]
    size, channels = x.shape[1], x.shape[-1]
    branches = [x, *(_branch(x, bins, size, channels // len(BINS)) for bins in BINS)]
    x = layers.Concatenate(name="pyramid")(branches)
    return conv_norm_relu(x, 32 * filters, 1, "bottleneck"), stride


def _branch(x: Any, bins: int, size: int, channels: int) -> Any:
    name = f"bins{bins}"
    x = AveragePoolTo(bins, dtype="float32", name=f"{name}_pool")(x)
    x = pooled_conv_relu(x, channels, name) if bins == 1 else conv_norm_relu(x, channels, 1, name)
    return BilinearTo(size, dtype="float32", name=f"{name}_resize")(x)


class _Separable(layers.Layer):
    """Multiplies height and width by a fixed matrix [size, size before]: static shapes, and products only."""

    def __init__(self, size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = size

    def matrix(self, before: int) -> np.ndarray:
        """Returns float32 [size, before]; every row sums to 1."""
        raise NotImplementedError

    def call(self, x: Any) -> Any:
        """Returns [batch, size, size, channels] of a square x [batch, before, before, channels]."""
        matrix = ops.convert_to_tensor(self.matrix(x.shape[1]), dtype=self.compute_dtype)
        return ops.einsum("pi,qj,bijc->bpqc", matrix, matrix, x)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns the shape of the output."""
        return (input_shape[0], self.size, self.size, input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        """Returns what the constructor takes."""
        return {**super().get_config(), "size": self.size}


@keras.saving.register_keras_serializable("mmls_tf")
class AveragePoolTo(_Separable):
    """Adaptive average pooling: region i of n covers the rows from floor(i h / n) to ceil((i + 1) h / n).

    Regions overlap where n does not divide the height h; where n > h, a row serves several regions.
    """

    def matrix(self, before: int) -> np.ndarray:
        """Returns the mean over each region."""
        matrix = np.zeros((self.size, before), np.float32)
        for region in range(self.size):
            start, end = region * before // self.size, -(-(region + 1) * before // self.size)
            matrix[region, start:end] = 1.0 / (end - start)
        return matrix


@keras.saving.register_keras_serializable("mmls_tf")
class BilinearTo(_Separable):
    """Bilinear resizing between pixel centres, edges repeated, to a size that need be no multiple."""

    def matrix(self, before: int) -> np.ndarray:
        """Returns the weights of the two nearest rows for each row."""
        centre = np.clip((np.arange(self.size) + 0.5) * before / self.size - 0.5, 0, before - 1)
        distance = np.abs(centre[:, None] - np.arange(before))
        return np.maximum(0.0, 1.0 - distance).astype(np.float32)
