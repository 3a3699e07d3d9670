"""Averages over the symmetries of the square."""

from __future__ import annotations

import numpy as np
import pytest

from mmls_tf.prediction.symmetry import SYMMETRIES, mean_over, turned, turned_back


def images(side: int = 5) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(2, side, side, 3)).astype(np.float32)


@pytest.mark.parametrize("symmetry", SYMMETRIES["d4"])
def test_turning_back_undoes_a_turn(symmetry: tuple[int, bool]) -> None:
    np.testing.assert_array_equal(turned_back(turned(images(), symmetry), symmetry), images())


def test_the_eight_symmetries_of_the_square_are_all_different_and_closed() -> None:
    seen = {turned(images()[:1], symmetry).tobytes() for symmetry in SYMMETRIES["d4"]}
    assert len(seen) == 8
    again = {
        turned(turned(images()[:1], one), other).tobytes()
        for one in SYMMETRIES["d4"]
        for other in SYMMETRIES["d4"]
    }
    assert again == seen


def test_flips_are_the_four_mirror_images() -> None:
    x = images()[:1]
    expected = {x.tobytes(), x[:, ::-1].tobytes(), x[:, :, ::-1].tobytes(), x[:, ::-1, ::-1].tobytes()}
    assert {turned(x, symmetry).tobytes() for symmetry in SYMMETRIES["flips"]} == expected


def test_what_does_not_depend_on_the_turn_is_not_changed_by_averaging() -> None:
    np.testing.assert_allclose(mean_over("d4", lambda x: x[..., 0], images()), images()[..., 0], rtol=1e-6)


def test_a_prediction_that_looks_one_way_becomes_one_that_looks_all_ways() -> None:
    def eastward(x: np.ndarray) -> np.ndarray:
        return np.roll(x[..., 0], -1, axis=2)

    x = images()
    neighbours = [np.roll(x[..., 0], step, axis=axis) for step in (-1, 1) for axis in (1, 2)]
    np.testing.assert_allclose(
        mean_over("d4", eastward, x), np.mean(neighbours, axis=0), rtol=1e-5, atol=1e-6
    )
    sideways = [np.roll(x[..., 0], step, axis=2) for step in (-1, 1)]
    np.testing.assert_allclose(
        mean_over("flips", eastward, x), np.mean(sideways, axis=0), rtol=1e-5, atol=1e-6
    )
