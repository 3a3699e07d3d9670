"""The loss against scikit-learn and NumPy."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import log_loss

from mmls_tf.losses import BceDice


def case(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    mask = rng.choice([0, 1, 255], size=(2, 8, 8), p=[0.5, 0.4, 0.1])
    valid = rng.random((2, 8, 8)) > 0.2
    logits = rng.normal(0, 2, size=(2, 8, 8, 1)).astype(np.float32)
    return np.stack([mask, valid], axis=-1).astype(np.uint8), logits


def test_it_is_cross_entropy_plus_dice_over_pixels_that_are_labelled_and_valid() -> None:
    target, logits = case()
    counted = (target[..., 0] != 255) & (target[..., 1] == 1)
    labels = target[..., 0][counted].astype(float)
    probability = 1 / (1 + np.exp(-logits[..., 0][counted].astype(np.float64)))
    dice = 1 - (2 * (labels * probability).sum() + 1) / (labels.sum() + probability.sum() + 1)
    expected = log_loss(labels, probability) + dice
    assert float(BceDice()(target, logits)) == pytest.approx(expected, rel=1e-5)


def test_pixels_that_are_unknown_or_invalid_have_no_gradient_and_all_others_have() -> None:
    target, logits = case(1)
    variable = tf.Variable(logits)
    with tf.GradientTape() as tape:
        loss = BceDice()(target, variable)
    gradient = tape.gradient(loss, variable).numpy()[..., 0]
    counted = (target[..., 0] != 255) & (target[..., 1] == 1)
    assert (gradient[~counted] == 0).all()
    assert (gradient[counted] != 0).all()


def test_a_batch_without_any_counted_pixel_costs_nothing() -> None:
    target, logits = case()
    target[..., 1] = 0
    assert float(BceDice()(target, logits)) == 0.0


def test_extreme_logits_give_a_finite_loss() -> None:
    target, logits = case()
    assert np.isfinite(float(BceDice()(target, np.sign(logits) * 1e4)))


def test_logits_in_bfloat16_are_summed_in_float32() -> None:
    target = np.zeros((1, 64, 64, 2), np.uint8)
    target[..., 1] = 1
    target[:, :32, :, 0] = 1
    logits = keras.ops.cast(np.full((1, 64, 64, 1), 0.5, np.float32), "bfloat16")
    loss = BceDice()(target, logits)
    expected = float(BceDice()(target, np.full((1, 64, 64, 1), 0.5, np.float32)))
    assert loss.dtype == "float32"
    assert float(loss) == pytest.approx(expected, rel=1e-5)
