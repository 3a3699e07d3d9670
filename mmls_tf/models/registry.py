"""The one table of decoders, and how a model is put together."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from mmls_tf.backend import quick_compilation
from mmls_tf.errors import UsageError
from mmls_tf.models.decoders.deeplabv3 import deeplabv3_decoder
from mmls_tf.models.decoders.deeplabv3plus import deeplabv3plus_decoder
from mmls_tf.models.decoders.pspnet import pspnet_decoder
from mmls_tf.models.decoders.segformer import segformer_decoder
from mmls_tf.models.decoders.unet import unet_decoder
from mmls_tf.models.decoders.unetplusplus import unetplusplus_decoder
from mmls_tf.models.derived import DerivedBands
from mmls_tf.models.encoders.table import encoder_named
from mmls_tf.models.fusion import SelectBands, fused_pyramid
from mmls_tf.models.layers import conv_block, conv_norm_relu, logits_head, require_multiple, upsample
from mmls_tf.models.pyramid import Decoder, Encoder, EncoderRequest, Pyramid, as_pyramid
from mmls_tf.models.spec import ModelSpec

_AUXILIARY_STRIDE = 16
_POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}

DECODERS: dict[str, Decoder] = {
    decoder.name: decoder
    for decoder in (
        Decoder("unet", "U-Net", "arXiv 1505.04597", 0, True, unet_decoder),
        Decoder("unetplusplus", "UNet++", "arXiv 1807.10165", 0, True, unetplusplus_decoder),
        Decoder("pspnet", "PSPNet", "arXiv 1612.01105", 8, False, pspnet_decoder),
        Decoder("deeplabv3", "DeepLabv3", "arXiv 1706.05587", 8, False, deeplabv3_decoder),
        Decoder("deeplabv3plus", "DeepLabv3+", "arXiv 1802.02611", 16, False, deeplabv3plus_decoder),
        Decoder("segformer", "SegFormer", "arXiv 2105.15203", 0, False, segformer_decoder),
    )
}


def build_model(spec: ModelSpec, precision: str, seed: int) -> keras.Model:
    """Builds an architecture, with weights that `seed` determines.

    Args:
      precision: float32, or bfloat16 for mixed precision (float32 variables and logits).

    Returns:
      A model from float [batch, size, size, bands], and the channel of known masks where `spec` asks for it, to float32
      logits [batch, size, size, 1].

    Raises:
      UsageError: an unknown name, or a tile size that the strides do not divide.
    """
    return build_with_auxiliary(spec, precision, seed)[0]


def build_with_auxiliary(spec: ModelSpec, precision: str, seed: int) -> tuple[keras.Model, keras.Model]:
    """Builds the same model, and one that gives the logits of a second head beside its own.

    The second head stands on the coarsest features that are not coarser than one in 16, or the finest there are, and
    is for training alone: its loss reaches the encoder directly (Zhao et al. 2017, arXiv 1612.01105, section 3.3).
    """
    keras.utils.set_random_seed(seed)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(_POLICIES[precision])
    try:
        with quick_compilation():
            model, pyramid = _build(spec)
            stride = max((stride for stride in pyramid if stride <= _AUXILIARY_STRIDE), default=min(pyramid))
            x = conv_norm_relu(pyramid[stride], 4 * spec.filters, 3, "auxiliary")
            second = logits_head(x, stride, "auxiliary_logits")
        return model, keras.Model(
            model.inputs, [*model.outputs, second], name=f"{spec.decoder}_with_auxiliary"
        )
    finally:
        keras.config.set_dtype_policy(before)


def decoder_named(name: str) -> Decoder:
    """Returns a decoder.

    Raises:
      UsageError: there is none of that name.
    """
    if name not in DECODERS:
        raise UsageError(f"--model={name}: expected one of {', '.join(DECODERS)}")
    return DECODERS[name]


def tile_multiple(decoder: Decoder, encoder: Encoder) -> int:
    """Returns of what the tile size has to be a multiple: the coarsest stride of the features."""
    return min(encoder.strides[-1], decoder.output_stride or encoder.strides[-1])


def _build(spec: ModelSpec) -> tuple[keras.Model, Pyramid]:
    decoder, encoder = decoder_named(spec.decoder), encoder_named(spec.encoder)
    require_multiple(spec.tile_size, tile_multiple(decoder, encoder))
    bands = len(spec.bands)
    image = keras.Input((spec.tile_size, spec.tile_size, bands + spec.known_mask), name="image")
    channels, seen = spec.channels, image
    if spec.derive != "none":
        derived = DerivedBands(spec.bands, spec.derive, spec.elevation_m, name="derived_bands")
        seen = derived(SelectBands(tuple(range(bands)), name="bands")(image) if spec.known_mask else image)
        if spec.known_mask:
            known = SelectBands((bands,), name="known_mask")(image)
            seen = layers.Concatenate(name="derived_and_known")([seen, known])
    request = EncoderRequest("encoder", spec.tile_size, len(channels), spec.filters, decoder.output_stride)
    if spec.fusion == "none":
        pyramid = as_pyramid(encoder.build(request)(seen), spec.tile_size)
    else:
        pyramid = fused_pyramid(spec.fusion, encoder, request, channels, seen)
    if spec.full_skip and 1 not in pyramid:
        pyramid = {1: conv_block(seen, spec.filters, "detail"), **pyramid}
    x, stride = decoder.build(pyramid, spec.filters)
    if spec.full_skip and not decoder.every_level:
        x, stride = _refine(x, stride, pyramid[1], spec.filters), 1
    return keras.Model(image, logits_head(x, stride), name=spec.decoder), pyramid


def _refine(x: Any, stride: int, detail: Any, filters: int) -> Any:
    x = layers.Concatenate(name="refine_skip")([upsample(x, stride, "refine_resize"), detail])
    return conv_block(x, filters, "refine")
