"""Two encoders, one of optical bands and one of terrain and thermal bands, fused at every level."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from mmls_tf.bands import BANDS
from mmls_tf.errors import UsageError
from mmls_tf.models.layers import conv_norm_relu
from mmls_tf.models.pyramid import Encoder, EncoderRequest, Pyramid, as_pyramid

_OPTICAL = {band.name for band in BANDS if band.group == "optical"}
_SQUEEZE = 4  # the bottleneck of a gate has a quarter of its channels


def fused_pyramid(
    kind: str, encoder: Encoder, request: EncoderRequest, bands: tuple[str, ...], image: Any
) -> Pyramid:
    """Builds `optical_encoder` (red, green, blue, gray) and `relief_encoder` (dem, slope, thermal_inertia).

    Each is the encoder that one for all bands would be, equally wide, since either kind of band may be all that shows
    a landslide: the encoders cost twice as much. Fused levels are as wide as those of one encoder, so that the
    decoder costs the same.

    Args:
      kind: concat: both, mixed by a 1 x 1 convolution; gated: a weighted mean, see `_gated`.
      bands: names of the channels of `image`.
      image: float [batch, size, size, bands].

    Raises:
      UsageError: there is no such kind, or all bands are of one side.
    """
    if kind not in _KINDS:
        raise UsageError(f"--fusion={kind}: expected none or one of {', '.join(_KINDS)}")
    optical = tuple(index for index, band in enumerate(bands) if band in _OPTICAL)
    relief = tuple(index for index, band in enumerate(bands) if band not in _OPTICAL)
    if not (optical and relief):
        raise UsageError(
            f"--fusion={kind}: expected bands of both sides, optical ({', '.join(sorted(_OPTICAL))}) and terrain or "
            f"thermal (dem, slope, thermal_inertia); found only {', '.join(bands)}; use --fusion=none"
        )
    sides = []
    for name, indices in (("optical", optical), ("relief", relief)):
        side = replace(request, name=f"{name}_encoder", bands=len(indices))
        features = encoder.build(side)(SelectBands(indices, name=f"{name}_bands")(image))
        sides.append(as_pyramid(features, request.tile_size))
    return {stride: _KINDS[kind](sides[0][stride], sides[1][stride], stride) for stride in sides[0]}


def read_gates(model: keras.Model, images: Any) -> dict[int, np.ndarray]:
    """Returns the weight in (0, 1) of the optical side, by stride; that of the other side is 1 less it.

    Args:
      model: of fusion "gated", built or loaded.
      images: [batch, size, size, bands], normalised as the model was trained.

    Returns:
      Float32 [batch, size / stride, size / stride, channels] for every stride that the decoder uses.

    Raises:
      UsageError: the model has no gates.
    """
    gates = {
        int(layer.name.removeprefix("gate")): layer.output
        for layer in model.layers
        if layer.name.removeprefix("gate").isdigit()
    }
    if not gates:
        raise UsageError(f"model {model.name}: expected gates, as --fusion=gated has, found none")
    values = keras.Model(model.input, gates)(images)
    return {stride: ops.convert_to_numpy(ops.cast(gate, "float32")) for stride, gate in values.items()}


@keras.saving.register_keras_serializable("mmls_tf")
class SelectBands(layers.Layer):
    """Picks channels by index, in the order given."""

    def __init__(self, indices: tuple[int, ...], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.indices = tuple(indices)

    def call(self, x: Any) -> Any:
        """Returns [..., indices] of [..., bands]."""
        return ops.take(x, self.indices, axis=-1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns the shape of the output."""
        return (*input_shape[:-1], len(self.indices))

    def get_config(self) -> dict[str, Any]:
        """Returns what the constructor takes."""
        return {**super().get_config(), "indices": list(self.indices)}


def _concatenated(optical: Any, relief: Any, stride: int) -> Any:
    both = layers.Concatenate(name=f"both{stride}")([optical, relief])
    return conv_norm_relu(both, optical.shape[-1], 1, f"fused{stride}")


def _gated(optical: Any, relief: Any, stride: int) -> Any:
    """gate * optical + (1 - gate) * relief, with a gate for every pixel and channel that sees both sides.

    Two weights that a softmax makes sum to 1, as in Li et al. 2019 (arXiv 1903.06586, eq. 5 and 6), are the sigmoid of
    one difference and the rest, as in the gated multimodal unit (Arevalo et al. 2017, arXiv 1702.01992). The difference
    is a sum: one value a channel, from the means over the tile through a bottleneck (Hu et al. 2018, arXiv 1709.01507,
    eq. 3), tells that a side is missing or dull altogether; one value a pixel tells where it is, as in a shadow.
    """
    both = layers.Concatenate(name=f"both{stride}")([optical, relief])
    channels = optical.shape[-1]
    context = layers.GlobalAveragePooling2D(keepdims=True, dtype="float32", name=f"gate{stride}_mean")(both)
    # Means of rectified features hardly vary beside their size: a ReLU would be dead or linear for every tile.
    context = layers.Dense(max(4, channels // _SQUEEZE), "silu", name=f"gate{stride}_squeeze")(context)
    context = layers.Dense(channels, name=f"gate{stride}_channel")(context)
    place = layers.Conv2D(1, 3, padding="same", use_bias=False, name=f"gate{stride}_pixel")(both)
    difference = layers.Add(name=f"gate{stride}_difference")([context, place])
    gate = layers.Activation("sigmoid", name=f"gate{stride}")(difference)
    lead = layers.Subtract(name=f"lead{stride}")([optical, relief])
    return layers.Add(name=f"fused{stride}")([relief, layers.Multiply(name=f"share{stride}")([gate, lead])])


_KINDS: dict[str, Callable[[Any, Any, int], Any]] = {"concat": _concatenated, "gated": _gated}
