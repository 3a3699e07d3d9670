"""Random changes of batches: what is drawn, and what comes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes  # noqa: F401  # gives NumPy bfloat16
import numpy as np
import pytest
from scipy import ndimage, stats

from mmls_tf.bands import BANDS
from mmls_tf.config import AUGMENTATIONS
from mmls_tf.data import augment
from mmls_tf.data.augment import Augmentation, cut, mosaic, turn, zoom
from mmls_tf.data.draws import InputConfig, draw_changes
from mmls_tf.data.normalise import Normalisation

SIDE = 16
OPTICAL = [0, 1, 2, 6]
SEEN = Normalisation(tuple(range(7)), tuple(np.linspace(0.2, 0.6, 7)), tuple(np.linspace(0.1, 0.3, 7)))


def batch_of(tiles: int = 4, invalid: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Smooth images, some pixels invalid and some labels unknown."""
    random = np.random.default_rng(0)
    image = ndimage.gaussian_filter(random.normal(size=(tiles, SIDE, SIDE, 7)), (0, 2, 2, 0)) * 4
    valid = np.ones((tiles, SIDE, SIDE))
    if invalid:
        valid[:, 3:5, 7:] = 0
    mask = random.choice([0, 1, 255], (tiles, SIDE, SIDE), p=(0.6, 0.3, 0.1))
    image = (image * valid[..., None]).astype(np.float32)
    return image, np.stack([mask, valid], -1).astype(np.float32)


def changed(names: tuple[str, ...], step: int = 0, **rest: object) -> tuple[np.ndarray, np.ndarray]:
    image, target = batch_of()
    draws = draw_changes(InputConfig(4, seed=1, augment=names, **rest), step, SEEN, SIDE)
    result = Augmentation(SEEN, SIDE)(image, target, draws)
    return np.asarray(result[0]), np.asarray(result[1])


def test_without_draws_nothing_changes() -> None:
    image, target = batch_of()
    np.testing.assert_array_equal(changed(())[0], image)
    np.testing.assert_array_equal(changed(())[1], target)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_each_changes_something_keeps_shapes_and_leaves_invalid_pixels_zero(name: str) -> None:
    image, target = changed((name,))
    assert image.shape == (4, SIDE, SIDE, 7)
    assert image.dtype == target.dtype == np.float32
    assert not np.array_equal(image, batch_of()[0])
    assert (image[target[..., 1] == 0] == 0).all()
    assert set(np.unique(target[..., 0])) <= {0, 1, 255}
    assert set(np.unique(target[..., 1])) <= {0, 1}
    again, other = changed((name,)), changed((name,), step=1)
    np.testing.assert_array_equal(image, again[0])
    assert not np.array_equal(image, other[0])


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_switching_another_one_on_does_not_change_what_is_drawn_for_it(name: str) -> None:
    alone = draw_changes(InputConfig(4, augment=(name,)), 5, SEEN, SIDE)
    beside = draw_changes(InputConfig(4, augment=AUGMENTATIONS, band_dropout=0.3), 5, SEEN, SIDE)
    for key, value in alone.items():
        if key not in ("gain", "bias"):  # shared by optics and elevation
            np.testing.assert_array_equal(value, beside[key])


def test_turns_are_the_eight_symmetries_of_the_square_and_equally_frequent() -> None:
    tile = np.arange(16.0).reshape(4, 4)
    turned = np.asarray(turn(np.repeat(tile[None, ..., None], 8, axis=0), np.arange(8, dtype=np.int32)))[
        ..., 0
    ]
    symmetries = [np.rot90(flipped, turns) for flipped in (tile, tile[:, ::-1]) for turns in range(4)]
    assert {one.tobytes() for one in turned} == {np.ascontiguousarray(one).tobytes() for one in symmetries}
    drawn = [draw_changes(InputConfig(8, augment=("d4",)), step, SEEN, SIDE)["turn"] for step in range(100)]
    assert stats.chisquare(np.bincount(np.concatenate(drawn), minlength=8)).pvalue > 1e-3


def test_image_and_target_move_together() -> None:
    """A band that shows the mask still shows it."""
    image, target = batch_of(invalid=False)
    target[..., 0] = target[..., 0] == 1
    image[..., 3] = target[..., 0]
    draws = draw_changes(InputConfig(4, augment=("d4", "mosaic", "crop")), 2, SEEN, SIDE)
    moved, shown = (np.asarray(value) for value in Augmentation(SEEN, SIDE)(image, target, draws))
    agreement = (moved[..., 3] > 0.5) == (shown[..., 0] == 1)
    assert agreement.mean() > 0.9
    del draws["crop"]
    moved, shown = (np.asarray(value) for value in Augmentation(SEEN, SIDE)(image, target, draws))
    np.testing.assert_array_equal(moved[..., 3], shown[..., 0])


