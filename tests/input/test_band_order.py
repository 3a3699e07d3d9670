"""The order of bands: wrong ones are named, legitimate tiles always pass."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from own_tiles import Bands, mars, needs_real_tiles, raster, scaled, unpack

from mmls_tf.raster.band_order import order_problem
from mmls_tf.raster.layouts import CHALLENGE, LAYOUTS, PUBLIC, V1
from mmls_tf.raster.mars import MARS_WKT
from mmls_tf.raster.raster import Raster
from tfrecords_builder.sample.config import SampleConfig
from tfrecords_builder.sample.write import write_sample

ORDERS = {name: layout.order for name, layout in LAYOUTS.items()}
REVERSED = tuple(reversed(CHALLENGE.order))


@pytest.mark.parametrize("seed", range(5))
def test_the_right_order_passes(seed: int) -> None:
    assert order_problem(raster(mars(seed), CHALLENGE.order), CHALLENGE) is None
    assert order_problem(raster(scaled(mars(seed)), PUBLIC.order, None), PUBLIC) is None


@pytest.mark.parametrize("name", ["public", "v1"])
def test_a_known_order_of_another_layout_is_named(name: str) -> None:
    problem = order_problem(raster(mars(), ORDERS[name]), CHALLENGE)
    assert problem is not None
    assert f"the order {', '.join(ORDERS[name])} of the {name} layout" in problem.found
    assert "--check_order=false" in problem.found
    assert ", ".join(CHALLENGE.order) in problem.expected


def test_public_values_in_the_order_of_v1_are_named() -> None:
    problem = order_problem(raster(scaled(mars()), V1.order, None), PUBLIC)
    assert problem is not None
    assert "of the v1 layout" in problem.found


@pytest.mark.parametrize("dem", range(7))
def test_elevation_and_slope_are_found_wherever_they_are(dem: int) -> None:
    others = [name for name in CHALLENGE.order if name not in ("dem", "slope")]
    for slope in set(range(7)) - {dem}:
        places = dict(zip([dem, slope], ["dem", "slope"], strict=True))
        rest = iter(others)
        order = tuple(places.get(place) or next(rest) for place in range(7))
        problem = order_problem(raster(mars(), order), CHALLENGE)
        if (dem, slope) == (2, 1):
            assert problem is None
            continue
        assert problem is not None
        told = problem.found.removeprefix("the order ").split(" of the ")[0].split(";")[0].split(", ")
        assert (told[dem], told[slope]) == ("dem", "slope")


def test_the_colours_of_an_unknown_order_are_told() -> None:
    problem = order_problem(raster(mars(), REVERSED), CHALLENGE)
    assert problem is not None
    told = problem.found.removeprefix("the order ").split(";")[0].split(", ")
    assert told[:3] == ["blue", "green", "red"]
    assert told[4:6] == ["dem", "slope"]


def test_red_and_blue_changed_places() -> None:
    swapped = ("thermal_inertia", "slope", "dem", "gray", "blue", "green", "red")
    problem = order_problem(raster(mars(), swapped), CHALLENGE)
    assert problem is not None
    assert ", ".join(swapped) in problem.found


@pytest.mark.parametrize("colours", list(itertools.permutations(["red", "green", "blue"]))[1:])
def test_colours_of_a_public_tile_are_told_by_their_constants(colours: tuple[str, ...]) -> None:
    order = (*colours, *PUBLIC.order[3:])
    problem = order_problem(raster(scaled(mars()), order, None), PUBLIC)
    assert problem is not None
    assert ", ".join(order) in problem.found


def altered(bands: Bands, **changes: np.ndarray | float) -> Bands:
    return bands | {name: np.broadcast_to(value, bands["dem"].shape) for name, value in changes.items()}


NODATA_LINE = mars()["slope"].copy()
NODATA_LINE[0] = -3.4028235e38
NOISE = np.random.default_rng(0)
LEGITIMATE = {
    "flat ground": altered(mars(), dem=-2000.0, slope=0.0),
    "a line without slope": altered(mars(), slope=NODATA_LINE),
    "gray without data": altered(mars(), gray=0.0),
    "no colour": altered(mars(), red=100.0, green=100.0, blue=100.0),
    "green brighter than red": altered(mars(), green=mars()["green"] + 60.0),
    "slope of another scale": altered(mars(), slope=mars()["slope"] * 0.4),
    "slope in noise": altered(mars(), slope=NOISE.uniform(0, 40, (64, 64))),
    "everything noise": {name: NOISE.uniform(0, 90, (64, 64)) for name in CHALLENGE.order},
    "all of one value": {name: np.full((64, 64), 7.0) for name in CHALLENGE.order},
}


@pytest.mark.parametrize("name", LEGITIMATE)
def test_a_legitimate_tile_passes(name: str) -> None:
    assert order_problem(raster(LEGITIMATE[name], CHALLENGE.order), CHALLENGE) is None


@pytest.mark.parametrize("size", [8, 16, 31, 200])
def test_any_size_passes(size: int) -> None:
    assert order_problem(raster(mars(size=size), CHALLENGE.order), CHALLENGE) is None


@pytest.mark.parametrize("pixel", [5.0, 100.0, 463.0])
def test_the_pixel_size_of_own_data_counts(pixel: float) -> None:
    assert order_problem(raster(mars(pixel=pixel), CHALLENGE.order, pixel), CHALLENGE) is None
    assert order_problem(raster(mars(pixel=pixel), PUBLIC.order, pixel), CHALLENGE) is not None


def test_own_data_in_degrees_passes() -> None:
    degrees = 232.0 / 59274.7
    image = raster(mars(), CHALLENGE.order)
    placed = Raster(image.pixels, image.nodata, (10.0, degrees, 0, 20.0, 0, -degrees), 'GEOGCS["GCS_Mars"]')
    assert order_problem(placed, CHALLENGE) is None


def test_nodata_is_no_slope() -> None:
    image = raster(altered(mars(), slope=np.where(np.eye(64) > 0, -9999.0, mars()["slope"])), CHALLENGE.order)
    problem = order_problem(image, CHALLENGE)
    assert problem is not None
    assert "a slope of 0 to 90 degrees" in problem.expected
    assert "-9999" in problem.found
    tagged = Raster(image.pixels, (-9999.0,) * 7, image.geotransform, MARS_WKT)
    assert order_problem(tagged, CHALLENGE) is None


def test_the_sample_passes(tmp_path: Path) -> None:
    counts = {"train": 6, "val": 2, "test": 2, "isolated": 4}
    write_sample(SampleConfig(out=str(tmp_path / "raw"), tile_size=64, **counts))
    images = sorted((tmp_path / "raw").rglob("images/*.tif"))
    assert len(images) == 14
    for path in images:
        assert order_problem(CHALLENGE.read_image(str(path), 64, ("GTiff",)), CHALLENGE) is None


def rejected(src: Path, layout: str) -> tuple[int, list[str]]:
    images = sorted(src.rglob("images/*.tif"))
    found = []
    for path in images:
        if order_problem(LAYOUTS[layout].read_image(str(path), 128, ("GTiff",)), LAYOUTS[layout]) is not None:
            found.append(path.name)
    return len(images), found


@needs_real_tiles
@pytest.mark.parametrize("layout", ["challenge", "public"])
def test_real_tiles_pass(layout: str, tmp_path: Path) -> None:
    assert rejected(unpack(tmp_path, "--layout", layout, "--limit", "8"), layout) == (32, [])


@needs_real_tiles
@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["blocks", "published"])
@pytest.mark.parametrize("layout", ["challenge", "public"])
def test_all_real_tiles_pass(layout: str, protocol: str, tmp_path: Path) -> None:
    count, found = rejected(unpack(tmp_path, "--layout", layout, "--protocol", protocol), layout)
    assert count > 450
    assert found == []


@needs_real_tiles
def test_real_v1_tiles_pass_as_v1_and_are_refused_as_public(tmp_path: Path) -> None:
    src = unpack(tmp_path, "--layout", "v1")
    assert rejected(src, "v1") == (6, [])
    assert len(rejected(src, "public")[1]) == 6
