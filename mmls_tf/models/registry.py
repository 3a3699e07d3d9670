"""The one table of decoders, and how a model is put together."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from mmls_tf.errors import UsageError
from mmls_tf.models.decoders.unet import unet_decoder
from mmls_tf.models.encoders.table import encoder_named
from mmls_tf.models.layers import conv_block, logits_head, require_multiple, upsample
from mmls_tf.models.pyramid import Decoder, EncoderRequest, as_pyramid
from mmls_tf.models.spec import ModelSpec

_POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}
_DETAIL_FILTERS = 16

DECODERS: dict[str, Decoder] = {
    decoder.name: decoder
    for decoder in (Decoder("unet", "U-Net", "arXiv 1505.04597", 0, True, unet_decoder),)
}


def build_model(spec: ModelSpec, precision: str, seed: int) -> keras.Model:
    """Builds an architecture, with weights that `seed` determines.

    Args:
      precision: float32, or bfloat16 for mixed precision (float32 variables and logits).

    Returns:
      A model from float [batch, size, size, bands] to float32 logits [batch, size, size, 1].

    Raises:
      UsageError: an unknown name, or a tile size that the strides do not divide.
    """
    keras.utils.set_random_seed(seed)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(_POLICIES[precision])
    try:
        return _build(spec)
    finally:
        keras.config.set_dtype_policy(before)


def _build(spec: ModelSpec) -> keras.Model:
    if spec.decoder not in DECODERS:
        raise UsageError(f"--model={spec.decoder}: expected one of {', '.join(DECODERS)}")
    decoder, encoder = DECODERS[spec.decoder], encoder_named(spec.encoder)
    require_multiple(spec.tile_size, encoder.strides[-1])
    image = keras.Input((spec.tile_size, spec.tile_size, len(spec.bands)), name="image")
    request = EncoderRequest("encoder", spec.tile_size, len(spec.bands), spec.filters, decoder.output_stride)
    pyramid = as_pyramid(encoder.build(request)(image), spec.tile_size)
    detail = conv_block(image, _DETAIL_FILTERS, "detail") if spec.full_skip and 1 not in pyramid else None
    if detail is not None and decoder.every_level:
        pyramid = {1: detail, **pyramid}
    x, stride = decoder.build(pyramid, spec.filters)
    if detail is not None and not decoder.every_level:
        x, stride = _refine(x, stride, detail)
    return keras.Model(image, logits_head(x, stride), name=spec.decoder)


def _refine(x: Any, stride: int, detail: Any) -> tuple[Any, int]:
    x = layers.Concatenate(name="refine_skip")([upsample(x, stride, "refine_resize"), detail])
    return conv_block(x, _DETAIL_FILTERS, "refine"), 1
