"""The metric that watches training, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import jaccard_score

from mmls_tf.metrics import WatchedMiou


def test_it_is_the_mean_of_both_ious_over_all_labelled_pixels_of_all_batches() -> None:
    rng = np.random.default_rng(0)
    mask = rng.choice([0, 1, 255], size=(6, 16, 16, 1)).astype(np.uint8)
    valid = rng.integers(0, 2, size=mask.shape).astype(np.uint8)  # does not matter: the headline counts all
    logits = rng.normal(size=mask.shape).astype(np.float32)
    metric = WatchedMiou()
    for part in (slice(0, 4), slice(4, 6)):
        metric.update_state(np.concatenate([mask, valid], axis=-1)[part], logits[part])
    known = mask != 255
    ious = jaccard_score(mask[known], (logits[known] > 0).astype(int), average=None, labels=[0, 1])
    assert float(metric.result()) == pytest.approx(ious.mean(), abs=1e-6)


def test_it_forgets_on_reset() -> None:
    metric = WatchedMiou()
    target = np.ones((1, 2, 2, 2), np.uint8)
    metric.update_state(target, np.ones((1, 2, 2, 1), np.float32))
    metric.reset_state()
    assert float(metric.result()) == 0.0
