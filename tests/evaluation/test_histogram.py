"""The histogram of probabilities against counting pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest

from mmls_tf.errors import DatasetError
from mmls_tf.evaluation.confusion import Confusion, count_pixels
from mmls_tf.evaluation.curves import confusions, thresholds
from mmls_tf.evaluation.histogram import (
    LEVELS,
    Accumulator,
    Histogram,
    code_probabilities,
    count_probabilities,
)


def case(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.random((40, 40), np.float32), rng.choice([0, 1, 255], size=(40, 40)).astype(np.uint8)


def test_every_labelled_pixel_is_counted_once_under_its_class_and_nearest_code() -> None:
    probability, mask = case()
    histogram = count_probabilities(probability, mask)
    for label, counts in enumerate((histogram.background, histogram.landslide)):
        codes = np.rint(probability[mask == label].astype(np.float64) * 65535).astype(int)
        assert counts.tolist() == np.bincount(codes, minlength=LEVELS).tolist()
    assert histogram.counts.dtype == np.int64


@pytest.mark.parametrize("code", [1, 12345, 32768, 65535])
def test_pixels_at_and_beside_a_threshold_fall_on_the_side_that_comparing_puts_them(code: int) -> None:
    threshold = thresholds()[code]
    exact = np.float32(threshold)
    near = np.array([[np.nextafter(exact, np.float32(0)), exact, np.nextafter(exact, np.float32(1))]])
    mask = np.ones_like(near, np.uint8)
    counted = Confusion(*confusions(count_probabilities(near, mask))[code].tolist())
    assert counted == Confusion(true_positive=1, false_negative=2)
    for probability in (near, near.astype(np.float64)):
        assert count_pixels(probability > float(threshold), mask) == counted


def test_one_half_is_exactly_a_threshold_and_itself_not_landslide() -> None:
    assert thresholds()[32768] == 0.5
    halves = count_probabilities(np.full((2, 3), 0.5, np.float32), np.ones((2, 3), np.uint8))
    assert confusions(halves)[32768].tolist() == [0, 0, 6, 0]


def test_tiles_add_up_in_place_and_by_sum_alike() -> None:
    accumulator = Accumulator()
    for seed in (0, 1, 2):
        accumulator.add(*case(seed))
    summed = sum((count_probabilities(*case(seed)) for seed in (0, 1, 2)), Histogram.empty())
    result = accumulator.histogram()
    assert np.array_equal(result.counts, summed.counts)
    accumulator.add(*case(3))
    assert np.array_equal(result.counts, summed.counts), "a histogram handed out does not change any more"


def test_codes_stand_for_the_middle_of_their_range_and_never_for_certainty() -> None:
    probabilities = code_probabilities()
    assert probabilities[[1, 32768, 65534]] == pytest.approx(np.array([1, 32768, 65534]) / 65535, rel=1e-15)
    assert 0.0 < probabilities[0] < 0.5 / 65535
    assert probabilities[0] == pytest.approx(1.0 - probabilities[-1], rel=1e-9)


@pytest.mark.parametrize("wrong", [np.nan, -0.001, 1.001])
def test_what_is_no_probability_is_an_error_where_it_is_labelled(wrong: float) -> None:
    probability, mask = np.full((2, 2), 0.3, np.float32), np.array([[0, 1], [1, 255]], np.uint8)
    probability[0, 1] = wrong
    with pytest.raises(DatasetError, match=r"expected landslide probabilities in \[0, 1\]"):
        count_probabilities(probability, mask)
    mask[0, 1] = 255
    assert count_probabilities(probability, mask).counts.sum() == 2
