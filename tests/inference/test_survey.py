"""A look at a scene before the work: what cannot be meant is refused, what may be wrong is said."""

from __future__ import annotations

import re

import numpy as np
import pytest
from map_world import NODATA, ORDER, TRANSFORM, WKT, scene_pixels

from mmls_tf.data.normalise import Normalisation
from mmls_tf.errors import InputError
from mmls_tf.inference.plan import plan_windows
from mmls_tf.inference.source import ArraySource
from mmls_tf.inference.survey import Survey, check_order, survey, value_remarks

ALL = tuple(range(7))
CANONICAL = ("red", "green", "blue", "dem", "slope", "thermal_inertia", "gray")
OFFSET = np.array([18, 18, 18, -5834, 0, 0, 0], np.float64)
SCALE = np.array([189, 213, 237, 12822, 62.8026087, 254, 254], np.float64)


def looked_at(pixels: np.ndarray, seen: tuple[int, ...] = ALL, order: tuple[str, ...] = ORDER) -> Survey:
    source = ArraySource(np.moveaxis(pixels, 0, -1), order)
    return survey(source, plan_windows(source.height, source.width, 32, 0.0, 0), seen, "scene.tif")


def trained_on(pixels: np.ndarray) -> Normalisation:
    values = np.stack([pixels[ORDER.index(name)].ravel().astype(np.float64) for name in CANONICAL])
    scaled = (values - OFFSET[:, None]) / SCALE[:, None]
    return Normalisation(ALL, tuple(scaled.mean(axis=1)), tuple(scaled.std(axis=1)))


def test_a_scene_like_the_train_split_is_passed_without_a_word() -> None:
    pixels = scene_pixels(96, 128)
    found = looked_at(pixels)
    check_order(found, "scene.tif", TRANSFORM, WKT)
    assert value_remarks(found, trained_on(pixels)) == ()


def test_a_scene_in_another_order_is_refused_and_the_order_is_told() -> None:
    pixels = scene_pixels(96, 128)
    swapped = pixels[[0, 2, 1, 3, 4, 5, 6]]
    with pytest.raises(InputError, match=r"scene.tif: expected .*found .*dem, slope.*\n.*--order"):
        check_order(looked_at(swapped), "scene.tif", TRANSFORM, WKT)


def test_a_band_without_data_that_a_run_sees_is_named_with_the_flag_that_declares_it() -> None:
    pixels = scene_pixels(96, 128)
    pixels[ORDER.index("gray")] = NODATA
    with pytest.raises(
        InputError, match=r"data in band gray, which a run sees, found none\n.*--missing=gray"
    ):
        looked_at(pixels)
    looked_at(pixels, ALL[:6])


def test_bands_that_have_data_in_different_places_only_are_refused() -> None:
    pixels = scene_pixels(96, 128)
    pixels[ORDER.index("gray"), :48] = NODATA
    pixels[ORDER.index("dem"), 48:] = NODATA
    with pytest.raises(InputError, match=r"pixels with data in all of red, green.*found none"):
        looked_at(pixels)


def test_data_in_one_corner_of_a_large_scene_are_found() -> None:
    pixels = np.full((7, 640, 640), NODATA, np.float32)
    pixels[:, 600:, 600:] = scene_pixels(40, 40)
    assert len(looked_at(pixels).windows) >= 1


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("dem", lambda values: values / 1000),  # metres given in kilometres
        ("gray", lambda values: values * 100),
        ("red", lambda values: values / 255),
        ("thermal_inertia", lambda values: values + 2000),
    ],
)
def test_values_unlike_the_train_split_are_remarked_with_both_figures(name: str, change: object) -> None:
    pixels = scene_pixels(96, 128)
    normal = trained_on(pixels)
    place = ORDER.index(name)
    before = pixels[place].copy()
    pixels[place] = change(pixels[place])  # type: ignore[operator]
    (remark,) = value_remarks(looked_at(pixels), normal)
    assert remark.startswith(f"{name}: unlike the train split")
    figures = [float(word) for word in re.findall(r"mean ([-+.\de]+)", remark)]
    expected = [values.mean(dtype=np.float64) for values in (pixels[place], before)]
    np.testing.assert_allclose(figures, expected, rtol=1e-4)


def test_a_band_declared_missing_is_not_remarked_upon() -> None:
    pixels = scene_pixels(96, 128)
    normal = trained_on(pixels)
    pixels[ORDER.index("gray")] *= 100
    assert value_remarks(looked_at(pixels), normal.without([6])) == ()
