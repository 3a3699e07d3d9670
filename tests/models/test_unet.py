"""The U-Net: shapes, precision, gradients, XLA, saving."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmls_tf.bands import BAND_NAMES
from mmls_tf.errors import UsageError
from mmls_tf.losses import BceDice
from mmls_tf.models.registry import build_model
from mmls_tf.models.spec import ModelSpec


def spec(size: int, bands: int, filters: int) -> ModelSpec:
    return ModelSpec("unet", "plain", filters, size, BAND_NAMES[:bands])


def small(bands: int = 3, precision: str = "float32", seed: int = 0) -> keras.Model:
    return build_model(spec(32, bands, 4), precision, seed)


def images(bands: int = 3, batch: int = 2) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(batch, 32, 32, bands)).astype(np.float32)


def target(batch: int = 2) -> np.ndarray:
    mask = np.random.default_rng(1).integers(0, 2, size=(batch, 32, 32, 1))
    return np.concatenate([mask, np.ones_like(mask)], axis=-1).astype(np.float32)


@pytest.mark.parametrize("bands", [1, 7])
@pytest.mark.parametrize("batch", [1, 3])
def test_it_gives_one_logit_a_pixel_for_any_number_of_bands_and_tiles(bands: int, batch: int) -> None:
    assert small(bands)(images(bands, batch)).shape == (batch, 32, 32, 1)


def test_sixteen_filters_have_the_parameters_of_the_textbook() -> None:
    def block(inputs: int, filters: int) -> int:
        normalised = 4 * filters  # gamma, beta, moving mean and variance
        return 9 * inputs * filters + normalised + 9 * filters * filters + normalised

    widths = [16, 32, 64, 128]
    down = sum(block(i, o) for i, o in zip([7, *widths[:-1]], widths, strict=True))
    up = sum(block(3 * o, o) for o in widths)  # twice as many from below, as many from the side
    expected = down + block(128, 256) + up + 17
    assert build_model(spec(128, 7, 16), "float32", 0).count_params() == expected


def test_every_trainable_variable_gets_a_finite_gradient() -> None:
    model = small()
    with tf.GradientTape() as tape:
        loss = BceDice()(target(), model(images(), training=True))
    gradients = tape.gradient(loss, model.trainable_variables)
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert gradient is not None, variable.path
        assert np.isfinite(gradient.numpy()).all(), variable.path
        assert np.abs(gradient.numpy()).max() > 0, variable.path


def test_mixed_precision_computes_in_bfloat16_and_keeps_variables_and_logits_in_float32() -> None:
    model = small(precision="bfloat16")
    assert model.get_layer("encoder").get_layer("level0_a_conv").compute_dtype == "bfloat16"
    assert {variable.dtype for variable in model.variables} == {"float32"}
    assert keras.config.dtype_policy().name == "float32", "the policy outside is left as it was"
    logits = model(images())
    assert logits.dtype == "float32"
    np.testing.assert_allclose(logits, small()(images()), atol=0.1)


def test_the_seed_decides_the_weights() -> None:
    one, same, other = (small(seed=seed).get_weights()[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_a_tile_that_is_no_multiple_of_the_stride_is_refused() -> None:
    with pytest.raises(
        UsageError, match="tiles of 40 x 40 pixels: expected a multiple of the model's stride, 16"
    ):
        build_model(spec(40, 3, 4), "float32", 0)


def test_it_loads_from_a_file_in_safe_mode_and_gives_the_same_logits(tmp_path: Path) -> None:
    model = small(precision="bfloat16")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(model(images()), loaded(images()))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_xla_gives_the_same_loss_and_the_same_weights_after_a_step_as_no_xla(precision: str) -> None:
    results = []
    for jit in (False, True):
        model = small(precision=precision)
        model.compile(optimizer=keras.optimizers.SGD(0.1), loss=BceDice(), jit_compile=jit)
        loss = model.train_on_batch(images(), target())
        results.append((float(loss), model.get_weights()))
    tolerance = 1e-4 if precision == "float32" else 3e-2
    assert results[0][0] == pytest.approx(results[1][0], rel=tolerance)
    for plain, compiled in zip(results[0][1], results[1][1], strict=True):
        np.testing.assert_allclose(plain, compiled, atol=tolerance)
