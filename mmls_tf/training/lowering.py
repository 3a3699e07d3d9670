"""The training step as StableHLO for a device that is not there: JAX lowers for TPUs and GPUs on any machine."""

from __future__ import annotations

import re
from collections.abc import Sequence

import keras

from mmls_tf.training.compilation import jax_state, record_shardings, tile_batch

_HOST_OPERATIONS = re.compile(
    r"custom_call @(\w*callback\w*)|\b(stablehlo\.(?:infeed|outfeed|send|recv))\b", re.IGNORECASE
)
_DYNAMIC_TYPE = re.compile(r"tensor<[^>]*\?[^>]*>")


def lowered_train_step(model: keras.Model, batch: int, platforms: Sequence[str]) -> dict[str, str]:
    """Lowers the step that Keras's JAX trainer runs: forward pass, loss, gradients, update of weights, metrics.

    Args:
      model: compiled, under the JAX backend.
      batch: tiles a step; images are float32 [batch, size, size, bands], targets float32 [batch, size, size, 2].
      platforms: out of tpu, cuda, rocm and cpu; none need be present.

    Returns:
      The text of one StableHLO module a platform.
    """
    import jax
    from jax import export  # not an attribute of jax until it is imported

    data = tile_batch(model, batch)
    shapes = tuple(jax.ShapeDtypeStruct(array.shape, array.dtype) for array in data)
    model._symbolic_build(data_batch=data)  # as `fit` does: optimiser and metrics get their variables
    record_shardings(model)
    step, arguments = jax.jit(model.train_step), (jax_state(model, "train"), shapes)
    return {name: export.export(step, platforms=[name])(*arguments).mlir_module() for name in platforms}


def obstacles(stablehlo: str) -> list[str]:
    """Returns what would keep a module from running on an accelerator alone: host callbacks and dynamic shapes."""
    hosts = {"".join(groups) for groups in _HOST_OPERATIONS.findall(stablehlo)}
    return sorted(hosts | set(_DYNAMIC_TYPE.findall(stablehlo)))
