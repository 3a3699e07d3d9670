"""What XLA makes of a model's steps, and which layer is at fault where it can make nothing of them."""

from __future__ import annotations

import re
import traceback
from types import TracebackType
from typing import Any

import keras
import numpy as np

from mmls_tf.errors import CompilationError


def tile_batch(model: keras.Model, batch: int) -> tuple[Any, Any]:
    """Returns empty tiles as a network from images to logits is trained on.

    Images are float32 [batch, size, size, bands], the target float32 [batch, size, size, 2].
    """
    image = np.zeros((batch, *model.input_shape[1:]), np.float32)
    return image, np.zeros((*image.shape[:-1], 2), np.float32)


def compiled_hlo(model: keras.Model, data: tuple[Any, ...], step: str = "train") -> str:
    """Returns the optimised HLO of a compiled model's training step (`train`) or forward pass (`predict`).

    Args:
      data: a batch as `fit` gets it, for its shapes and dtypes.

    XLA compiles for the default device of the backend; nothing is executed and no weight changes.

    Raises:
      CompilationError: names the layer that XLA cannot compile.
    """
    return _hlo(model, data, step, optimised=True)


def require_lowering(model: keras.Model, data: tuple[Any, ...]) -> None:
    """Makes sure that XLA takes the training step: an operation that it does not know is found before the run.

    The step is lowered to HLO, not optimised (seconds instead of minutes); the first step of training then either
    runs what XLA compiled or fails, since a function with jit_compile=True has no other way to run.

    Raises:
      CompilationError: names the layer that XLA cannot compile.
    """
    _hlo(model, data, "train", optimised=False)


def _hlo(model: keras.Model, data: tuple[Any, ...], step: str, optimised: bool) -> str:
    data = data if step == "train" else data[:1]
    lower = _jax_hlo if keras.config.backend() == "jax" else _tensorflow_hlo
    filtering = keras.config.is_traceback_filtering_enabled()
    keras.config.disable_traceback_filtering()  # it drops the frames that tell the layer
    try:
        return lower(model, data, step, optimised)
    finally:
        if filtering:
            keras.config.enable_traceback_filtering()


def _tensorflow_hlo(model: keras.Model, data: tuple[Any, ...], step: str, optimised: bool) -> str:
    import tensorflow as tf

    _build(model, data, step)
    run = model.train_step if step == "train" else model.predict_step
    arrays = tf.nest.flatten(data)
    function = tf.function(
        lambda *leaves: run(tf.nest.pack_sequence_as(data, leaves)), jit_compile=True, autograph=False
    )
    specs = [tf.TensorSpec(array.shape, array.dtype) for array in arrays]
    generate = function.experimental_get_compiler_ir(*specs)
    try:
        return str(generate(stage="optimized_hlo" if optimised else "hlo"))
    except (ValueError, tf.errors.OpError) as error:
        raise _cannot_compile(model, error) from error


def _jax_hlo(model: keras.Model, data: tuple[Any, ...], step: str, optimised: bool) -> str:
    import jax

    try:
        # Before Keras does the same, and wraps what goes wrong in an error of its own.
        record_shardings(model)
        jax.eval_shape(model.predict_step, jax_state(model, "predict"), data[:1])
        _build(model, data, step)
        record_shardings(model)
        lowered = jax.jit(getattr(model, f"{step}_step")).lower(jax_state(model, step), data)
    except (jax.errors.JAXTypeError, jax.errors.JAXIndexError) as error:
        raise _cannot_compile(model, error) from error
    return str(lowered.compile().as_text() if optimised else lowered.as_text("hlo"))


def record_shardings(model: keras.Model) -> None:
    """Tells older versions of Keras 3 how variables lie on devices: their steps look it up, which `fit` has said."""
    record = getattr(model, "_record_training_state_sharding_spec", None)
    if record is not None:
        record()


def _build(model: keras.Model, data: tuple[Any, ...], step: str) -> None:
    if step == "train":
        model._symbolic_build(data_batch=data)  # as `fit` does: optimiser and metrics get their variables


def jax_state(model: keras.Model, step: str) -> tuple[list[Any], ...]:
    """Returns the variables that Keras's JAX trainer hands to `train_step` or `predict_step`, in its order."""
    groups = [model.trainable_variables, model.non_trainable_variables]
    if step == "train":
        groups += [model.optimizer.variables, model.metrics_variables]
    return tuple([variable.value for variable in group] for group in groups)


def _cannot_compile(model: keras.Model, error: Exception) -> CompilationError:
    layer = _layer_in_message(model, str(error)) or _layer_in_traceback(model, error.__traceback__)
    where = f"layer {layer.name} ({type(layer).__name__})" if layer else "an operation outside its layers"
    unknown = re.search(r"No registered '(\w+)'", str(error))
    reason = f"operation {unknown[1]}" if unknown else str(error).strip().partition("\n")[0]
    return CompilationError(
        f"expected a model that XLA compiles, found that {where} does not: {reason}; use --jit=off"
    )


def _layer_in_message(model: keras.Model, message: str) -> keras.layers.Layer | None:
    """TensorFlow names the node: scopes of layers, outermost first, numbered where a name was taken."""
    layers = {layer.name: layer for layer in model._flatten_layers()}
    for node in re.findall(r"{{node ([^}]+)}}", message):
        for scope in reversed(node.split("/")):
            layer = layers.get(scope) or layers.get(re.sub(r"_\d+$", "", scope))
            if layer is not None:
                return layer
    return None


def _layer_in_traceback(model: keras.Model, trace: TracebackType | None) -> keras.layers.Layer | None:
    """JAX raises where the layer is called: the innermost frame of one of the model's layers tells which."""
    layers = {id(layer) for layer in model._flatten_layers()}
    for frame, _ in reversed(list(traceback.walk_tb(trace))):
        owner = frame.f_locals.get("self")
        if id(owner) in layers:
            return owner
    return None
