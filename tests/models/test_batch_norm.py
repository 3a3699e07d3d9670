"""Fused batch normalisation against Keras's own layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from mmls_tf.models.batch_norm import FusedBatchNormalization

SHAPE = (3, 5, 4, 6)
EXACT = {"float32": 1e-5, "mixed_bfloat16": 3e-2}


def random(seed: int, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.5, 2.0, shape).astype(np.float32)


def pair(dtype: str = "float32", **options: Any) -> tuple[keras.Layer, keras.Layer]:
    """Keras's layer and ours, with the same weights, which are no fresh ones."""
    both = (
        layers.BatchNormalization(momentum=0.9, dtype=dtype, **options),
        FusedBatchNormalization(momentum=0.9, dtype=dtype, **options),
    )
    for layer in both:
        layer.build((None, *SHAPE[1:]))
        layer.set_weights([np.abs(random(seed, weight.shape)) for seed, weight in enumerate(layer.weights)])
    return both


def gradients(layer: keras.Layer, image: np.ndarray, training: bool, jit: bool = False) -> list[np.ndarray]:
    """Output, and gradients of a weighted sum of it, to the image and the variables."""
    weights = random(9, image.shape)

    @tf.function(jit_compile=jit)
    def run(x: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=training)
            loss = tf.reduce_sum(tf.cast(y, tf.float32) * weights)
        return y, tape.gradient(loss, [x, *layer.trainable_variables])

    y, found = run(tf.constant(image))
    return [tf.cast(value, tf.float32).numpy() for value in (y, *found)]


def operations(layer: keras.Layer, shape: tuple[int, ...], training: bool = True) -> set[str]:
    function = tf.function(lambda x: layer(x, training=training))
    graph = function.get_concrete_function(tf.TensorSpec(shape)).graph
    return {operation.type for operation in graph.get_operations()}


def assert_close(one: list[np.ndarray], other: list[np.ndarray], tolerance: float) -> None:
    assert len(one) == len(other)
    for left, right in zip(one, other, strict=True):
        np.testing.assert_allclose(left, right, atol=tolerance * max(1.0, np.abs(left).max()))


@pytest.mark.parametrize("jit", [False, True], ids=["plain", "XLA"])
@pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])
@pytest.mark.parametrize("dtype", EXACT)
def test_output_gradients_and_moving_moments_are_those_of_keras(
    dtype: str, training: bool, jit: bool
) -> None:
    theirs, ours = pair(dtype)
    assert_close(*(gradients(layer, random(7), training, jit) for layer in (theirs, ours)), EXACT[dtype])
    assert_close(theirs.get_weights(), ours.get_weights(), EXACT[dtype])


def test_one_kernel_computes_it() -> None:
    assert "FusedBatchNormV3" in operations(pair()[1], SHAPE)
    assert "Rsqrt" not in operations(pair()[1], SHAPE)


def test_bfloat16_stays_bfloat16_and_its_moments_float32() -> None:
    ours = pair("mixed_bfloat16")[1]
    assert ours(tf.cast(random(7), tf.bfloat16), training=True).dtype == tf.bfloat16
    assert {weight.dtype for weight in ours.weights} == {"float32"}


def test_a_frozen_layer_uses_and_keeps_its_moving_moments_while_others_train() -> None:
    theirs, ours = pair()
    before = ours.get_weights()
    for layer in (theirs, ours):
        layer.trainable = False
    assert_close(*(gradients(layer, random(7), True) for layer in (theirs, ours)), 1e-5)
    np.testing.assert_array_equal(before[-1], ours.get_weights()[-1])


@pytest.mark.parametrize("options", [{"scale": False}, {"center": False}, {"epsilon": 0.1}], ids=str)
def test_options_count(options: dict[str, Any]) -> None:
    theirs, ours = pair(**options)
    assert_close(*(gradients(layer, random(7), True) for layer in (theirs, ours)), 1e-5)


def test_a_single_value_a_channel_gives_finite_moments() -> None:
    theirs, ours = pair()
    image = random(7, (1, 1, 1, 6))
    assert_close(*(gradients(layer, image, True) for layer in (theirs, ours)), 1e-5)
    assert_close(theirs.get_weights(), ours.get_weights(), 1e-5)


@pytest.mark.parametrize(
    ("options", "shape"),
    [({"axis": 1}, SHAPE), ({"renorm": True}, SHAPE), ({}, (3, 6)), ({}, (2, 3, 5, 4, 6))],
    ids=str,
)
def test_what_the_kernel_cannot_do_is_left_to_keras(options: dict[str, Any], shape: tuple[int, ...]) -> None:
    if "renorm" in options and not hasattr(layers.BatchNormalization(), "renorm"):
        pytest.skip("this Keras has no batch renormalisation")
    theirs, ours = (kind(**options) for kind in (layers.BatchNormalization, FusedBatchNormalization))
    assert_close([theirs(random(7, shape), training=True)], [ours(random(7, shape), training=True)], 1e-6)
    assert "FusedBatchNormV3" not in operations(ours, shape)


def test_a_mask_is_left_to_keras() -> None:
    mask = np.random.default_rng(3).random(SHAPE[:-1]) > 0.5
    found = [layer(random(7), training=True, mask=mask).numpy() for layer in pair()]
    np.testing.assert_allclose(*found, atol=1e-5)


def test_it_is_saved_and_loaded_in_safe_mode(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input(SHAPE[1:]), FusedBatchNormalization(momentum=0.7)])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert type(loaded.layers[-1]) is FusedBatchNormalization
    assert loaded.layers[-1].momentum == 0.7
    np.testing.assert_array_equal(model(random(7)), loaded(random(7)))
