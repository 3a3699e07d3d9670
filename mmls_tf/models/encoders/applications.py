"""Networks of `keras.applications`: ResNet-50 V2, EfficientNetV2 and ConvNeXt."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
from keras import applications

from mmls_tf.models.encoders.rebuild import as_encoder, layer_weights, nominal_image, rebuild
from mmls_tf.models.pyramid import Encoder, EncoderRequest, LayerWeights

_EFFICIENTNET_STAGES = (1, 2, 3, 5, 6)  # the last of each stride; the fourth works at the stride of the fifth


def _resnet50v2_levels(network: keras.Model) -> list[Any]:
    """Of every stride the last features, normalised and rectified: the stride is in a stage's last block."""
    names = (
        "conv1_conv",
        *(f"{name}_preact_relu" for name in ("conv2_block3", "conv3_block4", "conv4_block6")),
    )
    return [network.get_layer(name).output for name in (*names, "post_relu")]


def _efficientnet_levels(network: keras.Model) -> list[Any]:
    """The last block of every stride; the 1 x 1 convolution that widens for the classifier is left out."""
    ends = {layer.name[:6]: layer for layer in network.layers if layer.name.startswith("block")}
    return [ends[f"block{stage}"].output for stage in _EFFICIENTNET_STAGES]


def _convnext_levels(network: keras.Model) -> list[Any]:
    """What every stage hands to the next, and the last to the classifier's normalisation."""
    between = [network.get_layer(f"{network.name}_downsampling_block_{index}") for index in range(3)]
    return [layer.input for layer in (*between, network.layers[-1])]


def _encoder(
    name: str,
    network: Callable[..., keras.Model],
    levels: Callable[[keras.Model], list[Any]],
    strides: tuple[int, ...],
) -> Encoder:
    def build(request: EncoderRequest) -> keras.Model:
        whole = rebuild(network(input_tensor=nominal_image(request.bands), weights=None), request)
        return as_encoder(whole, levels(whole), request)

    def library(weights: str) -> LayerWeights:
        whole = network(input_tensor=nominal_image(3), weights="imagenet" if weights == "imagenet" else None)
        if weights != "imagenet":
            whole.load_weights(weights)
        return layer_weights(whole)

    return Encoder(name, "keras.applications", strides, True, build, library)


_FIVE = (2, 4, 8, 16, 32)
_BARE = {
    "include_top": False,
    "include_preprocessing": False,
}  # bands come standardised, and are not always three

APPLICATIONS: tuple[Encoder, ...] = (
    _encoder("resnet50v2", partial(applications.ResNet50V2, include_top=False), _resnet50v2_levels, _FIVE),
    _encoder(
        "efficientnetv2-b0", partial(applications.EfficientNetV2B0, **_BARE), _efficientnet_levels, _FIVE
    ),
    _encoder(
        "efficientnetv2-b1", partial(applications.EfficientNetV2B1, **_BARE), _efficientnet_levels, _FIVE
    ),
    _encoder("efficientnetv2-s", partial(applications.EfficientNetV2S, **_BARE), _efficientnet_levels, _FIVE),
    _encoder("convnext_tiny", partial(applications.ConvNeXtTiny, **_BARE), _convnext_levels, (4, 8, 16, 32)),
)
