"""Landslides as objects against scikit-image and a pixel-by-pixel count, and every definition at its limit."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from scipy import ndimage
from skimage.measure import label, regionprops

from mmls_tf.evaluation import landslides
from mmls_tf.evaluation.landslides import (
    STRATA,
    LandslideCounts,
    StratumCounts,
    count_landslides,
    definitions,
    find_parts,
)

SIZE = 48
FAMILIES = (
    ("small", "medium", "large"),
    ("elongated", "compact"),
    ("fragmented", "unfragmented"),
    ("cut", "inside"),
)


def blobs(rng: np.random.Generator, sigma: float = 2.0, share: float = 0.3) -> np.ndarray:
    field = ndimage.gaussian_filter(rng.normal(size=(SIZE, SIZE + 3)), sigma)
    return field > np.quantile(field, 1 - share)


def case(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A speckled prediction that resembles the truth, and labels unknown in places."""
    rng = np.random.default_rng(seed)
    truth = blobs(rng)
    predicted = (truth & ~blobs(rng, share=0.4)) | blobs(rng, share=0.1) | (rng.random(truth.shape) < 0.01)
    mask = truth.astype(np.uint8)
    mask[blobs(rng, sigma=3.0, share=0.2)] = 255
    return predicted, mask


def rectangle(*corners: int, size: int = 128) -> np.ndarray:
    """True in rows `corners[0]` to `corners[1]` and columns `corners[2]` to `corners[3]`, ends excluded."""
    plane = np.zeros((size, size), bool)
    plane[corners[0] : corners[1], corners[2] : corners[3]] = True
    return plane


def metrics(predicted: np.ndarray, truth: np.ndarray) -> dict[str, dict[str, Any]]:
    return count_landslides(predicted, truth.astype(np.uint8)).metrics()


def strata_of(truth: np.ndarray) -> set[str]:
    """The strata that true landslides belong to, which must be those of the same landslides predicted."""
    found = metrics(truth, truth)
    true = {name for name in STRATA if found[name]["true_landslides"]}
    assert true == {name for name in STRATA if found[name]["predicted_landslides"]}
    return true - {"all"}


def pixel_sets(foreground: np.ndarray) -> list[set[tuple[int, int]]]:
    return [set(map(tuple, part.coords)) for part in regionprops(label(foreground, connectivity=2))]


def counted_pixel_by_pixel(predicted: np.ndarray, mask: np.ndarray) -> StratumCounts:
    """All landslides of a tile, counted by sets of pixels as the definitions say it."""
    true, made = pixel_sets(mask == 1), pixel_sets(predicted)
    known = set(map(tuple, np.argwhere(mask != 255)))
    slid, guessed = set().union(*true), set().union(*made)
    owned: list[set[tuple[int, int]]] = [set() for _ in true]
    for part in made:
        overlaps = [len(part & other) for other in true]
        if any(overlaps):
            owned[overlaps.index(max(overlaps))] |= part & known
    big = [(part, mine) for part, mine in zip(true, owned, strict=True) if len(part) >= 4]
    judged = [part for part in made if len(part & known) >= 4]
    return StratumCounts(
        true=len(big),
        found=sum(len(part & guessed) >= len(part) / 2 for part, _ in big),
        iou_sum=pytest.approx(sum(len(part & mine) / len(part | mine) for part, mine in big)),
        pixels=sum(len(part) for part, _ in big),
        pixels_predicted=sum(len(part & guessed) for part, _ in big),
        predicted=len(judged),
        right=sum(len(part & slid) >= len(part & known) / 2 for part in judged),
    )


@pytest.mark.parametrize("seed", range(6))
def test_counts_are_those_made_pixel_by_pixel(seed: int) -> None:
    predicted, mask = case(seed)
    counts = count_landslides(predicted, mask)
    expected = counted_pixel_by_pixel(predicted, mask)
    assert 0 < expected.found < expected.true
    assert 0 < expected.right < expected.predicted
    assert vars(counts.strata[STRATA.index("all")]) == vars(expected)


@pytest.mark.parametrize("seed", range(3))
def test_areas_and_axes_are_those_of_scikit_image(seed: int) -> None:
    foreground = blobs(np.random.default_rng(seed), sigma=1.5)
    parts, expected = find_parts(foreground), regionprops(label(foreground, connectivity=2))
    assert np.array_equal(parts.labels, label(foreground, connectivity=2))
    assert parts.area.tolist() == [part.area for part in expected]
    # scikit-image leaves the minor axis of a line at the root of the rounding error.
    assert parts.minor == pytest.approx([part.axis_minor_length for part in expected], abs=1e-6)
    assert parts.major == pytest.approx([part.axis_major_length for part in expected], abs=1e-6)
    (height, width), boxes = foreground.shape, [part.bbox for part in expected]
    assert parts.cut.tolist() == [
        top == 0 or left == 0 or bottom == height or right == width for top, left, bottom, right in boxes
    ]
    assert 0 < parts.cut.sum() < len(expected)


