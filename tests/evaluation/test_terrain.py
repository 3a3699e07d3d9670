"""Counts by slope and elevation against NumPy's histograms, and the rules at the edges of bins."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from mmls_tf.bands import BANDS
from mmls_tf.errors import DatasetError
from mmls_tf.evaluation.confusion import Confusion, count_pixels
from mmls_tf.evaluation.terrain import ELEVATION_EDGES_M, SLOPE_EDGES_DEG, TerrainCounts, count_by_terrain


def case(seed: int = 0) -> tuple[Any, ...]:
    """Prediction, mask, slope, elevation and validity of a tile whose terrain reaches into both open bins."""
    rng = np.random.default_rng(seed)
    shape = (30, 40)
    return (
        rng.random(shape) > 0.6,
        rng.choice([0, 1, 255], size=shape, p=[0.5, 0.4, 0.1]).astype(np.uint8),
        rng.uniform(0.0, 80.0, shape).astype(np.float32),
        rng.uniform(-12_000.0, 15_000.0, shape),
        (rng.random(shape) > 0.1).astype(np.uint8),
    )


def one_pixel(slope: float = 0.0, elevation: float = 0.0) -> TerrainCounts:
    """The counts of one false alarm on that terrain."""
    plane = np.zeros((1, 1))
    return count_by_terrain(plane == 0, plane.astype(np.uint8), plane + slope, plane + elevation, plane == 0)


def edges_of(bins: list[dict[str, Any]]) -> list[tuple[Any, Any]]:
    return [(found["from"], found["to"]) for found in bins]


@pytest.mark.parametrize(
    ("axis", "band", "edges"),
    [("slope", 2, SLOPE_EDGES_DEG), ("elevation", 3, ELEVATION_EDGES_M)],
)
def test_counts_are_those_of_histograms_over_labelled_valid_pixels(
    axis: str, band: int, edges: tuple[int, ...]
) -> None:
    tile = case()
    predicted, mask, valid = tile[0], tile[1], tile[4] == 1
    outcomes = (
        predicted & (mask == 1),
        predicted & (mask == 0),
        ~predicted & (mask == 1),
        ~predicted & (mask == 0),
    )
    expected = [np.histogram(tile[band][where & valid], [-1e9, *edges, 1e9])[0] for where in outcomes]
    counts = getattr(count_by_terrain(*tile), axis)
    assert [tuple(vars(bin_).values()) for bin_ in counts] == list(
        zip(*np.array(expected).tolist(), strict=True)
    )


def test_bins_of_either_axis_add_up_to_the_pixels_of_the_tile_that_count() -> None:
    predicted, mask, slope, elevation, valid = case(1)
    counts = count_by_terrain(predicted, mask, slope, elevation, valid)
    whole = count_pixels(predicted, mask, valid == 1)
    assert sum(counts.slope, Confusion()) == sum(counts.elevation, Confusion()) == whole


def test_a_value_on_an_edge_belongs_to_the_bin_above() -> None:
    assert edges_of(one_pixel(slope=5.0).metrics()["slope_deg"]) == [(5, 10)]
    assert edges_of(one_pixel(slope=4.99).metrics()["slope_deg"]) == [(0, 5)]
    assert edges_of(one_pixel(elevation=-1000.0).metrics()["elevation_m"]) == [(-1000, 0)]


def test_bins_are_open_at_their_ends() -> None:
    assert edges_of(one_pixel(slope=89.0).metrics()["slope_deg"]) == [(60, None)]
    assert edges_of(one_pixel(elevation=21_000.0).metrics()["elevation_m"]) == [(12_000, None)]
    assert edges_of(one_pixel(elevation=-9_001.0).metrics()["elevation_m"]) == [(None, -9_000)]


def test_whole_metres_stay_in_their_bin_after_scaling_there_and_back() -> None:
    dem = next(band for band in BANDS if band.name == "dem")
    metres = np.array([[float(edge) for edge in ELEVATION_EDGES_M]])
    canonical = ((metres - dem.offset) / dem.scale).astype(np.float32)
    back = canonical * np.float32(dem.scale) + np.float32(dem.offset)
    assert (back < metres).any()  # or else nothing is shown
    plane = np.zeros(metres.shape)
    counts = count_by_terrain(plane == 1, plane.astype(np.uint8), plane, back, plane == 0)
    assert [bin_.pixels for bin_ in counts.elevation] == [0] + [1] * len(ELEVATION_EDGES_M)


def test_rates_are_of_the_background_and_of_the_landslides_in_a_bin() -> None:
    predicted = np.array([[True, True, True, False, False, False, False, True]])
    mask = np.array([[0, 1, 1, 1, 0, 0, 0, 255]], np.uint8)
    plane = np.zeros(mask.shape)
    found = count_by_terrain(predicted, mask, plane + 12.0, plane + 2500.0, plane == 0).metrics()
    numbers = {
        "background_pixels": 4,
        "false_alarms": 1,
        "false_alarm_rate": 0.25,
        "landslide_pixels": 3,
        "misses": 1,
        "miss_rate": pytest.approx(1 / 3),
    }
    assert found == {
        "slope_deg": [{"from": 10, "to": 15, **numbers}],
        "elevation_m": [{"from": 2000, "to": 3000, **numbers}],
    }


def test_a_rate_of_no_pixels_is_undefined_and_a_bin_of_no_pixels_is_left_out() -> None:
    (only,) = one_pixel().metrics()["slope_deg"]
    assert (only["false_alarm_rate"], only["landslide_pixels"], only["miss_rate"]) == (1.0, 0, None)
    plane = np.zeros((1, 1))
    landslide = count_by_terrain(plane == 1, np.ones((1, 1), np.uint8), plane, plane, plane == 0)
    (only,) = landslide.metrics()["slope_deg"]
    assert (only["false_alarm_rate"], only["misses"], only["miss_rate"]) == (None, 1, 1.0)
    assert TerrainCounts().metrics() == {"slope_deg": [], "elevation_m": []}


def test_tiles_add_up_bin_by_bin() -> None:
    first, second = case(2), case(3)
    both = [np.concatenate(planes) for planes in zip(first, second, strict=True)]
    parts = [count_by_terrain(*first), count_by_terrain(*second)]
    assert sum(parts, TerrainCounts()) == count_by_terrain(*both)


@pytest.mark.parametrize(("band", "name"), [(2, "slope"), (3, "elevation")])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_terrain_that_is_not_finite_is_an_error_where_a_pixel_counts_only(
    band: int, name: str, value: float
) -> None:
    tile = case()
    tile[1][0, 0], tile[4][0, 0], tile[band][0, 0] = 0, 0, value
    count_by_terrain(*tile)
    tile[4][0, 0] = 1
    with pytest.raises(DatasetError, match=f"{name} band.*expected finite"):
        count_by_terrain(*tile)


def test_metrics_can_be_written_as_json() -> None:
    metrics = count_by_terrain(*case()).metrics()
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics
