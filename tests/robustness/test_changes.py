"""What is done to tiles, against NumPy and SciPy written another way."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from scipy import signal

from mmls_tf.bands import BAND_NAMES, BANDS
from mmls_tf.data.normalise import Normalisation
from mmls_tf.data.tiles import Tile
from mmls_tf.evaluation.robustness.changes import blurred, coarse, noisy, permuted, regraded
from mmls_tf.evaluation.robustness.families import FAMILIES, Change, plan_changes

ALL = tuple(range(7))
DEVIATIONS = {band: 0.01 * (band + 1) for band in ALL}
RED, GREEN, BLUE, DEM, SLOPE, THERMAL, GRAY = ALL


def make_tile(key: str = "test/a", size: int = 24, holes: bool = False) -> Tile:
    rng = np.random.default_rng(5)
    image = rng.normal(0.5, 0.2, (size, size, 7)).astype(np.float32)
    valid = np.ones((size, size), np.uint8)
    if holes:
        valid[3:6, 8:10] = 0
        valid[:, -1] = 0
        image[valid == 0] = 0.0
    return Tile(key, image, valid, rng.integers(0, 2, (size, size)).astype(np.uint8))


def seeing(*bands: int) -> Normalisation:
    return Normalisation(bands, tuple(0.5 for _ in bands), tuple(DEVIATIONS[band] for band in bands))


def raw(tile: Tile, band: int) -> np.ndarray:
    return tile.image[..., band].astype(np.float64) * BANDS[band].scale + BANDS[band].offset


@pytest.mark.parametrize(
    "change",
    [
        partial(noisy, deviations=DEVIATIONS, level=0.0),
        partial(blurred, bands=ALL, sigma=0.0),
        partial(coarse, bands=ALL, factor=1),
        partial(regraded, changes=dict.fromkeys(ALL, (1.0, 0.0))),
        partial(permuted, sources={band: band for band in ALL}),
    ],
    ids=lambda change: change.func.__name__,
)
@pytest.mark.parametrize("holes", [False, True])
def test_severity_zero_is_the_identity(change: Callable[[Tile], Tile], holes: bool) -> None:
    tile = make_tile(holes=holes)
    np.testing.assert_array_equal(change(tile).image, tile.image)


@pytest.mark.parametrize(
    "change", plan_changes(seeing(*ALL), FAMILIES)[0], ids=lambda change: change.name.replace(" ", "_")
)
def test_every_change_keeps_key_mask_type_and_the_zeros_of_invalid_pixels(change: Change) -> None:
    tile = make_tile(holes=True)
    original = tile.image.copy()
    if change.apply is None:
        assert change.missing
        return
    found = change.apply(tile)
    assert (found.key, found.mask is tile.mask, found.valid is tile.valid) == (tile.key, True, True)
    assert found.image.dtype == np.float32
    assert (found.image[tile.valid == 0] == 0).all()
    assert np.isfinite(found.image).all()
    assert (found.image != tile.image).any()
    np.testing.assert_array_equal(tile.image, original, err_msg="the tile itself was changed")


def test_noise_has_the_size_that_was_asked_for_in_every_band() -> None:
    tile = make_tile(size=128)
    noise = noisy(tile, {RED: 0.3, GRAY: 0.1}, 0.5).image - tile.image
    assert noise[..., RED].std() == pytest.approx(0.15, rel=0.02)
    assert noise[..., GRAY].std() == pytest.approx(0.05, rel=0.02)
    assert abs(noise[..., RED].mean()) < 0.005
    assert abs(np.corrcoef(noise[..., RED].ravel(), noise[..., GRAY].ravel())[0, 1]) < 0.03
    assert (noise[..., [GREEN, BLUE, DEM, SLOPE, THERMAL]] == 0).all()


def test_noise_depends_on_the_key_and_on_nothing_else() -> None:
    one, other = make_tile("test/a"), make_tile("test/b")
    first = noisy(one, DEVIATIONS, 0.5).image
    second = noisy(other, DEVIATIONS, 0.5).image
    np.testing.assert_array_equal(noisy(one, DEVIATIONS, 0.5).image, first)
    assert (
        abs(np.corrcoef((first - one.image)[..., 0].ravel(), (second - other.image)[..., 0].ravel())[0, 1])
        < 0.2
    )
    fewer_bands = noisy(one, {GRAY: DEVIATIONS[GRAY]}, 0.5).image
    np.testing.assert_array_equal(fewer_bands[..., GRAY], first[..., GRAY])
    assert (noisy(one, DEVIATIONS, 0.5, seed=1).image != first).any()


@pytest.mark.parametrize("sigma", [0.5, 2.0])
@pytest.mark.parametrize("holes", [False, True])
def test_blur_is_a_normalised_convolution_of_valid_pixels(sigma: float, holes: bool) -> None:
    tile = make_tile(holes=holes)
    reach = int(4 * sigma + 0.5)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel = np.outer(kernel, kernel)
    values = np.pad(tile.image[..., DEM].astype(np.float64) * tile.valid, reach, mode="edge")
    weights = np.pad(tile.valid.astype(np.float64), reach, mode="edge")
    expected = signal.convolve2d(values, kernel, "valid") / signal.convolve2d(weights, kernel, "valid")
    found = blurred(tile, (DEM,), sigma).image
    inside = tile.valid == 1
    np.testing.assert_allclose(found[inside, DEM], expected[inside], atol=1e-5)
    np.testing.assert_array_equal(np.delete(found, DEM, axis=2), np.delete(tile.image, DEM, axis=2))


def by_loops(values: np.ndarray, valid: np.ndarray, factor: int) -> np.ndarray:
    """Means of squares, and between their centres straight lines, pixel by pixel."""
    count = -(-len(values) // factor)
    sums, weights = np.zeros((count, count)), np.zeros((count, count))
    for row, column in np.argwhere(valid == 1):
        sums[row // factor, column // factor] += values[row, column]
        weights[row // factor, column // factor] += 1
    result = np.zeros(values.shape)
    for row, column in np.argwhere(valid == 1):
        total = weight = 0.0
        y, x = ((place + 0.5) / factor - 0.5 for place in (row, column))
        for down in (int(np.floor(y)), int(np.floor(y)) + 1):
            for right in (int(np.floor(x)), int(np.floor(x)) + 1):
                share = (1 - abs(y - down)) * (1 - abs(x - right))
                cell = min(max(down, 0), count - 1), min(max(right, 0), count - 1)
                total += share * sums[cell]
                weight += share * weights[cell]
        result[row, column] = total / weight
    return result


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("size", [24, 27])
@pytest.mark.parametrize("holes", [False, True])
def test_coarse_pixels_are_means_of_squares_drawn_out_bilinearly(factor: int, size: int, holes: bool) -> None:
    tile = make_tile(size=size, holes=holes)
    found = coarse(tile, (SLOPE,), factor).image
    expected = by_loops(tile.image[..., SLOPE].astype(np.float64), tile.valid, factor)
    np.testing.assert_allclose(found[..., SLOPE], expected, atol=1e-5)
    np.testing.assert_array_equal(np.delete(found, SLOPE, axis=2), np.delete(tile.image, SLOPE, axis=2))


def test_a_constant_band_beside_holes_stays_constant_when_blurred_or_made_coarse() -> None:
    tile = make_tile(holes=True)
    tile = dataclasses.replace(tile, image=tile.valid[..., None].repeat(7, axis=2) * np.float32(0.7))
    for found in (blurred(tile, ALL, 2.0), coarse(tile, ALL, 4)):
        np.testing.assert_allclose(found.image, tile.image, atol=1e-6)


def test_gain_and_bias_are_in_raw_units() -> None:
    tile = make_tile()
    found = regraded(tile, {RED: (1.3, 0.0), DEM: (1.0, 5170.0), GRAY: (0.5, -20.0)})
    np.testing.assert_allclose(raw(found, RED), 1.3 * raw(tile, RED), rtol=1e-5)
    np.testing.assert_allclose(raw(found, DEM), raw(tile, DEM) + 5170, rtol=1e-5)
    np.testing.assert_allclose(raw(found, GRAY), 0.5 * raw(tile, GRAY) - 20, rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(found.image[..., [GREEN, SLOPE]], tile.image[..., [GREEN, SLOPE]])


def test_the_rotation_puts_every_band_of_the_run_in_the_place_of_the_one_before() -> None:
    changes, _ = plan_changes(seeing(RED, DEM, SLOPE, GRAY), ["permuted"])
    (rotation,) = (change for change in changes if change.name == "all bands rotated")
    tile = make_tile()
    assert rotation.apply is not None
    found = rotation.apply(tile).image
    for band, source in ((RED, DEM), (DEM, SLOPE), (SLOPE, GRAY), (GRAY, RED), (BLUE, BLUE)):
        np.testing.assert_array_equal(found[..., band], tile.image[..., source])


def test_a_swap_is_in_both_directions() -> None:
    changes, _ = plan_changes(seeing(*ALL), ["permuted"])
    (swap,) = (change for change in changes if change.name == "elevation and slope swapped")
    tile = make_tile()
    assert swap.apply is not None
    found = swap.apply(tile).image
    np.testing.assert_array_equal(found[..., DEM], tile.image[..., SLOPE])
    np.testing.assert_array_equal(found[..., SLOPE], tile.image[..., DEM])


@pytest.mark.parametrize("bands", [(RED,), (RED, GREEN, BLUE), (DEM, SLOPE), (DEM, THERMAL), ALL])
def test_no_planned_change_touches_a_band_that_the_run_does_not_see(bands: tuple[int, ...]) -> None:
    changes, _ = plan_changes(seeing(*bands), FAMILIES)
    unseen = [band for band in ALL if band not in bands]
    tile = make_tile()
    for change in changes:
        assert set(change.missing) < set(bands)
        if change.apply is not None:
            found = change.apply(tile).image
            np.testing.assert_array_equal(found[..., unseen], tile.image[..., unseen], err_msg=change.name)
            assert (found[..., list(bands)] != tile.image[..., list(bands)]).any(), change.name


def test_every_band_and_every_group_goes_missing_but_never_all_bands() -> None:
    changes, unfit = plan_changes(seeing(*ALL), ["missing"])
    assert [change.missing for change in changes] == [
        *((band,) for band in ALL),
        (RED, GREEN, BLUE, GRAY),
        (DEM, SLOPE),
    ]
    assert [(item.name, item.reason) for item in unfit] == [
        ("all thermal", "the same as missing thermal inertia, all that the run sees of it")
    ]
    changes, unfit = plan_changes(seeing(DEM, SLOPE), ["missing"])
    assert [change.missing for change in changes] == [(DEM,), (SLOPE,)]
    assert ("all terrain", "the run sees nothing else") in [(item.name, item.reason) for item in unfit]


def test_what_a_run_does_not_see_is_listed_with_the_reason() -> None:
    changes, unfit = plan_changes(seeing(RED, GREEN, BLUE), FAMILIES)
    reasons = {(item.family, item.name): item.reason for item in unfit}
    assert reasons["elevation", "elevation +6000 m"] == "the run does not see elevation"
    assert reasons["isolated", "shift of both"] == "the run does not see elevation"
    assert reasons["permuted", "elevation and slope swapped"] == "the run does not see elevation and slope"
    whole, _ = plan_changes(seeing(*ALL), FAMILIES)
    everything = len(whole) + 1  # and all thermal
    assert len(changes) + len(unfit) == everything
    _, unfit = plan_changes(seeing(DEM, SLOPE), ["gain", "bias"])
    assert {item.reason for item in unfit} == {"the run sees no optical band"}


def test_the_shift_of_the_isolated_region_is_the_published_one() -> None:
    changes, _ = plan_changes(seeing(*ALL), ["isolated"])
    by_name = {change.name: change.apply for change in changes}
    tile = make_tile()
    whole, half = by_name["shift of both"], by_name["shift of both, 50%"]
    assert whole is not None
    assert half is not None
    for change, share in ((whole, 1.0), (half, 0.5)):
        for name, by in {"red": 26, "green": 23, "blue": 21, "dem": 5170, "slope": 0, "gray": 0}.items():
            band = BAND_NAMES.index(name)
            moved = raw(change(tile), band) - raw(tile, band)
            np.testing.assert_allclose(moved, share * by, atol=1e-3 * BANDS[band].scale / 100)
