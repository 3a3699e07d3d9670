"""Networks of libraries, rebuilt layer by layer: any tile size, output stride and momentum, the same variables."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

from mmls_tf.models.batch_norm import FusedBatchNormalization
from mmls_tf.models.layers import BATCH_NORM_MOMENTUM
from mmls_tf.models.pyramid import EncoderRequest, LayerWeights

# Networks are built for images of this size first: so large that padding does not blur at which stride a layer works.
_NOMINAL_SIZE = 1024
_WINDOWED = (layers.Conv2D, layers.DepthwiseConv2D, layers.MaxPooling2D, layers.ZeroPadding2D)


def nominal_image(bands: int) -> Any:
    """Returns the input on which a library builds the network that `rebuild` takes."""
    return keras.Input((_NOMINAL_SIZE, _NOMINAL_SIZE, bands), name="image")


def rebuild(network: keras.Model, request: EncoderRequest) -> keras.Model:
    """Returns a network of the same layers and variables, newly initialised, for the tiles of `request`.

    Beyond the output stride, strides become 1 and kernels are dilated by the strides lost before them, so that every
    kernel meets the same neighbours as in the strided network (Chen et al. 2017, arXiv 1706.05587, section 3.1).
    Convolutions of a single channel each become depthwise ones, whose gradient is an order of magnitude faster on CPUs.

    Args:
      network: built on `nominal_image`.
    """

    def clone(layer: keras.Layer) -> keras.Layer:
        if isinstance(layer, keras.Sequential):
            return keras.Sequential([clone(part) for part in layer.layers], name=layer.name)
        config = layer.get_config()
        if isinstance(layer, layers.BatchNormalization):
            return FusedBatchNormalization.from_config({**config, "momentum": BATCH_NORM_MOMENTUM})
        if request.output_stride and isinstance(layer, _WINDOWED):
            config |= _dilated(layer, config, request.output_stride)
        if isinstance(layer, layers.Conv2D) and config["groups"] == config["filters"] > 1:
            return _depthwise(config)
        return type(layer).from_config(config)

    image = keras.Input((request.tile_size, request.tile_size, request.bands), name="image")
    image = keras.tree.map_structure(lambda _: image, network.input)  # some networks have a list of one input
    return keras.models.clone_model(network, input_tensors=image, clone_function=clone)


def as_encoder(network: keras.Model, levels: list[Any], request: EncoderRequest) -> keras.Model:
    """Returns the part of a network that leads to `levels`, tensors finest first; of one stride the deepest stays."""
    by_size = {level.shape[1]: level for level in levels}
    return keras.Model(network.inputs[0], list(by_size.values()), name=request.name)


def layer_weights(network: keras.Model) -> LayerWeights:
    """Returns the variables of every layer that has some, as an encoder that `rebuild` made holds them."""
    return {
        layer.name: [_as_depthwise(layer, weight) for weight in layer.get_weights()]
        for layer in network.layers
        if layer.weights
    }


def _dilated(layer: keras.Layer, config: dict[str, Any], output_stride: int) -> dict[str, Any]:
    """Returns what changes in the configuration of a convolution, pooling or padding."""
    stride = 2 ** round(np.log2(_NOMINAL_SIZE / layer.input.shape[1]))
    lost = max(1, stride // output_stride)
    if isinstance(layer, layers.ZeroPadding2D):
        return {"padding": [[lost * before, lost * after] for before, after in config["padding"]]}
    changes: dict[str, Any] = {}
    if stride * layer.strides[0] > output_stride and layer.strides[0] > 1:
        changes["strides"] = (1, 1)
        if config["padding"] == "valid" and layer.strides == getattr(layer, "kernel_size", None):
            changes["padding"] = "same"  # patches side by side become patches around every pixel
    if "dilation_rate" in config and max(layer.kernel_size) > 1:
        changes["dilation_rate"] = (lost, lost)
    return changes


def _depthwise(config: dict[str, Any]) -> keras.Layer:
    names = ("name", "dtype", "trainable", "kernel_size", "strides", "padding", "dilation_rate", "use_bias")
    return layers.DepthwiseConv2D.from_config(
        {**{name: config[name] for name in names}, "depthwise_initializer": config["kernel_initializer"]}
    )


def _as_depthwise(layer: keras.Layer, weight: np.ndarray) -> np.ndarray:
    grouped = isinstance(layer, layers.Conv2D) and layer.groups == layer.filters > 1
    return np.swapaxes(weight, 2, 3) if grouped and weight.ndim == 4 else weight