def test_optics_are_gain_bias_and_gamma_of_canonical_values_of_optical_bands_alone() -> None:
    image, target = batch_of()
    config = InputConfig(4, augment=("optics",))
    draws = draw_changes(config, 0, SEEN, SIDE)
    result = np.asarray(Augmentation(SEEN, SIDE)(image, target, draws)[0])
    rest = [3, 4, 5]
    np.testing.assert_array_equal(result[..., rest], image[..., rest])
    mean, std = np.array(SEEN.mean), np.array(SEEN.std)
    before = np.maximum(image * std + mean, 0) ** draws["gamma"][:, None, None, None]
    after = result * std + mean
    for tile in range(4):
        valid = target[tile, ..., 1] == 1
        for band in OPTICAL:
            slope, bias, r, *_ = stats.linregress(before[tile, valid, band], after[tile, valid, band])
            assert r > 0.9999, "a straight line after the power"
            assert slope == pytest.approx(draws["gain"][tile, band], rel=1e-3)
            assert 0.75 < slope < 1.35
            assert abs(bias) < 0.6


def test_elevation_moves_by_metres_and_nothing_else_does() -> None:
    image, target = batch_of()
    config = InputConfig(4, augment=("elevation",))
    shifts = []
    for step in range(50):
        result = np.asarray(
            Augmentation(SEEN, SIDE)(image, target, draw_changes(config, step, SEEN, SIDE))[0]
        )
        valid = target[..., 1] == 1
        np.testing.assert_array_equal(np.delete(result, 3, -1), np.delete(image, 3, -1))
        for tile in range(4):
            metres = (result - image)[tile, valid[tile], 3] * SEEN.std[3] * BANDS[3].scale
            assert np.ptp(metres) < 1
            shifts.append(metres.mean())
    assert stats.kstest(shifts, stats.uniform(-3000, 6000).cdf).pvalue > 1e-3


def test_noise_is_normal_of_many_strengths_and_different_for_every_tile() -> None:
    draws = draw_changes(InputConfig(4, augment=("noise",)), 0, SEEN, SIDE)
    image, target = batch_of(invalid=False)
    added = np.asarray(Augmentation(SEEN, SIDE)(image, target, draws)[0]) - image
    for tile, strength in zip(added, draws["noise"], strict=True):
        assert tile.std() == pytest.approx(strength, rel=0.1)
        assert abs(stats.skew(tile.ravel())) < 0.3
    shifted = np.corrcoef(added.reshape(4, -1))
    assert abs(shifted[~np.eye(4, dtype=bool)]).max() < 0.2
    assert draws["noise"].max() <= 0.1


def test_crops_are_what_scipy_interpolates() -> None:
    image, target = batch_of(invalid=False)
    crop = draw_changes(InputConfig(4, augment=("crop",)), 0, SEEN, SIDE)["crop"]
    assert (crop[:, 2] >= 0.6 * SIDE).all()
    assert (crop[:, :2] >= 0).all()
    assert (crop[:, :2] + crop[:, 2:] <= SIDE + 1e-4).all()
    zoomed, labels = (np.asarray(value) for value in zoom(image, target, crop))
    for tile, (top, left, side) in enumerate(crop):
        places = [start + (np.arange(SIDE) + 0.5) * side / SIDE - 0.5 for start in (top, left)]
        grid = np.meshgrid(*[np.clip(place, 0, SIDE - 1) for place in places], indexing="ij")
        for band in range(7):
            expected = ndimage.map_coordinates(image[tile, ..., band], grid, order=1, mode="nearest")
            np.testing.assert_allclose(zoomed[tile, ..., band], expected, atol=1e-4)
        nearest = [np.floor(axis + 0.5).astype(int) for axis in grid]
        np.testing.assert_array_equal(labels[tile, ..., 0], target[tile, ..., 0][tuple(nearest)])
    assert (labels[..., 1] == 1).all()


