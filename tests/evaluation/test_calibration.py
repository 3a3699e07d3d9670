"""Calibration against scikit-learn, and temperatures against those that the data were made with."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss

from mmls_tf.errors import DatasetError
from mmls_tf.evaluation.calibration import apply_temperature, calibration, fit_temperature
from mmls_tf.evaluation.curves import average_precision
from mmls_tf.evaluation.histogram import Histogram, code_probabilities, count_probabilities


def case(temperature: float = 2.0, pixels: int = 40_000) -> tuple[np.ndarray, np.ndarray]:
    """Returns overconfident probabilities: they are right once their logits are divided by the temperature."""
    rng = np.random.default_rng(0)
    true = rng.normal(-0.5, 1.5, size=(1, pixels))
    mask = (rng.random((1, pixels)) < expit(true)).astype(np.uint8)
    return expit(temperature * true), mask


def pixel_by_pixel(temperature: float = 1.0) -> tuple[Histogram, np.ndarray, np.ndarray]:
    """Returns the histogram, and the probabilities of its codes and labels pixel by pixel."""
    probability, mask = case()
    codes = np.rint(probability[0] * 65535).astype(int)
    return (
        count_probabilities(probability, mask),
        expit(logit(code_probabilities()[codes]) / temperature),
        mask[0],
    )


@pytest.mark.parametrize("temperature", [1.0, 1.7])
def test_brier_and_likelihood_are_those_of_scikit_learn(temperature: float) -> None:
    histogram, probability, labels = pixel_by_pixel(temperature)
    found = calibration(histogram, temperature)
    assert found["brier"] == pytest.approx(brier_score_loss(labels, probability), rel=1e-10)
    assert found["nll"] == pytest.approx(log_loss(labels, probability), rel=1e-10)
    assert found["temperature"] == temperature


@pytest.mark.parametrize("temperature", [1.0, 1.7])
def test_bins_and_their_error_are_those_of_scikit_learn(temperature: float) -> None:
    histogram, probability, labels = pixel_by_pixel(temperature)
    found = calibration(histogram, temperature)
    frequency, mean = calibration_curve(labels, probability, n_bins=15)
    assert [bar["frequency"] for bar in found["bins"]] == pytest.approx(frequency.tolist(), rel=1e-10)
    assert [bar["probability"] for bar in found["bins"]] == pytest.approx(mean.tolist(), rel=1e-10)
    weights = np.array([bar["pixels"] for bar in found["bins"]]) / len(labels)
    assert found["ece"] == pytest.approx(weights @ np.abs(frequency - mean), rel=1e-10)


def test_a_probability_on_an_edge_belongs_to_the_bin_below() -> None:
    edges = count_probabilities(np.arange(16)[None] / 15, np.ones((1, 16), np.uint8))
    assert [bar["pixels"] for bar in calibration(edges)["bins"]] == [2] + [1] * 14


def test_the_expected_error_is_that_worked_out_by_hand() -> None:
    probability = np.array([[0.1, 0.1, 0.1, 0.1, 0.9, 0.9]])
    found = calibration(count_probabilities(probability, np.array([[0, 0, 0, 1, 1, 0]], np.uint8)))
    assert found["ece"] == pytest.approx(4 / 6 * 0.15 + 2 / 6 * 0.4, abs=1e-4)
    assert found["bins"][5] == {
        "low": 5 / 15,
        "high": 6 / 15,
        "pixels": 0,
        "probability": None,
        "frequency": None,
    }


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_the_temperature_that_the_data_were_made_with_is_found(temperature: float) -> None:
    histogram = count_probabilities(*case(temperature))
    assert fit_temperature(histogram) == pytest.approx(temperature, rel=0.03)


def test_the_temperature_has_the_least_likelihood_loss_of_all_and_mends_the_calibration() -> None:
    histogram = count_probabilities(*case())
    fitted = fit_temperature(histogram)
    losses = {
        t: calibration(histogram, t)["nll"] for t in (0.5, 1.0, 0.99 * fitted, fitted, 1.01 * fitted, 4.0)
    }
    assert min(losses, key=lambda t: losses[t]) == fitted
    before, after = calibration(histogram), calibration(histogram, fitted)
    assert before["ece"] > 0.05
    assert after["ece"] < 0.01
    assert after["brier"] < before["brier"]


def test_scaling_keeps_one_half_and_every_ranking() -> None:
    probability, mask = case(pixels=2000)
    scaled = apply_temperature(probability, 1.5)
    assert np.array_equal(scaled > 0.5, probability > 0.5)
    assert np.array_equal(np.argsort(scaled[0]), np.argsort(probability[0]))
    assert apply_temperature(np.array([0.0, 0.5, 1.0]), 3.0).tolist() == [0.0, 0.5, 1.0]
    assert np.array_equal(apply_temperature(probability, 1.0), probability), "not even rounded"
    before, after = (average_precision(count_probabilities(p, mask)) for p in (probability, scaled))
    assert after == pytest.approx(before, abs=1e-4)


def test_certain_and_wrong_pixels_have_a_finite_loss() -> None:
    wrong = count_probabilities(np.array([[0.0, 1.0]]), np.array([[1, 0]], np.uint8))
    assert calibration(wrong)["nll"] == pytest.approx(np.log(4 * 65535), rel=1e-6)


def test_without_pixels_or_a_class_nothing_is_made_up() -> None:
    empty = calibration(Histogram.empty())
    assert (empty["ece"], empty["brier"], empty["nll"]) == (None, None, None)
    with pytest.raises(DatasetError, match=r"temperature: expected labelled pixels of both classes"):
        fit_temperature(count_probabilities(np.full((1, 2), 0.3), np.ones((1, 2), np.uint8)))
