"""What networks are given: windows with data, in batches of one shape, normalised, with their surroundings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from map_world import NODATA, ORDER, normalised, scene_pixels

from mmls_tf.errors import UsageError
from mmls_tf.inference.feed import RowRead, SegmentRead, View, WindowBatch, read_windows
from mmls_tf.inference.plan import plan_windows
from mmls_tf.inference.source import ArraySource
from mmls_tf.raster.windows import Window
from mmls_tf.training.run_folder import RunFolder

ALL = tuple(range(7))


def source_of(pixels: np.ndarray) -> ArraySource:
    return ArraySource(np.moveaxis(pixels, 0, -1))


@pytest.mark.parametrize("batch", [1, 4, 7])
@pytest.mark.parametrize("context", [0, 5])
def test_windows_are_cut_from_the_normalised_scene_with_zeros_around_it(
    trained_run: Path, pixels: np.ndarray, batch: int, context: int
) -> None:
    normal = RunFolder.open(trained_run)[1].normalisation
    plan = plan_windows(75, 100, 32, 0.5, context)
    seen = np.pad(normalised(trained_run, pixels), ((context, context), (context, context), (0, 0)))
    items = list(read_windows(source_of(pixels), plan, [View(normal, context)], ALL, batch, 0))
    batches = [item for item in items if isinstance(item, WindowBatch)]
    places = [place for item in batches for place in item.places]
    assert places == [(row, column) for row in range(len(plan.rows)) for column in plan.columns]
    for item in batches:
        (images,) = item.images
        assert images.shape == (batch, 32 + 2 * context, 32 + 2 * context, 7)
        for image, (row, column) in zip(images, item.places, strict=False):
            top, side = plan.rows[row], 32 + 2 * context
            np.testing.assert_allclose(image, seen[top : top + side, column : column + side], atol=1e-5)
        assert not images[len(item.places) :].any()


@pytest.mark.parametrize(("overlap", "context"), [(0.0, 0), (0.5, 0), (0.75, 5)])
def test_no_row_of_pixels_is_read_twice(
    trained_run: Path, pixels: np.ndarray, overlap: float, context: int
) -> None:
    class Counted(ArraySource):
        def read(self, window: Window) -> np.ndarray:
            read.extend(range(window.row, window.row + window.height))
            return super().read(window)

    read: list[int] = []
    normal = RunFolder.open(trained_run)[1].normalisation
    plan = plan_windows(75, 100, 32, overlap, context)
    source = Counted(np.moveaxis(pixels, 0, -1))
    assert list(read_windows(source, plan, [View(normal, context)], ALL, 2, 0))
    assert read == list(range(-context, 75 + context))


def test_windows_without_data_are_left_out_and_rows_say_where_data_are(trained_run: Path) -> None:
    pixels = scene_pixels(64, 160)
    pixels[:, :32, 32:96] = NODATA
    pixels[3, 40, 7] = NODATA
    normal = RunFolder.open(trained_run)[1].normalisation
    plan = plan_windows(64, 160, 32, 0.0, 0)
    items = list(read_windows(source_of(pixels), plan, [View(normal, 0)], ALL, 16, 0))
    places = [place for item in items if isinstance(item, WindowBatch) for place in item.places]
    assert places == [(0, 0), (0, 96), (0, 128), (1, 0), (1, 32), (1, 64), (1, 96), (1, 128)]
    valid = np.concatenate([item.valid for item in items if isinstance(item, RowRead)])
    np.testing.assert_array_equal(valid, (pixels > -1e30).all(axis=0))
    assert isinstance(items[-1], SegmentRead)
    assert items[-1].stop == 2


def test_bands_that_no_run_sees_may_have_no_data(trained_run: Path) -> None:
    pixels = scene_pixels(32, 32)
    pixels[ORDER.index("gray")] = NODATA
    normal = RunFolder.open(trained_run)[1].normalisation
    plan = plan_windows(32, 32, 32, 0.0, 0)
    items = list(read_windows(source_of(pixels), plan, [View(normal.without([6]), 0)], ALL[:6], 1, 0))
    (images,) = next(item for item in items if isinstance(item, WindowBatch)).images
    assert not images[..., 6].any()
    assert images[..., :6].any(axis=(0, 1, 2)).all()


def test_an_array_is_read_in_any_order_beyond_its_edges_and_with_nan_as_nodata() -> None:
    pixels = scene_pixels(6, 5)
    array = np.moveaxis(pixels[::-1], 0, -1).astype(np.float64)
    array[2, 3] = np.nan
    found = ArraySource(array, ORDER[::-1]).read(Window(-2, -1, 9, 9))
    expected = np.full((7, 9, 9), NODATA)
    expected[:, 1:7, 2:7] = pixels
    expected[:, 3, 5] = NODATA
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.float32
    assert np.isnan(array[2, 3]).all(), "the caller's array is left alone"


@pytest.mark.parametrize("shape", [(7, 20, 20), (20, 20), (20, 20, 6), (0, 5, 7)])
def test_an_array_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match=r"expected an array \[rows, columns, 7\], found \["):
        ArraySource(np.zeros(shape))


def test_an_order_that_is_not_the_seven_bands_is_refused() -> None:
    with pytest.raises(UsageError, match=r"expected each of red, green.* once, found red, red"):
        ArraySource(np.zeros((4, 4, 7)), ("red",) * 7)
