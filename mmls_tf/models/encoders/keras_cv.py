"""ResNets of keras-cv, the one module that imports it, and only when one is asked for: keras-cv needs TensorFlow.

What comes out are plain Keras layers: a saved model loads where keras-cv is not installed.

keras-cv's MiT is not used: to shorten keys and values it transposes tokens [batch, position, channel] and reads them as
[batch, row, column, channel], which mixes positions with channels; see `mit` for one that does what the paper says.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import keras

from mmls_tf.errors import UsageError
from mmls_tf.models.encoders.rebuild import as_encoder, layer_weights, nominal_image, rebuild
from mmls_tf.models.pyramid import Encoder, EncoderRequest, LayerWeights
from mmls_tf.quiet import quiet_start

_WIDTHS = [64, 128, 256, 512]


def _backbone(name: str, blocks: tuple[int, ...], block: str, image: Any) -> keras.Model:
    """Builds a ResNet with pre-activation (He et al. 2016, arXiv 1603.05027), without any weights of keras-cv's.

    Raises:
      UsageError: keras-cv or TensorFlow is not installed.
    """
    try:
        with quiet_start():
            from keras_cv.models import ResNetV2Backbone
    except ImportError as error:
        raise UsageError(
            f"--encoder={name}: expected keras-cv and TensorFlow, found that {error}; install them by: "
            "pip install keras-cv tensorflow"
        ) from error
    return ResNetV2Backbone(
        stackwise_filters=_WIDTHS,
        stackwise_blocks=list(blocks),
        stackwise_strides=[1, 1, 1, 1],
        include_rescaling=False,
        input_tensor=image,
        input_shape=image.shape[1:],
        block_type=block,
    )


def _with_strides(network: keras.Model, block: str) -> keras.Model:
    """Puts stride 2 into the first block of stages 2 to 4, as in torchvision's ResNets.

    keras-cv puts it into the last block of a stage, which then works at twice the resolution: 3 times the
    multiplications, for the same parameters. Of a block, the first 3 x 3 convolution has the stride.
    """
    convolution = "1" if block == "basic_block" else "2"
    strided = {f"v2_stack_{stage}_block1_{part}_conv" for stage in (1, 2, 3) for part in ("0", convolution)}

    def clone(layer: keras.Layer) -> keras.Layer:
        config = layer.get_config()
        if layer.name in strided:
            config["strides"] = (2, 2)
        return type(layer).from_config(config)

    plain = keras.Model(
        network.input, network.output
    )  # keras-cv's own class cannot be cloned by every Keras 3
    return keras.models.clone_model(plain, clone_function=clone)


def _levels(network: keras.Model) -> list[Any]:
    """Of every stride the last features, normalised and rectified as the next stage's first block does it."""
    names = ("conv1_conv", *(f"v2_stack_{stage}_block1_use_preactivation_relu" for stage in (1, 2, 3)))
    return [network.get_layer(name).output for name in (*names, "post_relu")]


def _build(name: str, blocks: tuple[int, ...], block: str, request: EncoderRequest) -> keras.Model:
    network = _with_strides(_backbone(name, blocks, block, nominal_image(request.bands)), block)
    whole = rebuild(network, request)
    return as_encoder(whole, _levels(whole), request)


def _library(name: str, blocks: tuple[int, ...], block: str, weights: str) -> LayerWeights:
    network = _backbone(name, blocks, block, nominal_image(3))
    network.load_weights(weights)
    return layer_weights(network)


def _encoder(name: str, blocks: tuple[int, ...], block: str) -> Encoder:
    # keras-cv has ImageNet weights of resnet50 only, and learnt with its own strides: resnet50v2 is the one to use.
    build, library = partial(_build, name, blocks, block), partial(_library, name, blocks, block)
    return Encoder(name, "keras-cv", (2, 4, 8, 16, 32), False, build, library)


RESNETS: tuple[Encoder, ...] = (
    _encoder("resnet18", (2, 2, 2, 2), "basic_block"),
    _encoder("resnet34", (3, 4, 6, 3), "basic_block"),
    _encoder("resnet50", (3, 4, 6, 3), "block"),
)
