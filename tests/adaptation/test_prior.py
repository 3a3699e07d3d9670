"""The changed prior: the algorithm finds it, the offset is what theory says, and nothing is found where nothing is."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit

from mmls_tf.adaptation.prior import PriorError, estimate_shift, maximise_likelihood
from mmls_tf.evaluation.histogram import Histogram, count_probabilities

PIXELS = 400_000


def world(share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels of a share of positives, and one feature of each, normal around its class."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(PIXELS) < share).astype(np.uint8)
    return labels, rng.normal(2.0 * labels - 1.0, 1.0)


def logits_of(feature: np.ndarray, share: float) -> np.ndarray:
    """Of the true posterior under a prior."""
    return 2.0 * feature + logit(share)


def histogram(logits: np.ndarray, labels: np.ndarray) -> Histogram:
    return count_probabilities(expit(logits)[None], labels[None])


def codes(logits: np.ndarray) -> np.ndarray:
    return histogram(logits, np.zeros(len(logits), np.uint8)).background


@pytest.mark.parametrize("target", [0.1, 0.22, 0.6])
@pytest.mark.parametrize("sharpness", [1.0, 2.5])
def test_the_share_of_the_target_is_found_whatever_the_temperature(target: float, sharpness: float) -> None:
    labels, feature = world(0.35, 0)
    val = histogram(sharpness * logits_of(feature, 0.35), labels)
    _, there = world(target, 1)
    shift = estimate_shift(val, codes(sharpness * logits_of(there, 0.35)))
    assert shift.temperature == pytest.approx(sharpness, rel=0.02)
    assert shift.source == pytest.approx(0.35, abs=0.003)
    assert shift.target == pytest.approx(target, abs=0.005)
    assert shift.offset == pytest.approx(sharpness * (logit(target) - logit(0.35)), abs=0.07)


def test_moved_logits_are_the_posterior_under_the_new_prior() -> None:
    labels, feature = world(0.35, 0)
    _, there = world(0.22, 1)
    shift = estimate_shift(histogram(logits_of(feature, 0.35), labels), codes(logits_of(there, 0.35)))
    np.testing.assert_allclose(logits_of(there, 0.35) + shift.offset, logits_of(there, 0.22), atol=0.05)


def test_the_estimate_maximises_the_likelihood_of_the_target() -> None:
    rng = np.random.default_rng(2)
    probability, counts = rng.uniform(0.05, 0.95, 50), rng.integers(1, 100, 50)
    share, _ = maximise_likelihood(probability, counts, 0.4)

    def loss(q: float) -> float:
        return -float(counts @ np.log(q / 0.4 * probability + (1 - q) / 0.6 * (1 - probability)))

    expected = minimize_scalar(loss, bounds=(1e-6, 1 - 1e-6), method="bounded", options={"xatol": 1e-9}).x
    assert share == pytest.approx(expected, abs=1e-5)


def test_where_nothing_has_changed_nothing_is_found() -> None:
    labels, feature = world(0.35, 0)
    logits = logits_of(feature, 0.35) + 0.8  # biased, as a region loss leaves a network
    shift = estimate_shift(histogram(logits, labels), codes(logits))
    assert shift.offset == pytest.approx(0.0, abs=1e-4)


def test_a_target_of_one_class_alone_is_refused() -> None:
    labels, feature = world(0.35, 0)
    val = histogram(logits_of(feature, 0.35), labels)
    with pytest.raises(
        PriorError, match=r"expected an estimated share of landslides between 0\.0001 and 0\.9999"
    ):
        estimate_shift(val, codes(np.full(100, -5.0)))