def test_a_crop_is_valid_only_where_all_that_it_was_interpolated_from_is() -> None:
    image, target = batch_of()
    whole = np.array([[0, 0, SIDE]] * 4, np.float32)
    same, labels = (np.asarray(value) for value in zoom(image, target, whole))
    np.testing.assert_allclose(same, image, atol=1e-6)
    np.testing.assert_array_equal(labels, target)
    half = np.array([[2, 5, 8]] * 4, np.float32)
    zoomed, labels = (np.asarray(value) for value in zoom(image, target, half))
    assert 0 < (labels[..., 1] == 0).sum() < labels[..., 1].size
    assert (zoomed[labels[..., 1] == 0] == 0).all()


def test_products_that_round_their_factors_make_no_pixel_of_a_crop_invalid(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Accelerators multiply in bfloat16 or TF32 unless told otherwise."""
    image, target = batch_of()
    crop = draw_changes(InputConfig(4, augment=("crop",)), 0, SEEN, SIDE)["crop"]
    exact = np.asarray(zoom(image, target, crop)[1])

    def rounded(pattern: str, *factors: Any) -> np.ndarray:
        low = [np.asarray(factor).astype("bfloat16").astype(np.float32) for factor in factors]
        return np.einsum(pattern, *low)

    monkeypatch.setattr(augment.ops, "einsum", rounded)
    np.testing.assert_array_equal(np.asarray(zoom(image, target, crop)[1]), exact)


def test_a_mosaic_joins_four_tiles_at_its_cross_and_leaves_others_alone() -> None:
    tiles = np.arange(4, dtype=np.float32)[:, None, None, None] * np.ones((4, 6, 6, 1), np.float32)
    cross = np.array([[2, 4], [6, 6], [3, 3], [6, 6]], np.int32)
    joined = np.asarray(mosaic(tiles, cross))[..., 0]
    expected = np.zeros((6, 6))
    expected[:2, 4:], expected[2:, :4], expected[2:, 4:] = 1, 2, 3
    np.testing.assert_array_equal(joined[0], expected)
    np.testing.assert_array_equal(joined[1], np.ones((6, 6)))
    drawn = np.concatenate(
        [draw_changes(InputConfig(8, augment=("mosaic",)), s, SEEN, SIDE)["cross"] for s in range(50)]
    )
    assert abs((drawn[:, 0] < SIDE).mean() - 0.5) < 0.1


def dropped(**rest: object) -> np.ndarray:
    """Which bands of which tiles are taken away, over many steps."""
    config = InputConfig(10, seed=3, **rest)
    return np.concatenate([draw_changes(config, step, SEEN, SIDE)["kept"] for step in range(60)]) == 0


def test_band_dropout_takes_whole_bands_with_its_probability_and_never_all_of_a_tile() -> None:
    gone = dropped(band_dropout=0.4)
    assert not gone.all(axis=1).any()
    np.testing.assert_allclose(gone.mean(axis=0), 0.4, atol=0.06)  # 600 tiles: three deviations
    assert abs(np.corrcoef(gone[:, 0], gone[:, 1])[0, 1]) < 0.15, "bands go one by one"
    image, target = changed((), band_dropout=0.5)
    before, labels = batch_of()
    np.testing.assert_array_equal(target, labels)
    zero = (image == 0).all(axis=(1, 2))
    assert 0 < zero.sum() < zero.size
    whole = np.broadcast_to(~zero[:, None, None, :], image.shape)
    np.testing.assert_array_equal(image[whole], before[whole])


def test_dropped_groups_go_together() -> None:
    gone = dropped(band_dropout=0.5, dropped_together="group")
    optical, terrain, thermal = gone[:, OPTICAL], gone[:, [3, 4]], gone[:, 5]
    assert (optical == optical[:, :1]).all()
    assert (terrain == terrain[:, :1]).all()
    patterns = {tuple(row) for row in np.column_stack([optical[:, 0], terrain[:, 0], thermal])}
    assert len(patterns) == 7, "every way of losing none, one or two of three"


def test_squares_are_cut_where_they_are_asked_for() -> None:
    sheet = np.random.default_rng(0).normal(size=(20, 30, 3)).astype(np.float32)
    corners = np.array([[0, 0], [13, 2], [4, 23]], np.int32)
    squares = np.asarray(cut(sheet, corners, 7))
    for square, (row, column) in zip(squares, corners, strict=True):
        np.testing.assert_array_equal(square, sheet[row : row + 7, column : column + 7])


def test_the_input_module_needs_no_tensorflow() -> None:
    for name in ("draws", "augment", "ground", "sheet", "tiles", "scoring_input", "batches", "folds"):
        text = (Path(__file__).parents[2] / "mmls_tf" / "data" / f"{name}.py").read_text(encoding="utf-8")
        assert "tensorflow" not in text.replace("TensorFlow", ""), name
