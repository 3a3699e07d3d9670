"""Dilated convolution in one kernel against Keras's own layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from mmls_tf.models import atrous
from mmls_tf.models.atrous import AtrousConv2D

EXACT = {"float32": 1e-5, "mixed_bfloat16": 3e-2}


def pair(channels: int, **options: Any) -> tuple[keras.Layer, keras.Layer]:
    """Keras's layer and ours, with the same weights."""
    both = tuple(kind(5, **{"kernel_size": 3, **options}) for kind in (layers.Conv2D, AtrousConv2D))
    for layer in both:
        layer.build((None, None, None, channels))
    both[1].set_weights(both[0].get_weights())
    return both


def image(height: int, width: int, channels: int = 4) -> np.ndarray:
    return np.random.default_rng(7).normal(size=(2, height, width, channels)).astype(np.float32)


def gradients(layer: keras.Layer, x: np.ndarray, jit: bool = False) -> list[np.ndarray]:
    """Output, and gradients of a weighted sum of it, to the image and the variables."""

    @tf.function(jit_compile=jit)
    def run(x: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.cast(layer(x), tf.float32)
            weights = tf.cast(tf.reshape(tf.range(tf.size(y)) % 7 - 3, tf.shape(y)), tf.float32)
            loss = tf.reduce_sum(y * weights)
        return y, tape.gradient(loss, [x, *layer.trainable_variables])

    y, found = run(tf.constant(x))
    return [np.asarray(value) for value in (y, *found)]


def operations(layer: keras.Layer, x: np.ndarray) -> set[str]:
    graph = tf.function(lambda x: layer(x)).get_concrete_function(tf.TensorSpec(x.shape)).graph
    return {operation.type for operation in graph.get_operations()}


def assert_close(one: list[np.ndarray], other: list[np.ndarray], tolerance: float) -> None:
    for left, right in zip(one, other, strict=True):
        np.testing.assert_allclose(left, right, atol=tolerance * max(1.0, np.abs(left).max()))


@pytest.mark.parametrize("jit", [False, True], ids=["plain", "XLA"])
@pytest.mark.parametrize("dtype", EXACT)
@pytest.mark.parametrize(
    ("size", "options"),
    [
        ((8, 8), {"dilation_rate": 2, "padding": "same"}),
        ((9, 6), {"dilation_rate": 2, "padding": "valid"}),
        ((7, 7), {"dilation_rate": (2, 3), "padding": "same", "use_bias": False}),
        ((6, 6), {"dilation_rate": 12, "padding": "same"}),
        ((6, 6), {"dilation_rate": 2, "kernel_size": 2, "padding": "same", "activation": "relu"}),
    ],
    ids=str,
)
def test_output_and_gradients_are_those_of_keras(
    size: tuple[int, int], options: dict[str, Any], dtype: str, jit: bool
) -> None:
    both = pair(4, dtype=dtype, **options)
    assert_close(*(gradients(layer, image(*size), jit) for layer in both), EXACT[dtype])


@pytest.mark.skipif(
    not atrous._kernel_is_there("float32"), reason="this TensorFlow has neither oneDNN nor cuDNN"
)
def test_nothing_is_cut_up() -> None:
    theirs, ours = pair(4, dilation_rate=2, padding="same")
    assert "SpaceToBatchND" in operations(theirs, image(8, 8))
    assert "SpaceToBatchND" not in operations(ours, image(8, 8))


def test_without_a_kernel_for_the_gradient_it_is_left_to_keras(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*arguments: Any, **options: Any) -> None:
        raise tf.errors.InvalidArgumentError(None, None, "no dilation")

    with monkeypatch.context() as patched:
        patched.setattr(tf.nn, "conv2d", missing)
        assert not atrous._try_kernel("float32")
    monkeypatch.setattr(atrous, "_kernel_is_there", lambda dtype: False)
    theirs, ours = pair(4, dilation_rate=2, padding="same")
    assert "SpaceToBatchND" in operations(ours, image(8, 8))
    assert_close(*(gradients(layer, image(8, 8)) for layer in (theirs, ours)), 1e-6)


def test_a_kernel_with_wrong_gradients_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    right = tf.nn.conv2d
    monkeypatch.setattr(tf.nn, "conv2d", lambda *given, dilations, **options: right(*given, **options))
    assert not atrous._try_kernel("float32")


@pytest.mark.parametrize("options", [{"groups": 5, "kernel_size": 1}, {"strides": 2}], ids=str)
def test_what_is_not_dilated_or_is_grouped_is_left_to_keras(options: dict[str, Any]) -> None:
    theirs, ours = pair(5, padding="same", **options)
    assert_close(*(gradients(layer, image(8, 8, 5)) for layer in (theirs, ours)), 1e-6)


def test_it_is_saved_and_loaded_in_safe_mode(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((8, 8, 4)), AtrousConv2D(5, 3, dilation_rate=2)])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert type(loaded.layers[-1]) is AtrousConv2D
    np.testing.assert_array_equal(model(image(8, 8)), loaded(image(8, 8)))
