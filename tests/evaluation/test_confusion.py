"""Counts and metrics against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from mmls_tf.evaluation.confusion import Confusion, count_pixels


def case() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.random((5, 40, 40)) > 0.6, rng.choice([0, 1, 255], size=(5, 40, 40)).astype(np.uint8)


def test_counts_are_those_of_scikit_learn_over_known_labels() -> None:
    predicted, mask = case()
    known = mask != 255
    (tn, fp), (fn, tp) = metrics.confusion_matrix(mask[known], predicted[known]).tolist()
    assert count_pixels(predicted, mask) == Confusion(tp, fp, fn, tn)


def test_metrics_are_those_of_scikit_learn() -> None:
    predicted, mask = case()
    known = mask != 255
    truth, guess = mask[known], predicted[known].astype(int)
    background, landslide = metrics.jaccard_score(truth, guess, average=None)
    expected = {
        "precision": metrics.precision_score(truth, guess),
        "recall": metrics.recall_score(truth, guess),
        "f1": metrics.f1_score(truth, guess),
        "iou_landslide": landslide,
        "iou_background": background,
        "miou": (landslide + background) / 2,
    }
    assert count_pixels(predicted, mask).metrics() == pytest.approx(expected, rel=1e-12)


def test_pixels_outside_the_selection_do_not_count() -> None:
    predicted, mask = case()
    chosen = np.zeros(mask.shape, np.uint8)
    chosen[:2] = 1
    assert count_pixels(predicted, mask, chosen == 1) == count_pixels(predicted[:2], mask[:2])


def test_counts_add_up_beyond_what_float32_holds() -> None:
    large = Confusion(true_positive=2**40) + Confusion(true_positive=1, true_negative=3)
    assert large == Confusion(2**40 + 1, 0, 0, 3)
    assert large.pixels == 2**40 + 4


def test_what_is_undefined_is_none_and_not_a_number_made_up() -> None:
    assert set(Confusion().metrics().values()) == {None}
    only_background = Confusion(true_negative=10)
    assert only_background.iou_background == 1.0
    assert only_background.iou_landslide is None
    assert only_background.miou is None
