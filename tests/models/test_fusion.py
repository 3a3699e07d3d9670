"""Fusion: who sees which bands, what the gates compute, and that they turn to the side that has something to say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest

from mmls_tf.bands import BAND_NAMES
from mmls_tf.errors import UsageError
from mmls_tf.losses import BceDice
from mmls_tf.models.fusion import SelectBands, read_gates
from mmls_tf.models.registry import build_model
from mmls_tf.models.spec import ModelSpec

GATED = ModelSpec("unet", "plain", 4, 32, BAND_NAMES, "gated")
OPTICAL, RELIEF = [0, 1, 2, 6], [3, 4, 5]
STRIDES = [1, 2, 4, 8, 16]


def images(batch: int = 2) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(batch, 32, 32, 7)).astype(np.float32)


def without(tiles: np.ndarray, bands: list[int]) -> np.ndarray:
    """The mean after normalisation, as missing bands are."""
    tiles = tiles.copy()
    tiles[..., bands] = 0.0
    return tiles


def outputs(model: keras.Model, names: list[str], tiles: np.ndarray) -> list[np.ndarray]:
    tensors = keras.Model(model.input, [model.get_layer(name).output for name in names])(tiles)
    return [np.asarray(tensor) for tensor in tensors]


def test_bands_are_picked_by_index() -> None:
    x = np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4)
    layer = SelectBands((3, 1))
    np.testing.assert_array_equal(layer(x), x[..., [3, 1]])
    assert SelectBands.from_config(layer.get_config()).indices == (3, 1)


@pytest.mark.parametrize("kind", ["concat", "gated"])
def test_each_encoder_sees_the_bands_of_its_side_and_no_other(kind: str) -> None:
    model = build_model(replace(GATED, fusion=kind), "float32", 0)
    names = ["optical_bands", "relief_bands"]
    optical, relief = outputs(model, names, images())
    np.testing.assert_array_equal(optical, images()[..., OPTICAL])
    np.testing.assert_array_equal(relief, images()[..., RELIEF])
    assert model.get_layer("optical_encoder").input_shape == (None, 32, 32, 4)
    assert model.get_layer("relief_encoder").input_shape == (None, 32, 32, 3)
    assert not np.allclose(model(images()), model(without(images(), OPTICAL)))
    assert not np.allclose(model(images()), model(without(images(), RELIEF)))


@pytest.mark.parametrize("kind", ["concat", "gated"])
def test_every_level_is_fused_to_the_width_of_one_encoder(kind: str) -> None:
    model = build_model(replace(GATED, fusion=kind), "float32", 0)
    last = "_relu" if kind == "concat" else ""
    for stride in STRIDES:
        fused = model.get_layer(f"fused{stride}{last}").output
        assert fused.shape == (None, 32 // stride, 32 // stride, 4 * stride)


@pytest.mark.parametrize(
    "bands", [("red", "green", "blue", "gray"), ("dem",), ("dem", "slope", "thermal_inertia")]
)
def test_bands_of_one_side_are_refused(bands: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match=f"found only {', '.join(bands)}; use --fusion=none"):
        build_model(replace(GATED, bands=bands), "float32", 0)


def test_an_unknown_fusion_is_refused() -> None:
    with pytest.raises(UsageError, match="--fusion=sum: expected none or one of concat, gated"):
        build_model(replace(GATED, fusion="sum"), "float32", 0)


@pytest.mark.parametrize("bands", [("red", "thermal_inertia"), ("dem", "slope", "gray")])
def test_one_band_of_each_side_is_enough(bands: tuple[str, ...]) -> None:
    model = build_model(replace(GATED, bands=bands), "float32", 0)
    assert model(images()[..., : len(bands)]).shape == (2, 32, 32, 1)


def test_a_level_is_the_mean_of_both_sides_weighted_by_the_gate_of_its_formula() -> None:
    model = build_model(GATED, "float32", 0)
    both, pixel, found_gate, fused = outputs(model, ["both4", "gate4_pixel", "gate4", "fused4"], images())
    optical, relief = np.split(both, 2, axis=-1)

    def dense(x: np.ndarray, name: str) -> np.ndarray:
        kernel, bias = model.get_layer(name).get_weights()
        return x @ kernel + bias

    squeezed = dense(both.mean(axis=(1, 2)), "gate4_squeeze")
    context = dense(squeezed / (1 + np.exp(-squeezed)), "gate4_channel")[:, None, None]
    gate = 1 / (1 + np.exp(-context - pixel))
    np.testing.assert_allclose(found_gate, gate, rtol=1e-4)
    np.testing.assert_allclose(fused, gate * optical + (1 - gate) * relief, rtol=1e-4, atol=1e-5)


def test_gates_lie_between_0_and_1_and_vary_with_the_input_from_tile_to_tile_and_pixel_to_pixel() -> None:
    gates = read_gates(build_model(GATED, "float32", 0), images())
    assert sorted(gates) == STRIDES
    for stride, gate in gates.items():
        assert gate.shape == (2, 32 // stride, 32 // stride, 4 * stride)
        assert gate.min() > 0 and gate.max() < 1
        assert np.abs(gate[0].mean(axis=(0, 1)) - gate[1].mean(axis=(0, 1))).max() > 1e-3, stride
        assert gate.std(axis=(1, 2)).min() > 1e-3, stride


def test_gates_differ_when_a_side_is_missing() -> None:
    model = build_model(GATED, "float32", 0)
    whole = read_gates(model, images())
    for missing in (OPTICAL, RELIEF):
        for stride, gate in read_gates(model, without(images(), missing)).items():
            assert np.abs(gate - whole[stride]).mean() > 0.01, stride


@pytest.mark.slow
def test_gates_learn_to_turn_away_from_the_side_that_is_missing() -> None:
    """Either side shows the landslides, until it is missing: what is left of its weight tells whether it is noticed."""
    model = build_model(replace(GATED, decoder="segformer", bands=("red", "dem")), "float32", 0)
    model.compile(optimizer=keras.optimizers.Adam(1e-2), loss=BceDice(), jit_compile=False)
    rng = np.random.default_rng(0)
    for _ in range(30):
        tiles, truth = landslides_seen_twice(rng)
        for index in range(0, len(tiles), 3):  # of three tiles one lacks red, one dem, one nothing
            tiles[index] = without(tiles[index], [0])
            tiles[index + 1] = without(tiles[index + 1], [1])
        model.train_on_batch(tiles, truth)
    tiles, _ = landslides_seen_twice(rng)
    whole, no_red, no_dem = (
        read_gates(model, without(tiles, missing))[4].mean() for missing in ([], [0], [1])
    )
    assert no_red < 0.3
    assert no_dem > 0.7
    assert no_red < whole < no_dem


def landslides_seen_twice(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    mask = np.kron(rng.random((15, 4, 4)) < 0.4, np.ones((8, 8)))[..., None]
    tiles = np.concatenate([2 * mask - 1] * 2, axis=-1) + rng.normal(scale=0.5, size=(15, 32, 32, 2))
    return tiles.astype(np.float32), np.concatenate([mask, np.ones_like(mask)], axis=-1).astype(np.float32)


@pytest.mark.parametrize("decoder", ["pspnet", "deeplabv3plus", "segformer"])
def test_gates_are_read_at_the_strides_that_a_decoder_uses(decoder: str) -> None:
    gates: dict[int, Any] = read_gates(build_model(replace(GATED, decoder=decoder), "float32", 0), images())
    expected = {"pspnet": [8], "deeplabv3plus": [4, 16], "segformer": [4, 8, 16]}
    assert sorted(gates) == expected[decoder]


def test_a_model_without_gates_says_so() -> None:
    with pytest.raises(UsageError, match="model unet: expected gates, as --fusion=gated has, found none"):
        read_gates(build_model(replace(GATED, fusion="concat"), "float32", 0), images())
