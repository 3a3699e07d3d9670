"""Which weights of the runs of a sweep are scored."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmls_tf.config import TrainConfig
from mmls_tf.sweeping.checks import common_weights
from mmls_tf.sweeping.plan import Cell, parse_grid, plan_cells


def cells(grid: str, **options: object) -> list[Cell]:
    return plan_cells(TrainConfig(**options), parse_grid(grid), Path("out"), "a test")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "grid", "expected"),
    [
        ("auto", "ema=0.9,0.99", "ema"),
        ("auto", "ema=0.0;seed=0,1", "best"),
        ("auto", "ema=0.0,0.9", "auto"),
        ("last", "ema=0.0,0.9", "last"),
    ],
)
def test_auto_is_the_average_where_every_run_keeps_one(asked: str, grid: str, expected: str) -> None:
    assert common_weights(cells(grid), asked) == expected
