"""Where windows lie: they cover the scene, stay inside it, and finish every row once."""

from __future__ import annotations

import numpy as np
import pytest

from mmls_tf.errors import UsageError
from mmls_tf.inference.plan import plan_windows

SIZES = [(1, 1), (5, 40), (31, 33), (32, 32), (33, 95), (64, 64), (100, 70), (129, 200)]
OVERLAPS = [0.0, 0.25, 0.5, 0.9]


@pytest.mark.parametrize("overlap", OVERLAPS)
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_windows_cover_every_pixel_and_reach_beyond_no_edge(height: int, width: int, overlap: float) -> None:
    plan = plan_windows(height, width, 32, overlap, 0)
    covered = np.zeros((plan.canvas_height, plan.canvas_width), int)
    for row in plan.rows:
        for column in plan.columns:
            assert row + 32 <= plan.canvas_height
            assert column + 32 <= plan.canvas_width
            covered[row : row + 32, column : column + 32] += 1
    assert covered.min() >= 1
    assert plan.windows == len(plan.rows) * len(plan.columns)
    assert (plan.canvas_height, plan.canvas_width) == (max(32, height), max(32, width))


@pytest.mark.parametrize("overlap", OVERLAPS)
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_bands_are_the_rows_of_the_scene_each_once_and_no_later_window_touches_them(
    height: int, width: int, overlap: float
) -> None:
    plan = plan_windows(height, width, 32, overlap, 0)
    bands = [plan.band(index) for index in range(len(plan.rows))]
    assert [row for band in bands for row in range(*band)] == list(range(height))
    for index, (_, stop) in enumerate(bands):
        assert all(row >= stop for row in plan.rows[index + 1 :])


@pytest.mark.parametrize("batch", [1, 3, 16])
def test_segments_are_all_rows_of_windows_in_turn_with_many_batches_in_each(batch: int) -> None:
    plan = plan_windows(1000, 100, 32, 0.5, 0)
    segments = plan.segments(batch)
    assert [row for segment in segments for row in range(*segment)] == list(range(len(plan.rows)))
    for start, stop in segments[:-1]:
        assert (stop - start) * len(plan.columns) >= 16 * batch


def test_the_stride_is_what_the_overlap_says() -> None:
    assert plan_windows(32, 128, 32, 0.5, 0).columns == (0, 16, 32, 48, 64, 80, 96)
    assert plan_windows(32, 128, 32, 0.0, 0).columns == (0, 32, 64, 96)
    assert plan_windows(32, 100, 32, 0.0, 0).columns == (0, 32, 64, 68)


@pytest.mark.parametrize("overlap", [-0.1, 0.95, 1.0, float("nan")])
def test_an_overlap_out_of_range_is_refused(overlap: float) -> None:
    with pytest.raises(UsageError, match=r"--overlap=.*expected a share from 0 to 0.9"):
        plan_windows(64, 64, 32, overlap, 0)
