"""Areas and lengths on the sphere against closed formulas."""

from __future__ import annotations

import numpy as np
import pytest
from osgeo import osr

from mmls_tf.raster.grid import Grid
from mmls_tf.raster.mars import MARS_WKT
from mmls_tf.raster.sphere import Sphere, cell_areas_km2, local_km, rectangle_sides, ring_measures

RADIUS = 3396.19
DEGREES_WKT = osr.SpatialReference(wkt=MARS_WKT).CloneGeogCS().ExportToWkt()
POLAR_WKT = (
    f'PROJCS["Polar_Mars",{DEGREES_WKT},PROJECTION["Polar_Stereographic"],PARAMETER["latitude_of_origin",90],'
    'PARAMETER["central_meridian",0],PARAMETER["scale_factor",1],PARAMETER["false_easting",0],'
    'PARAMETER["false_northing",0],UNIT["metre",1]]'
)


def box(west: float, south: float, east: float, north: float) -> np.ndarray:
    """A closed ring of degrees, in radians."""
    return np.radians([(west, south), (east, south), (east, north), (west, north), (west, south)])


@pytest.mark.parametrize(
    "edges", [(-100, -10, -80, 5), (10, 60, 11, 61), (170, -20, 190, 20), (350, 0, 370, 0.01)]
)
def test_a_box_of_longitude_and_latitude(edges: tuple[float, float, float, float]) -> None:
    west, south, east, north = edges
    area, length = ring_measures(box(*edges))
    low, high = np.radians([south, north])
    across = np.radians(east - west)
    assert area == pytest.approx(RADIUS**2 * across * (np.sin(high) - np.sin(low)), rel=1e-10)
    assert length == pytest.approx(RADIUS * (2 * (high - low) + across * (np.cos(low) + np.cos(high))))


def test_longitudes_that_jump_by_a_whole_turn_are_the_same_place() -> None:
    ring = box(170, -20, 190, 20)
    turned = np.where(ring > np.pi, ring - 2 * np.pi, ring)
    assert ring_measures(turned) == pytest.approx(ring_measures(ring))


def test_a_cap_around_a_pole() -> None:
    for latitude in (80.0, -80.0):
        longitudes = np.linspace(0, 360, 73) % 360
        ring = np.radians(np.stack([longitudes, np.full(73, latitude)], axis=1))
        expected = 2 * np.pi * RADIUS**2 * (1 - np.sin(np.radians(80)))
        assert ring_measures(ring)[0] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("wkt", "corner", "pixel"),
    [(MARS_WKT, (-5e6, 3e6), 20000.0), (DEGREES_WKT, (-90.0, 50.0), 0.3), (POLAR_WKT, (-4e5, 3e5), 20000.0)],
    ids=["metres", "degrees", "polar"],
)
def test_areas_of_pixels_add_up_to_that_of_their_outline(
    wkt: str, corner: tuple[float, float], pixel: float
) -> None:
    width, height = 12, 9
    grid = Grid((corner[0], pixel, 0.0, corner[1], 0.0, -pixel), width, height, wkt)
    cells = np.broadcast_to(cell_areas_km2(grid, 0, height), (height, width))
    west, south, east, north = grid.extent
    columns, rows = np.linspace(west, east, width + 1), np.linspace(north, south, height + 1)
    around = [(x, north) for x in columns] + [(east, y) for y in rows[1:]]
    around += [(x, south) for x in columns[-2::-1]] + [(west, y) for y in rows[-2::-1]]
    area, _ = ring_measures(Sphere(wkt).radians(np.array(around)))
    assert cells.sum() == pytest.approx(area, rel=1e-9)
    np.testing.assert_allclose(np.broadcast_to(cell_areas_km2(grid, 4, 2), (2, width)), cells[4:6])
    # A conformal projection about the pole: its scale says how large pixels are.
    if wkt == POLAR_WKT:
        x, y = corner[0] + pixel * 0.5, corner[1] - pixel * 0.5
        scale = 1.0 + (x**2 + y**2) / (2e3 * RADIUS) ** 2
        assert cells[0, 0] == pytest.approx((pixel / 1000.0 / scale) ** 2, rel=3e-4)


def test_the_local_map_keeps_areas_and_distances() -> None:
    centre = np.radians([-80.0, 40.0])
    angles = np.linspace(0, 2 * np.pi, 361)
    reach = 100.0 / RADIUS  # a circle of 100 km around the centre, by spherical trigonometry
    latitude = np.arcsin(
        np.sin(centre[1]) * np.cos(reach) + np.cos(centre[1]) * np.sin(reach) * np.cos(angles)
    )
    longitude = centre[0] + np.arctan2(
        np.sin(angles) * np.sin(reach) * np.cos(centre[1]),
        np.cos(reach) - np.sin(centre[1]) * np.sin(latitude),
    )
    points = local_km(np.stack([longitude, latitude], axis=1), centre)
    np.testing.assert_allclose(np.hypot(*points.T), 100.0, rtol=1e-3)
    np.testing.assert_allclose(points, 100.0 * np.stack([np.sin(angles), np.cos(angles)], axis=1), atol=0.05)


def test_the_rectangle_turns_with_what_it_holds() -> None:
    corners = np.array([(0.0, 0.0), (7.0, 0.0), (7.0, 2.0), (0.0, 2.0), (3.0, 1.0)])
    for angle in (0.0, 0.3, 1.2):
        turn = np.array([(np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))])
        assert rectangle_sides(corners @ turn.T + 5.0) == pytest.approx((7.0, 2.0))
