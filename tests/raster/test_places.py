"""Places, neighbours, overlaps and seams, against counting pixels."""

from __future__ import annotations

import numpy as np
import pytest

from mmls_tf.raster.places import (
    gap_px,
    neighbours,
    overlaps,
    place_by_georeference,
    place_by_name,
    touching,
)
from mmls_tf.raster.seams import trustworthy
from mmls_tf.schema import Place

SIZE = 8


def at(x: float, y: float, frame: str = "map 232") -> Place:
    return Place(frame, x, y, 232.0)


def random_places(seed: int) -> dict[str, Place]:
    rng = np.random.default_rng(seed)
    return {f"train/t{i:02d}": at(*map(float, rng.integers(0, 60, 2))) for i in range(40)}


def painted(place: Place) -> set[tuple[int, int]]:
    return {(int(place.x) + i, int(place.y) + j) for i in range(SIZE) for j in range(SIZE)}


@pytest.mark.parametrize("seed", range(3))
def test_overlaps_are_the_pixels_that_two_tiles_share(seed: int) -> None:
    places = random_places(seed)
    keys = sorted(places)
    expected = {
        (one, other): len(painted(places[one]) & painted(places[other])) / SIZE**2
        for i, one in enumerate(keys)
        for other in keys[i + 1 :]
        if painted(places[one]) & painted(places[other])
    }
    assert {(one, other): share for one, other, share in overlaps(places, SIZE)} == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(3))
def test_tiles_touch_that_have_a_pixel_beside_or_upon_one_of_the_other(seed: int) -> None:
    places = random_places(seed)
    found = touching(places, SIZE)
    for key, place in places.items():
        grown = {
            (x + dx, y + dy)
            for x, y in painted(place)
            for dx, dy in ((0, 0), (0, 1), (1, 0), (0, -1), (-1, 0))
        }
        expected = {other for other in places if other != key and grown & painted(places[other])}
        assert found[key] == expected


def test_neighbours_abut_exactly_and_have_directions() -> None:
    grid = {f"t{x}{y}": at(x * SIZE, y * SIZE) for x in range(3) for y in range(3)}
    grid["shifted"] = at(3 * SIZE, 3)
    found = neighbours(grid, SIZE)
    assert found["t11"] == {
        "N": "t10", "NE": "t20", "E": "t21", "SE": "t22", "S": "t12", "SW": "t02", "W": "t01", "NW": "t00",
    }  # fmt: skip
    assert found["shifted"] == {}
    assert found["t00"] == {"E": "t10", "SE": "t11", "S": "t01"}


def test_tiles_of_different_frames_never_meet() -> None:
    places = {"a": at(0, 0), "b": at(0, 0, "grid base")}
    assert list(overlaps(places, SIZE)) == []
    assert touching(places, SIZE) == {"a": set(), "b": set()}
    assert neighbours(places, SIZE) == {"a": {}, "b": {}}


def test_the_gap_is_the_distance_between_the_nearest_edges() -> None:
    assert gap_px(at(0, 0), at(SIZE + 3, SIZE + 4), SIZE) == 5.0
    assert gap_px(at(0, 0), at(SIZE, 2), SIZE) == 0.0


def test_a_georeference_becomes_pixels_east_and_south_and_a_rotated_one_nothing() -> None:
    assert place_by_georeference((464.0, 232.0, 0.0, -696.0, 0.0, -232.0)) == Place(
        "map 232", 2.0, 3.0, 232.0
    )
    assert place_by_georeference((464.0, 232.0, 0.1, -696.0, 0.0, -232.0)) is None
    assert place_by_georeference((464.0, 232.0, 0.0, -696.0, 0.0, -200.0)) is None


def test_a_grid_name_becomes_a_place_in_the_grid_of_its_region() -> None:
    assert place_by_name("col00042_row00007", "base", 128) == Place("grid base", 42 * 128.0, 7 * 128.0, None)
    assert place_by_name("holiday", "base", 128) is None


def rims_of(ground: np.ndarray, x: int, y: int) -> np.ndarray:
    tile = ground[y : y + SIZE, x : x + SIZE]
    sides = (tile[:2], tile[:-3:-1], tile[:, :2].T, tile[:, :-3:-1].T)
    return np.stack(sides).astype(np.float32)


def test_a_tile_that_was_shifted_is_not_where_its_name_says() -> None:
    frequency = np.hypot(np.fft.fftfreq(160)[:, None], np.fft.fftfreq(64)) + 1e-2
    noise = np.random.default_rng(0).normal(size=(160, 64))
    ground = np.fft.ifft2(np.fft.fft2(noise) * frequency**-2.5).real  # hills and valleys
    names = {f"t{x}{y}": at(x * SIZE, y * SIZE) for x in range(4) for y in range(4)}
    truth = {key: (int(place.x), int(place.y)) for key, place in names.items()}
    truth["t33"] = (3 * SIZE, 3 * SIZE + 116)
    rims = {key: rims_of(ground, *corner) for key, corner in truth.items()}
    assert set(names) - set(trustworthy(names, rims, SIZE)) == {"t33"}
