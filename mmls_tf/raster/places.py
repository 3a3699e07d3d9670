"""Where tiles lie: places in pixels of a common frame, neighbours, overlaps. Pure numbers, no files."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping

from mmls_tf.raster.raster import Geotransform
from mmls_tf.schema import Place

_GRID_NAME = re.compile(r"col(\d+)_row(\d+)$")
_TOLERANCE_PX = 0.05  # georeferences are float64 metres: real grids agree to about 1e-8 pixels
DIRECTIONS: dict[str, tuple[int, int]] = {
    "N": (0, -1), "NE": (1, -1), "E": (1, 0), "SE": (1, 1), "S": (0, 1), "SW": (-1, 1), "W": (-1, 0), "NW": (-1, -1),
}  # fmt: skip


def place_by_georeference(geotransform: Geotransform) -> Place | None:
    """Returns the place of a north-up raster with square pixels, None for any other."""
    left, width, row_rotation, top, column_rotation, height = geotransform
    if row_rotation or column_rotation or width <= 0 or not math.isclose(width, -height, rel_tol=1e-9):
        return None
    return Place(f"map {width:.6g}", left / width, -top / width, width)


def place_by_name(stem: str, region: str, tile_size: int) -> Place | None:
    """Returns the place that a name such as `col00042_row00007` claims, None for any other name.

    Args:
      region: the base and the isolated region have grids of their own, so that names occur in both.
    """
    match = _GRID_NAME.search(stem)
    if match is None:
        return None
    column, row = (int(number) for number in match.groups())
    return Place(f"grid {region}", float(column * tile_size), float(row * tile_size), None)


def neighbours(places: Mapping[str, Place], tile_size: int) -> dict[str, dict[str, str]]:
    """Returns, for every tile, the tiles that abut it exactly: {key: {direction: key}}.

    Directions are N, NE, E, SE, S, SW, W, NW.
    """
    pairs = _Lookup(places, tile_size)
    result: dict[str, dict[str, str]] = {}
    for key, place in places.items():
        found = {}
        for direction, (right, down) in DIRECTIONS.items():
            other = pairs.at(place, place.x + right * tile_size, place.y + down * tile_size)
            if other is not None:
                found[direction] = other
        result[key] = found
    return result


def overlaps(places: Mapping[str, Place], tile_size: int) -> Iterator[tuple[str, str, float]]:
    """Yields (one key, other key, shared part of a tile in (0, 1]), every pair once, in order of keys."""
    lookup = _Lookup(places, tile_size)
    for key in sorted(places):
        place = places[key]
        for other in sorted(lookup.near(place)):
            if other <= key:
                continue
            width = tile_size - abs(places[other].x - place.x)
            height = tile_size - abs(places[other].y - place.y)
            if width > _TOLERANCE_PX and height > _TOLERANCE_PX:
                yield key, other, width * height / tile_size**2


def touching(places: Mapping[str, Place], tile_size: int) -> dict[str, set[str]]:
    """Returns, for every tile, the tiles that overlap it or share a part of an edge with it (no mere corner)."""
    lookup = _Lookup(places, tile_size)
    result: dict[str, set[str]] = {}
    for key, place in places.items():
        result[key] = {
            other
            for other in lookup.near(place)
            if other != key and _share_an_edge(place, places[other], tile_size)
        }
    return result


def gap_px(one: Place, other: Place, tile_size: int) -> float:
    """Returns the distance between two tiles of a frame in pixels, 0 where they touch or overlap."""
    across = max(0.0, abs(one.x - other.x) - tile_size)
    along = max(0.0, abs(one.y - other.y) - tile_size)
    return math.hypot(across, along)


class _Lookup:
    """Finds tiles by place: a hash of cells as large as a tile."""

    def __init__(self, places: Mapping[str, Place], tile_size: int) -> None:
        self._places, self._size = places, tile_size
        self._cells: dict[tuple[str, int, int], list[str]] = defaultdict(list)
        for key, place in places.items():
            self._cells[self._cell(place.frame, place.x, place.y)].append(key)

    def _cell(self, frame: str, x: float, y: float) -> tuple[str, int, int]:
        return frame, math.floor(x / self._size), math.floor(y / self._size)

    def _around(self, frame: str, x: float, y: float, reach: int) -> Iterator[str]:
        _, column, row = self._cell(frame, x, y)
        for right in range(-reach, reach + 1):
            for down in range(-reach, reach + 1):
                yield from self._cells.get((frame, column + right, row + down), ())

    def near(self, place: Place) -> Iterator[str]:
        """Yields all tiles that could overlap or touch: a hair over one tile away can be two cells away."""
        return self._around(place.frame, place.x, place.y, reach=2)

    def at(self, place: Place, x: float, y: float) -> str | None:
        """Returns the tile whose corner is at (x, y) of the frame of `place`."""
        for key in sorted(self._around(place.frame, x, y, reach=1)):
            other = self._places[key]
            if abs(other.x - x) <= _TOLERANCE_PX and abs(other.y - y) <= _TOLERANCE_PX:
                return key
        return None


def _share_an_edge(one: Place, other: Place, tile_size: int) -> bool:
    width = tile_size - abs(one.x - other.x)
    height = tile_size - abs(one.y - other.y)
    return min(width, height) >= -_TOLERANCE_PX and max(width, height) > _TOLERANCE_PX