@pytest.mark.parametrize("length", [4, 7, 31, 100])
def test_a_line_of_pixels_has_a_minor_axis_of_exactly_zero_and_is_elongated(length: int) -> None:
    diagonal = np.zeros((128, 128), bool)
    diagonal[range(3, 3 + length), range(11, 11 + length)] = True
    for line in (rectangle(3, 4, 11, 11 + length), rectangle(3, 3 + length, 11, 12), diagonal):
        assert find_parts(line).minor.tolist() == [0.0]
        assert "elongated" in strata_of(line)


@pytest.mark.parametrize("seed", range(3))
def test_every_family_of_strata_divides_all_landslides(seed: int) -> None:
    counts = dict(zip(STRATA, count_landslides(*case(seed)).strata, strict=True))
    assert set(STRATA) == {"all"}.union(*FAMILIES)
    for family in FAMILIES:
        total = sum((counts[name] for name in family), StratumCounts())
        assert vars(total) == pytest.approx(vars(counts["all"]))


@pytest.mark.parametrize(
    ("pixels", "stratum"),
    [((27, 27), "small"), ((25, 30), "medium"), ((43, 93), "medium"), ((50, 80), "large")],
)
def test_small_is_below_750_pixels_and_large_from_4000(pixels: tuple[int, int], stratum: str) -> None:
    high, wide = pixels
    assert strata_of(rectangle(10, 10 + high, 10, 10 + wide)) == {
        stratum,
        "compact",
        "unfragmented",
        "inside",
    }


@pytest.mark.parametrize(("wide", "stratum"), [(29, "compact"), (31, "elongated")])
def test_elongated_is_more_than_three_times_as_long_as_broad(wide: int, stratum: str) -> None:
    assert stratum in strata_of(rectangle(10, 20, 10, 10 + wide))


def test_a_slanting_landslide_is_elongated_along_its_own_axis() -> None:
    rows, columns = np.indices((SIZE, SIZE))
    assert "elongated" in strata_of((abs(rows - columns) < 3) & (rows > 5) & (rows < 40))


def test_landslides_are_fragmented_in_a_tile_with_three_or_more_of_their_side() -> None:
    two = rectangle(0, 5, 0, 5) | rectangle(0, 5, 20, 25)
    three = two | rectangle(20, 25, 0, 5)
    found = metrics(two, three)
    assert (found["fragmented"]["true_landslides"], found["fragmented"]["predicted_landslides"]) == (3, 0)
    assert (found["unfragmented"]["true_landslides"], found["unfragmented"]["predicted_landslides"]) == (0, 2)
    speck = rectangle(40, 41, 40, 43)
    assert metrics(two, two | speck)["fragmented"]["true_landslides"] == 0


@pytest.mark.parametrize("turns", range(4))
def test_a_landslide_on_any_edge_of_its_tile_is_cut(turns: int) -> None:
    assert "cut" in strata_of(np.rot90(rectangle(0, 5, 10, 15), turns))
    assert "inside" in strata_of(np.rot90(rectangle(1, 6, 10, 15), turns))


def test_landslides_that_meet_at_corners_are_one() -> None:
    found = metrics(rectangle(0, 5, 0, 5), rectangle(0, 5, 0, 5) | rectangle(5, 10, 5, 10))
    assert found["all"]["true_landslides"] == 1


def test_a_landslide_is_found_from_half_of_its_pixels_on() -> None:
    truth = rectangle(0, 10, 0, 10)
    assert metrics(rectangle(0, 5, 0, 10), truth)["all"]["object_recall"] == 1.0
    less = rectangle(0, 5, 0, 10)
    less[0, 0] = False
    found = metrics(less, truth)["all"]
    assert (found["object_recall"], found["pixel_recall"]) == (0.0, 0.49)


def test_a_prediction_is_right_from_half_of_its_labelled_pixels_on() -> None:
    mask = rectangle(0, 5, 0, 10).astype(np.uint8)
    predicted = rectangle(0, 10, 0, 10)
    assert count_landslides(predicted, mask).metrics()["all"]["object_precision"] == 1.0
    mask[0, 0] = 0
    assert count_landslides(predicted, mask).metrics()["all"]["object_precision"] == 0.0
    mask[9, 8:10] = 255
    assert count_landslides(predicted, mask).metrics()["all"]["object_precision"] == 1.0


