"""The U-Net: its size and its widths; what it has in common with every model is in test_contract.py."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from mmls_tf.bands import BAND_NAMES
from mmls_tf.models.registry import build_model
from mmls_tf.models.spec import ModelSpec


def spec(size: int, bands: int, filters: int) -> ModelSpec:
    return ModelSpec("unet", "plain", filters, size, BAND_NAMES[:bands])


def small(bands: int = 3, precision: str = "float32") -> keras.Model:
    return build_model(spec(32, bands, 4), precision, 0)


def images(bands: int = 3, batch: int = 2) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(batch, 32, 32, bands)).astype(np.float32)


def target(batch: int = 2) -> np.ndarray:
    mask = np.random.default_rng(1).integers(0, 2, size=(batch, 32, 32, 1))
    return np.concatenate([mask, np.ones_like(mask)], axis=-1).astype(np.float32)


def test_sixteen_filters_have_the_parameters_of_the_textbook() -> None:
    def block(inputs: int, filters: int) -> int:
        normalised = 4 * filters  # gamma, beta, moving mean and variance
        return 9 * inputs * filters + normalised + 9 * filters * filters + normalised

    widths = [16, 32, 64, 128]
    down = sum(block(i, o) for i, o in zip([7, *widths[:-1]], widths, strict=True))
    up = sum(block(3 * o, o) for o in widths)  # twice as many from below, as many from the side
    expected = down + block(128, 256) + up + 17
    assert build_model(spec(128, 7, 16), "float32", 0).count_params() == expected


def test_a_single_band_is_enough() -> None:
    assert small(bands=1)(images(bands=1)).shape == (2, 32, 32, 1)


@pytest.mark.parametrize("stride", [1, 2, 4, 8])
def test_a_block_is_as_wide_as_the_level_of_the_encoder_beside_it(stride: int) -> None:
    model = small()
    below, skip = model.get_layer(f"skip{stride}").input
    assert (below.shape[-1], skip.shape[-1]) == (8 * stride, 4 * stride)
    assert model.get_layer(f"up{stride}_b_relu").output.shape == (
        None,
        32 // stride,
        32 // stride,
        4 * stride,
    )
