"""What a model costs: trainable parameters, and multiply-accumulates of one tile."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from mmls_tf.errors import MmlsError


class CostError(MmlsError):
    """A layer whose multiply-accumulates are not known."""


@dataclass(frozen=True)
class Cost:
    """Trainable parameters, and multiply-accumulates (MACs) of one tile.

    MACs are those of convolutions and matrix products, attention's too, with padding counted as pixels: half of what
    PyTorch's FlopCounterMode counts. Normalisation, activation, pooling and resizing are left out, as there.
    """

    parameters: int
    macs: int


def model_cost(model: keras.Model) -> Cost:
    """Returns the cost of a functional model of static shapes.

    Raises:
      CostError: a layer may multiply matrices in a way that is not known here.
    """
    parameters = sum(math.prod(variable.shape) for variable in model.trainable_variables)
    return Cost(parameters, _macs(model))


def _macs(layer: Any) -> int:
    if isinstance(layer, keras.Model):
        # Operations of `keras.ops` are no layers; a Sequential has none.
        return sum(_macs(part) for part in getattr(layer, "operations", layer.layers))
    for kind, count in _PRODUCTS:
        if isinstance(layer, kind):
            return count(layer)
    _require_no_product(layer)
    return 0


def _require_no_product(layer: Any) -> None:
    """Without a matrix, layers of Keras and of ours scale, shift, pool and resize, but for a few."""
    matrices = [variable.path for variable in getattr(layer, "weights", ()) if len(variable.shape) > 1]
    name, library = type(layer).__name__, type(layer).__module__.partition(".")[0]
    if matrices or name in _OTHER_PRODUCTS or library not in _LIBRARIES:
        raise CostError(
            f"layer {layer.name}: expected one whose multiply-accumulates are known, found {name} of {library} with "
            f"{', '.join(matrices) or 'no matrix'}; add it to mmls_tf/models/cost.py"
        )


def _positions(shape: tuple[int | None, ...]) -> int:
    """Returns the product of all sizes but those of batch and channels."""
    return math.prod(size or 0 for size in shape[1:-1])


def _convolution(layer: Any) -> int:
    # Kernel [height, width, inputs of a group, outputs]: every output position meets all of it.
    return _positions(layer.output.shape) * math.prod(layer.kernel.shape)


def _transposed(layer: Any) -> int:
    return _positions(layer.input.shape) * math.prod(layer.kernel.shape)


def _separable(layer: Any) -> int:
    kernels = math.prod(layer.depthwise_kernel.shape) + math.prod(layer.pointwise_kernel.shape)
    return _positions(layer.output.shape) * kernels


def _attention(layer: Any) -> int:
    """Products of projections, of queries with keys, and of scores with values."""
    query, value = layer.input[:2]
    key = layer.input[2] if len(layer.input) > 2 else value
    heads, target, source = layer.num_heads, _positions(query.shape), _positions(value.shape)
    widths = heads * layer.key_dim, heads * layer.value_dim
    output = math.prod(layer.output.shape[2:])
    projections = target * query.shape[-1] * widths[0] + source * key.shape[-1] * widths[0]
    projections += source * value.shape[-1] * widths[1] + target * widths[1] * output
    return projections + target * source * sum(widths)


_PRODUCTS: tuple[tuple[type, Callable[[Any], int]], ...] = (
    (layers.SeparableConv2D, _separable),
    (layers.Conv2DTranspose, _transposed),
    (layers.DepthwiseConv2D, _convolution),
    (layers.Conv2D, _convolution),
    (layers.Dense, _convolution),
    (layers.MultiHeadAttention, _attention),
)
_LIBRARIES = ("keras", "mmls_tf")
# Layers without variables that multiply tensors, and operations of `keras.ops` in a functional model.
_OTHER_PRODUCTS = {
    *("Dot", "Attention", "AdditiveAttention"),
    *("Matmul", "Einsum", "Tensordot", "Inner", "Outer", "Vdot", "DotProductAttention"),
    *("Conv", "DepthwiseConv", "SeparableConv", "ConvTranspose"),
}
