"""Jumps of probability at the borders of tiles, as `benchmarks.seams` counts them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from benchmarks.seams import Tally, add_jumps, jumps
from mmls_tf.evaluation.confusion import Confusion


def entries(**neighbours: dict[str, str]) -> Any:
    return cast("Any", {key: SimpleNamespace(neighbours=found) for key, found in neighbours.items()})


def test_a_ramp_cut_into_tiles_jumps_at_borders_as_it_does_inside() -> None:
    ramp = np.add.outer(np.arange(8), np.arange(8)).astype(np.float32) / 16
    planes = {"a": ramp[:4, :4], "b": ramp[:4, 4:], "c": ramp[4:, :4]}
    tally = Tally(confusion=Confusion(1, 1, 1, 1))
    add_jumps(tally, planes, entries(a={"E": "b", "S": "c"}, b={"W": "a"}, c={"N": "a"}))
    found = tally.summary()
    assert found["border_pixels"] == 8
    assert found["mean_jump"] == pytest.approx({"inside": 1 / 16, "border": 1 / 16, "ratio": 1.0})


def test_tiles_that_disagree_jump_at_their_border_alone() -> None:
    planes = {"a": np.full((4, 4), 0.25, np.float32), "b": np.full((4, 4), 0.75, np.float32)}
    tally = Tally()
    add_jumps(tally, planes, entries(a={"E": "b", "S": "of another split"}, b={"W": "a"}))
    assert tally.border == [2.0, 4]
    assert tally.inside == [0.0, 48]


def test_pixels_without_data_are_in_no_jump() -> None:
    assert jumps(np.array([0.5, np.nan, 0.5]), np.array([0.25, 0.5, np.nan])) == (0.25, 1)
