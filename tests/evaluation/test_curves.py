"""Curves and thresholds against scikit-learn and against trying every threshold."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from sklearn import metrics

from mmls_tf.errors import DatasetError
from mmls_tf.evaluation.confusion import Confusion, count_pixels
from mmls_tf.evaluation.curves import (
    average_precision,
    best_threshold,
    confusions,
    curve_points,
    precision_recall,
    thresholds,
)
from mmls_tf.evaluation.histogram import Histogram, count_probabilities


def case(pixels: int = 3000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    mask = (rng.random((1, pixels)) < 0.3).astype(np.uint8)
    logits = rng.normal(2.0 * mask - 1.7, 1.5)
    return expit(logits).astype(np.float32), mask


def quantised(probability: np.ndarray) -> np.ndarray:
    return np.rint(probability.astype(np.float64) * 65535) / 65535


def test_counts_at_every_threshold_are_those_of_comparing() -> None:
    probability, mask = case()
    found = confusions(count_probabilities(probability, mask))
    assert found.shape == (65537, 4)
    for index in (0, 1, 999, 20000, 32768, 50000, 65535, 65536):
        expected = count_pixels(probability > float(thresholds()[index]), mask)
        assert Confusion(*found[index].tolist()) == expected


def test_the_curve_is_that_of_scikit_learn() -> None:
    probability, mask = case()
    curve = curve_points(count_probabilities(probability, mask))
    precision, recall, limits = metrics.precision_recall_curve(mask[0], quantised(probability)[0])
    assert curve.precision == pytest.approx(precision[:-1], rel=1e-12)
    assert curve.recall == pytest.approx(recall[:-1], rel=1e-12)
    assert np.all((limits - curve.threshold) * 65535 == pytest.approx(0.5, abs=0.01))


def test_average_precision_is_that_of_scikit_learn() -> None:
    probability, mask = case()
    expected = metrics.average_precision_score(mask[0], quantised(probability)[0])
    assert average_precision(count_probabilities(probability, mask)) == pytest.approx(expected, rel=1e-12)


def test_average_precision_with_many_equal_probabilities_is_that_of_scikit_learn() -> None:
    probability, mask = case()
    coarse = np.round(probability, 1)
    expected = metrics.average_precision_score(mask[0], coarse[0])
    assert average_precision(count_probabilities(coarse, mask)) == pytest.approx(expected, rel=1e-12)


def test_the_thinned_curve_keeps_the_ends_and_the_shape() -> None:
    curve = curve_points(count_probabilities(*case(pixels=200_000)))
    thin = curve.thinned(100)
    assert 90 <= len(thin.recall) <= 100
    assert len(curve.recall) > 20_000
    for index in (0, -1):
        assert thin.recall[index] == curve.recall[index]
        assert thin.precision[index] == curve.precision[index]
    redrawn = np.interp(-curve.recall, -thin.recall, thin.precision)
    reached = curve.recall > 0.01  # before that the curve jumps by single pixels
    assert np.abs(redrawn - curve.precision)[reached].max() < 0.01


def test_a_thinned_curve_keeps_steep_parts_and_a_flat_end() -> None:
    # Of 600 probabilities the upper 200 are false alarms, where the curve stands still in (0, 0), the middle 200 are
    # hits, where it climbs in both, and the lower 200 false alarms, where precision falls and recall stays 1.
    probability = np.linspace(0.05, 0.95, 600, dtype=np.float32)[None]
    mask = np.zeros((1, 600), np.uint8)
    mask[0, 200:400] = 1
    curve = curve_points(count_probabilities(probability, mask))
    thin = curve.thinned(50)
    assert thin.threshold[-1] == curve.threshold[-1]
    assert len(np.unique(thin.threshold)) == len(thin.threshold) <= 50
    assert np.count_nonzero(thin.recall == 1.0) >= 5, "the fall at full recall is drawn"


def test_a_short_curve_goes_into_json_whole() -> None:
    probability, mask = np.array([[0.1, 0.4, 0.8]], np.float32), np.array([[0, 1, 1]], np.uint8)
    found = precision_recall(count_probabilities(probability, mask))
    assert found["precision"] == pytest.approx([2 / 3, 1.0, 1.0])
    assert found["recall"] == pytest.approx([1.0, 1.0, 0.5])
    assert [type(value) for value in found["threshold"]] == [float] * 3


def test_the_best_threshold_is_found_by_trying_all_of_them() -> None:
    probability, mask = case(pixels=300)
    threshold = best_threshold(count_probabilities(probability, mask))
    best = count_pixels(probability > threshold, mask).miou
    tried = [count_pixels(probability > t, mask).miou for t in np.linspace(0.0, 1.0, 2001)]
    assert best == pytest.approx(max(value for value in tried if value is not None), rel=1e-12)
    assert threshold != pytest.approx(0.5, abs=0.02), "the case is one where one half is not the best"


@pytest.mark.parametrize(
    ("background", "landslide", "expected"),
    [(0.2, 0.9, 0.5), (0.6, 0.9, 0.6), (0.1, 0.3, 0.3)],
)
def test_of_equally_good_thresholds_the_one_nearest_one_half_is_taken(
    background: float, landslide: float, expected: float
) -> None:
    probability = np.array([[background, landslide]], np.float32)
    mask = np.array([[0, 1]], np.uint8)
    threshold = best_threshold(count_probabilities(probability, mask))
    assert threshold == pytest.approx(expected, abs=1.01 / 65535)
    assert (probability > threshold).tolist() == [[False, True]]


def test_the_threshold_parts_float32_and_float64_alike() -> None:
    limits = thresholds()
    assert np.array_equal(limits, limits.astype(np.float32).astype(np.float64))
    exact = (np.arange(65537) - 0.5) / 65535
    assert np.all((limits <= exact) & (exact - limits < 1e-7))


def test_without_landslide_there_is_no_curve_and_no_threshold() -> None:
    only_background = count_probabilities(np.full((2, 2), 0.3), np.zeros((2, 2), np.uint8))
    assert average_precision(only_background) is None
    assert precision_recall(only_background) == {"threshold": [], "precision": [], "recall": []}
    with pytest.raises(DatasetError, match=r"threshold.*found 4 of background and 0 of landslide"):
        best_threshold(only_background)
    assert average_precision(Histogram.empty()) is None
