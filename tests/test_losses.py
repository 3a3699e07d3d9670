"""The losses against scikit-learn and NumPy."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage
from sklearn.metrics import jaccard_score, log_loss

from mmls_tf.errors import UsageError
from mmls_tf.losses import LOSSES, BceDice, lovasz_extension, make_loss, near_boundary


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


@pytest.mark.parametrize("name", LOSSES)
def test_pixels_that_are_unknown_or_invalid_have_no_gradient_and_all_others_have(name: str) -> None:
    target, logits = case(1)
    variable = tf.Variable(logits)
    with tf.GradientTape() as tape:
        loss = make_loss(name)(target, variable)
    gradient = tape.gradient(loss, variable).numpy()[..., 0]
    counted = (target[..., 0] != 255) & (target[..., 1] == 1)
    assert (gradient[~counted] == 0).all()
    assert (gradient[counted] != 0).all()


@pytest.mark.parametrize("name", LOSSES)
def test_a_batch_without_any_counted_pixel_costs_nothing_and_has_no_gradient(name: str) -> None:
    target, logits = case()
    target[..., 1] = 0
    variable = tf.Variable(logits)
    with tf.GradientTape() as tape:
        loss = make_loss(name)(target, variable)
    assert float(loss) == 0.0
    assert (tape.gradient(loss, variable).numpy() == 0).all()


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("sign", [1, -1])
def test_extreme_logits_give_a_finite_loss_and_a_finite_gradient(name: str, sign: int) -> None:
    target, _ = case()
    logits = tf.Variable(sign * (2.0 * (target[..., :1] == 1) - 1) * 1e4, dtype=tf.float32)
    with tf.GradientTape() as tape:
        loss = make_loss(name)(target, logits)
    assert np.isfinite(float(loss))
    assert np.isfinite(tape.gradient(loss, logits).numpy()).all()


@pytest.mark.parametrize("name", LOSSES)
def test_right_answers_cost_less_than_guesses_and_these_less_than_wrong_ones(name: str) -> None:
    target, _ = case()
    right = 4.0 * (2.0 * (target[..., :1] == 1) - 1).astype(np.float32)
    costs = [float(make_loss(name)(target, factor * right)) for factor in (1.0, 0.0, -1.0)]
    assert costs == sorted(costs)
    assert len(set(costs)) == 3


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_comes_back_from_its_configuration(name: str) -> None:
    target, logits = case()
    options = {} if name in ("dice", "focal_tversky") else {"label_smoothing": 0.1, "landslide_weight": 3.0}
    loss = make_loss(name, **options)
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert float(again(target, logits)) == float(loss(target, logits))


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_compiles_with_xla_to_the_same_value_and_gradient(name: str) -> None:
    target, logits = case(4)
    results = []
    for jit in (False, True):

        @tf.function(jit_compile=jit)
        def value_and_gradient(y: tf.Tensor, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            with tf.GradientTape() as tape:
                tape.watch(x)
                loss = make_loss(name)(y, x)
            return loss, tape.gradient(loss, x)

        results.append(
            [part.numpy() for part in value_and_gradient(tf.constant(target), tf.constant(logits))]
        )
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-5)
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-4, atol=1e-7)


def counted_values(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    target, logits = case(seed)
    counted = (target[..., 0] != 255) & (target[..., 1] == 1)
    return target, logits, target[..., 0][counted].astype(float), logits[..., 0][counted].astype(np.float64)


def test_smoothing_and_the_weight_of_landslides_are_those_of_the_formula() -> None:
    target, logits, labels, x = counted_values(2)
    smooth, weight = np.where(labels == 1, 0.9, 0.1), np.where(labels == 1, 3.0, 1.0)
    probability = 1 / (1 + np.exp(-x))
    entropy = -(smooth * np.log(probability) + (1 - smooth) * np.log(1 - probability))
    expected = (weight * entropy).sum() / weight.sum()
    assert float(make_loss("bce", 0.2, 3.0)(target, logits)) == pytest.approx(expected, rel=1e-5)


def test_focal_tversky_is_that_of_the_paper() -> None:
    target, logits, labels, x = counted_values(3)
    probability = 1 / (1 + np.exp(-x))
    both = (labels * probability).sum()
    missed, false = (labels * (1 - probability)).sum(), ((1 - labels) * probability).sum()
    expected = (1 - (both + 1) / (both + 0.7 * missed + 0.3 * false + 1)) ** 0.75
    assert float(make_loss("focal_tversky")(target, logits)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_the_lovasz_extension_of_wrong_and_right_pixels_is_one_minus_iou(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, guess = rng.integers(0, 2, (2, 300))
    weights = (rng.random(300) > 0.2).astype(np.float32)
    errors, labels = (truth != guess) * weights, truth * weights
    found = float(lovasz_extension(errors.astype(np.float32), labels.astype(np.float32), weights))
    inside = weights == 1
    assert found == pytest.approx(1 - jaccard_score(truth[inside], guess[inside]), abs=1e-5)


def test_the_lovasz_extension_is_linear_between_the_corners_of_one_order() -> None:
    rng = np.random.default_rng(0)
    labels, weights = rng.integers(0, 2, 50).astype(np.float32), np.ones(50, np.float32)
    errors = np.sort(rng.random(50).astype(np.float32))[::-1].copy()
    corners = [(np.arange(50) < count).astype(np.float32) for count in range(1, 51)]
    steps = errors - np.append(errors[1:], 0)  # errors = sum of steps times corners
    expected = sum(
        step * float(lovasz_extension(corner, labels, weights))
        for step, corner in zip(steps, corners, strict=True)
    )
    assert float(lovasz_extension(errors, labels, weights)) == pytest.approx(expected, rel=1e-4)


def test_pixels_near_a_boundary_are_those_that_scipy_dilates_to() -> None:
    rng = np.random.default_rng(1)
    labels = ndimage.binary_dilation(rng.random((20, 20)) > 0.97, iterations=2)
    weights = np.ones((20, 20), bool)
    weights[:, 15:] = False
    labels &= weights
    square = np.ones((5, 5), bool)
    expected = np.where(
        labels, ndimage.binary_dilation(~labels & weights, square), ndimage.binary_dilation(labels, square)
    )
    found = near_boundary(*(np.float32(value)[None, ..., None] for value in (labels, weights)))
    np.testing.assert_array_equal(np.asarray(found)[0, ..., 0], expected & weights)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("hinge",), "--loss=hinge: expected one of bce,"),
        (("dice", 0.1), "--loss=dice: expected no --label_smoothing"),
    ],
)
def test_a_loss_that_there_is_not_is_refused(arguments: tuple, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_loss(*arguments)


def test_logits_in_bfloat16_are_summed_in_float32() -> None:
    target = np.zeros((1, 64, 64, 2), np.uint8)
    target[..., 1] = 1
    target[:, :32, :, 0] = 1
    logits = keras.ops.cast(np.full((1, 64, 64, 1), 0.5, np.float32), "bfloat16")
    loss = BceDice()(target, logits)
    expected = float(BceDice()(target, np.full((1, 64, 64, 1), 0.5, np.float32)))
    assert loss.dtype == "float32"
    assert float(loss) == pytest.approx(expected, rel=1e-5)
