"""Outlines against brute-force distances, SciPy and scikit-image, and against cases counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.distance import cdist
from skimage.segmentation import find_boundaries

from mmls_tf.evaluation.boundaries import BoundaryCounts, count_boundaries

SIZE = 24
NEIGHBOURS = ((-1, 0), (1, 0), (0, -1), (0, 1))


def blobs(rng: np.random.Generator) -> np.ndarray:
    return ndimage.gaussian_filter(rng.normal(size=(SIZE, SIZE + 5)), 2.0) > 0.0


def case(seed: int, unknown: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """A prediction that resembles the truth; labels are unknown in blobs over about a third of the tile."""
    rng = np.random.default_rng(seed)
    truth = blobs(rng)
    predicted = np.roll(truth, 2, axis=1) ^ (blobs(rng) & (rng.random(truth.shape) < 0.2))
    mask = truth.astype(np.uint8)
    mask[blobs(rng) & (rng.random(truth.shape) < unknown)] = 255
    return predicted, mask


def boundary(foreground: np.ndarray, background: np.ndarray) -> list[tuple[int, int]]:
    """Landslide pixels with background among their four neighbours, pixel by pixel."""
    others = set(zip(*np.nonzero(background), strict=True))
    return [
        (row, column)
        for row, column in zip(*np.nonzero(foreground), strict=True)
        if any((row + down, column + right) in others for down, right in NEIGHBOURS)
    ]


def band(foreground: np.ndarray, background: np.ndarray, radius: int) -> np.ndarray:
    """Landslide pixels near background, by SciPy's distance transform."""
    return foreground & (ndimage.distance_transform_edt(~background) <= radius)


def matched(mine: list[tuple[int, int]], its: list[tuple[int, int]], radius: int) -> int:
    return int((cdist(mine, its).min(axis=1) <= radius).sum())


@pytest.mark.parametrize("radius", [1, 2, 3])
@pytest.mark.parametrize("seed", range(4))
def test_counts_are_those_of_measured_distances_between_all_pixels(seed: int, radius: int) -> None:
    predicted, mask = case(seed)
    labelled = mask != 255
    true_sides = mask == 1, mask == 0
    guessed_sides = predicted & labelled, ~predicted & labelled
    true, guessed = boundary(*true_sides), boundary(*guessed_sides)
    bands = band(*true_sides, radius), band(*guessed_sides, radius)
    assert count_boundaries(predicted, mask, radius) == BoundaryCounts(
        radius,
        true_boundary=len(true),
        true_matched=matched(true, guessed, radius),
        predicted_boundary=len(guessed),
        predicted_matched=matched(guessed, true, radius),
        band_intersection=int((bands[0] & bands[1]).sum()),
        band_union=int((bands[0] | bands[1]).sum()),
    )


def test_the_boundary_is_the_inner_one_of_scikit_image_where_all_labels_are_known() -> None:
    predicted, mask = case(5, unknown=0.0)
    counts = count_boundaries(predicted, mask, 1)
    inner = [find_boundaries(side, connectivity=1, mode="inner") for side in (mask == 1, predicted)]
    assert [counts.true_boundary, counts.predicted_boundary] == [int(side.sum()) for side in inner]
    assert counts.band_union == int((inner[0] | inner[1]).sum())


def test_an_outline_two_pixels_off_is_missed_at_radius_one_and_met_at_radius_three() -> None:
    mask = np.zeros((20, 20), np.uint8)
    mask[:, :10] = 1
    predicted = np.zeros((20, 20), bool)
    predicted[:, :12] = True
    near, far = count_boundaries(predicted, mask, 1), count_boundaries(predicted, mask, 3)
    assert near.metrics() == {"radius_px": 1, "precision": 0.0, "recall": 0.0, "f1": 0.0, "iou": 0.0}
    # Bands of three columns, 7 to 9 and 9 to 11, have one of five columns in common.
    assert far.metrics() == {"radius_px": 3, "precision": 1.0, "recall": 1.0, "f1": 1.0, "iou": 0.2}


def test_the_edge_of_a_tile_is_no_boundary() -> None:
    everywhere = np.ones((SIZE, SIZE), bool)
    assert count_boundaries(everywhere, everywhere.astype(np.uint8), 3) == BoundaryCounts(3)


def test_landslide_beside_unknown_labels_has_no_boundary_there() -> None:
    mask = np.ones((SIZE, SIZE), np.uint8)
    mask[:, 12:] = 255
    predicted = mask == 1
    assert count_boundaries(predicted, mask, 3) == BoundaryCounts(3)


@pytest.mark.parametrize("radius", [1, 3])
def test_what_is_predicted_where_labels_are_unknown_changes_nothing(radius: int) -> None:
    predicted, mask = case(6)
    other = np.where(mask == 255, ~predicted, predicted)
    assert (other != predicted).any()
    assert count_boundaries(other, mask, radius) == count_boundaries(predicted, mask, radius)


def test_tiles_are_pooled_by_their_counts() -> None:
    parts = [count_boundaries(*case(seed), 3) for seed in (7, 8)]
    total = sum(parts, BoundaryCounts(3))
    for name in ("true_boundary", "true_matched", "predicted_boundary", "predicted_matched"):
        assert getattr(total, name) == sum(getattr(part, name) for part in parts) > 0
    assert total.band_union == parts[0].band_union + parts[1].band_union > 0
    assert total.band_intersection == parts[0].band_intersection + parts[1].band_intersection > 0


def test_precision_recall_f1_and_iou_are_the_ratios_of_the_counts() -> None:
    counts = BoundaryCounts(1, 10, 8, 20, 5, 3, 12)
    harmonic = 2 / (1 / 0.25 + 1 / 0.8)
    expected = {"radius_px": 1, "precision": 0.25, "recall": 0.8, "f1": harmonic, "iou": 0.25}
    assert counts.metrics() == pytest.approx(expected)


def test_without_any_boundary_all_is_undefined_and_with_one_side_only_f1_is_zero() -> None:
    assert BoundaryCounts(1).metrics() == {
        "radius_px": 1,
        "precision": None,
        "recall": None,
        "f1": None,
        "iou": None,
    }
    _, mask = case(9)
    nothing = count_boundaries(np.zeros(mask.shape, bool), mask, 1)
    assert (nothing.precision, nothing.recall, nothing.f1, nothing.iou) == (None, 0.0, 0.0, 0.0)
    false_alarm = count_boundaries(mask == 1, np.zeros_like(mask), 1)
    assert (false_alarm.precision, false_alarm.recall, false_alarm.f1) == (0.0, None, 0.0)


def test_counts_at_different_radii_are_not_added() -> None:
    with pytest.raises(ValueError, match="radius 1, found counts at radius 3"):
        BoundaryCounts(1) + BoundaryCounts(3)


@pytest.mark.parametrize("radius", [0, -1])
def test_a_radius_that_reaches_no_neighbour_is_refused(radius: int) -> None:
    with pytest.raises(ValueError, match=f"at least 1 pixel, found {radius}"):
        count_boundaries(*case(0), radius)


def test_the_radius_is_euclidean() -> None:
    mask = np.ones((9, 9), np.uint8)
    mask[4, 4] = 0
    nothing = np.zeros((9, 9), bool)
    for radius in (1, 2, 3):
        inside = sum(math.hypot(row, column) <= radius for row in range(-3, 4) for column in range(-3, 4))
        assert count_boundaries(nothing, mask, radius).band_union == inside - 1
