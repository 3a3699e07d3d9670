"""What an encoder hands to a decoder: features at several strides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

# Layer -> its variables, in the layer's order.
LayerWeights = dict[str, list[np.ndarray]]

# Stride -> features [batch, size / stride, size / stride, channels], finest first.
Pyramid = dict[int, Any]


@dataclass(frozen=True)
class EncoderRequest:
    """What an encoder is asked for.

    Attributes:
      name: of the Keras model that it becomes, such as "encoder" or "optical_encoder".
      output_stride: the coarsest stride wanted, 8, 16 or 32: stages beyond it keep their resolution, and see as far
        by dilation instead (Chen et al. 2017, arXiv 1706.05587, section 3.1). 0: as the encoder is.
    """

    name: str
    tile_size: int
    bands: int
    filters: int
    output_stride: int = 0


@dataclass(frozen=True)
class Encoder:
    """An entry of the table of encoders.

    Attributes:
      source: who made it: "ours", "keras.applications" or "keras-cv".
      strides: of its levels, finest first, before any dilation.
      imagenet: whether its library offers ImageNet weights.
      build: gives a Keras model from float [batch, size, size, bands] to a list of features, one a level, finest
        first. A dilated encoder gives fewer levels: of those with the same stride only the deepest.
      library: gives the weights of its library's model for red, green and blue: "imagenet" downloads them, anything
        else is a file that the library's `save_weights` has written. None: it is no library's.
    """

    name: str
    source: str
    strides: tuple[int, ...]
    imagenet: bool
    build: Callable[[EncoderRequest], keras.Model]
    library: Callable[[str], LayerWeights] | None = None


@dataclass(frozen=True)
class Decoder:
    """An entry of the table of decoders.

    Attributes:
      title: its name in print.
      source: the paper.
      output_stride: what it asks of the encoder; 0: the encoder's own.
      every_level: whether it takes features of every level, those at full resolution too.
      build: (pyramid, filters) -> (features, their stride).
    """

    name: str
    title: str
    source: str
    output_stride: int
    every_level: bool
    build: Callable[[Pyramid, int], tuple[Any, int]]


def as_pyramid(features: list[Any], tile_size: int) -> Pyramid:
    """Returns the outputs of an encoder by stride, which their size tells."""
    return {tile_size // level.shape[1]: level for level in features}
