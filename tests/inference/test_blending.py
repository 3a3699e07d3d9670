"""Windows become one map: exactly, in any order, and as plain NumPy does it."""

from __future__ import annotations

import numpy as np
import pytest
from map_world import starts

from mmls_tf.errors import DatasetError
from mmls_tf.inference.blending import RowBlender, weight_sums, window_weights
from mmls_tf.inference.plan import WindowPlan, plan_windows

SIZES = [(20, 25), (32, 32), (33, 70), (75, 101)]


def blended(
    plan: WindowPlan, windows: dict[tuple[int, int], np.ndarray], seed: int | None = None
) -> np.ndarray:
    """The map, windows of each row added from left to right or in a shuffled order."""
    blender = RowBlender(plan)
    found = []
    for row in plan.rows:
        columns = list(plan.columns)
        if seed is not None:
            np.random.default_rng(seed).shuffle(columns)
        for column in columns:
            blender.add(column, windows[row, column])
        found.append(blender.finish_row())
    return np.concatenate(found)


def random_windows(plan: WindowPlan) -> dict[tuple[int, int], np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        (row, column): rng.random((plan.tile, plan.tile)).astype(np.float32)
        for row in plan.rows
        for column in plan.columns
    }


@pytest.mark.parametrize("overlap", [0.0, 0.3, 0.5, 0.9])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_a_constant_stays_the_same_constant_to_the_last_bit(height: int, width: int, overlap: float) -> None:
    plan = plan_windows(height, width, 32, overlap, 0)
    value = np.float32(0.7310586)
    windows = dict.fromkeys(random_windows(plan), np.full((32, 32), value))
    found = blended(plan, windows)
    assert found.shape == (height, width)
    assert found.dtype == np.float32
    assert set(np.unique(found)) == {value}


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_the_order_of_windows_changes_no_bit(height: int, width: int) -> None:
    plan = plan_windows(height, width, 32, 0.75, 0)
    windows = random_windows(plan)
    expected = blended(plan, windows)
    for seed in range(3):
        np.testing.assert_array_equal(blended(plan, windows, seed), expected)


@pytest.mark.parametrize("overlap", [0.0, 0.3, 0.5, 0.9])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_it_is_the_mean_weighted_by_hann_windows(height: int, width: int, overlap: float) -> None:
    plan = plan_windows(height, width, 32, overlap, 0)
    windows = random_windows(plan)
    hann = np.maximum(np.rint(1024 * np.sin(np.pi * (np.arange(32) + 0.5) / 32) ** 2), 1)
    weight = hann[:, None] * hann[None, :]
    total, weights = np.zeros((max(32, height), max(32, width))), np.zeros((max(32, height), max(32, width)))
    stride = max(1, round(32 * (1 - overlap)))
    for top in starts(height, 32, stride):
        for left in starts(width, 32, stride):
            total[top : top + 32, left : left + 32] += weight * windows[top, left]
            weights[top : top + 32, left : left + 32] += weight
    expected = (total / weights)[:height, :width]
    np.testing.assert_allclose(blended(plan, windows), expected, atol=1e-6)


def test_weights_are_symmetric_multiples_of_a_power_of_two_and_never_zero() -> None:
    weights = window_weights(128)
    np.testing.assert_array_equal(weights, weights[::-1])
    np.testing.assert_array_equal(weights * 1024, np.rint(weights * 1024))
    assert weights.min() == 1 / 1024
    assert weights.max() == 1.0


def test_weights_of_half_overlapping_windows_sum_to_one_inside() -> None:
    sums = weight_sums(range(0, 97, 16), 32, 128)
    np.testing.assert_allclose(sums[16:112], 1.0, atol=2 / 1024)


@pytest.mark.parametrize("overlap", [0.0, 0.5, 0.9])
def test_work_taken_up_again_at_any_row_gives_the_same_bits(overlap: float) -> None:
    plan = plan_windows(75, 60, 32, overlap, 0)
    windows = random_windows(plan)
    whole = blended(plan, windows)
    for stop in range(1, len(plan.rows)):
        first = RowBlender(plan)
        found = []
        for row in plan.rows[:stop]:
            for column in plan.columns:
                first.add(column, windows[row, column])
            found.append(first.finish_row())
        second = RowBlender(plan, first.index, first.overhang.copy())
        for row in plan.rows[stop:]:
            for column in plan.columns:
                second.add(column, windows[row, column])
            found.append(second.finish_row())
        np.testing.assert_array_equal(np.concatenate(found), whole)


def test_no_number_is_an_error_that_says_where() -> None:
    blender = RowBlender(plan_windows(64, 64, 32, 0.5, 0))
    with pytest.raises(DatasetError, match="row 0, column 16: expected finite logits, found NaN"):
        blender.add(16, np.full((32, 32), np.nan, np.float32))
