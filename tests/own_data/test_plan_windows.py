"""Windows: where they lie, what is read of them."""

from __future__ import annotations

import numpy as np
import pytest
from own_world import memory

from mmls_tf.raster.windows import Window, cover, plan_windows, positions, read_window


@pytest.mark.parametrize(
    ("length", "tile", "stride", "edge", "expected"),
    [
        (100, 32, 32, "shift", (0, 32, 64, 68)),
        (100, 32, 32, "drop", (0, 32, 64)),
        (96, 32, 32, "shift", (0, 32, 64)),
        (32, 32, 32, "shift", (0,)),
        (31, 32, 32, "shift", ()),
        (100, 32, 16, "shift", (0, 16, 32, 48, 64, 68)),
        (100, 32, 40, "drop", (0, 40)),
        (100, 32, 40, "shift", (0, 40, 68)),
    ],
)
def test_positions_along_a_side(
    length: int, tile: int, stride: int, edge: str, expected: tuple[int, ...]
) -> None:
    assert positions(length, tile, stride, edge) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(20))
def test_shifted_tiles_cover_every_pixel_and_stay_inside(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tile = int(rng.integers(2, 20))
    width, height = (int(side) for side in rng.integers(tile, 90, 2))
    seen = np.zeros((height, width), int)
    windows = plan_windows(width, height, tile, int(rng.integers(1, tile + 1)), "shift")
    for window in windows:
        assert 0 <= window.col <= width - tile and 0 <= window.row <= height - tile
        seen[window.row : window.row + tile, window.col : window.col + tile] += 1
    assert seen.min() >= 1
    assert len(set(windows)) == len(windows)
    assert windows == tuple(sorted(windows, key=lambda window: (window.row, window.col)))


def test_blocks_cover_every_pixel_once() -> None:
    seen = np.zeros((70, 101), int)
    for window in cover(101, 70, 32, 16):
        seen[window.row : window.row + window.height, window.col : window.col + window.width] += 1
    assert (seen == 1).all()


def test_what_lies_outside_is_filled_or_refused() -> None:
    array = np.arange(2 * 5 * 7, dtype=np.float32).reshape(2, 5, 7)
    dataset = memory(array)
    padded = np.pad(array, ((0, 0), (3, 3), (3, 3)), constant_values=-1.0)
    np.testing.assert_array_equal(read_window(dataset, Window(0, 0, 7, 5).grown(3), outside=-1.0), padded)
    assert (read_window(dataset, Window(20, 20, 3, 2), outside=-1.0) == -1.0).all()
    with pytest.raises(ValueError, match="beyond 7 x 5"):
        read_window(dataset, Window(5, 0, 3, 2))