def test_specks_of_fewer_than_four_pixels_count_on_neither_side() -> None:
    speck = rectangle(0, 1, 0, 3)
    assert count_landslides(speck, speck.astype(np.uint8)) == LandslideCounts()
    four = metrics(rectangle(0, 1, 0, 4), rectangle(0, 1, 0, 4))["all"]
    assert (four["true_landslides"], four["predicted_landslides"]) == (1, 1)


def test_a_prediction_needs_four_labelled_pixels_to_count() -> None:
    mask = np.full((20, 20), 255, np.uint8)
    mask[0, :3] = 0
    predicted = rectangle(0, 10, 0, 10, size=20)
    assert count_landslides(predicted, mask) == LandslideCounts()
    mask[0, 3] = 0
    assert count_landslides(predicted, mask).metrics()["all"]["predicted_landslides"] == 1


def test_a_prediction_over_two_landslides_counts_for_the_iou_of_the_one_it_overlaps_more() -> None:
    truth = rectangle(0, 10, 0, 10) | rectangle(0, 10, 12, 32)
    whole = rectangle(0, 10, 0, 32)
    assert metrics(whole, truth)["all"]["mean_iou"] == pytest.approx((0 + 200 / 320) / 2)
    turned = metrics(whole[:, ::-1], truth[:, ::-1])["all"]["mean_iou"]
    assert turned == pytest.approx((0 + 200 / 320) / 2)


def test_a_prediction_over_two_landslides_alike_belongs_to_the_first_in_reading_order() -> None:
    truth = rectangle(0, 10, 0, 10) | rectangle(0, 10, 12, 32)
    bridge = rectangle(0, 10, 5, 17)
    assert metrics(bridge, truth)["all"]["mean_iou"] == pytest.approx((50 / 170 + 0) / 2)
    turned = metrics(bridge[:, ::-1], truth[:, ::-1])["all"]["mean_iou"]
    assert turned == pytest.approx((50 / 270 + 0) / 2)


def test_the_iou_of_a_landslide_is_with_all_its_predicted_parts_together() -> None:
    truth = rectangle(0, 10, 0, 20)
    parts = rectangle(0, 10, 0, 8) | rectangle(0, 15, 10, 20)
    assert metrics(parts, truth)["all"]["mean_iou"] == pytest.approx(180 / (200 + 50))


def test_predicted_pixels_of_unknown_label_are_no_part_of_the_union() -> None:
    mask = rectangle(0, 10, 0, 10).astype(np.uint8)
    mask[10:, :] = 255
    found = count_landslides(rectangle(0, 30, 0, 10), mask).metrics()["all"]
    assert (found["mean_iou"], found["object_precision"]) == (1.0, 1.0)


def test_tiles_add_up() -> None:
    parts = [count_landslides(*case(seed)) for seed in (7, 8)]
    total = sum(parts, LandslideCounts())
    for place in range(len(STRATA)):
        mine, its = (vars(part.strata[place]) for part in parts)
        assert vars(total.strata[place]) == {name: mine[name] + its[name] for name in mine}


def test_without_landslides_on_a_side_its_metrics_are_undefined() -> None:
    truth, nothing = rectangle(0, 10, 0, 10), np.zeros((128, 128), bool)
    missed = metrics(nothing, truth)["all"]
    assert (missed["object_recall"], missed["mean_iou"], missed["object_precision"]) == (0.0, 0.0, None)
    alarm = metrics(truth, nothing)["all"]
    assert (alarm["object_recall"], alarm["mean_iou"], alarm["pixel_recall"]) == (None, None, None)
    assert alarm["object_precision"] == 0.0


def test_a_tile_without_labels_counts_nothing() -> None:
    unknown = np.full((128, 128), 255, np.uint8)
    assert count_landslides(rectangle(0, 50, 0, 50), unknown) == LandslideCounts()


def test_every_stratum_has_a_definition_with_its_limits_in_pixels_and_square_kilometres() -> None:
    sentences = definitions()
    assert set(STRATA) < set(sentences)
    assert sentences["small"] == "fewer than 750 pixels (40.4 km2)"
    assert sentences["large"] == "4000 pixels (215 km2) or more"
    assert "4 pixels (0.215 km2)" in sentences["landslide"]
    assert definitions(pixel_m=100.0)["small"] == "fewer than 750 pixels (7.5 km2)"


def test_definitions_state_the_limits_that_are_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landslides, "ELONGATED_BELOW", 0.25)
    monkeypatch.setattr(landslides, "FRAGMENTED_FROM", 7)
    sentences = definitions()
    assert "0.25" in sentences["elongated"]
    assert "0.25" in sentences["compact"]
    assert "7 landslides" in sentences["fragmented"]
    assert "7 landslides" in sentences["unfragmented"]


def test_metrics_can_be_written_as_json() -> None:
    found = count_landslides(*case(0)).metrics()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
