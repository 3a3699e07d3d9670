"""Where tiles lie on a sheet: integers go in, a plan comes out.

A sheet is one large array on which every tile lies in its surroundings, so that any window of ground is a slice of it.
Tiles near one another keep their places; groups of tiles that no window can see together are moved side by side, since
the true map is mostly empty.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spot:
    """A tile on the ground.

    Attributes:
      frame, row, column: its upper left corner in whole pixels; corners of one frame can be compared.
      labelled: whether windows are asked for around it; where tiles overlap, such a tile covers the others.
    """

    frame: str
    row: int
    column: int
    labelled: bool


@dataclass(frozen=True)
class Stamp:
    """A tile to be copied onto the sheet with its corner at (row, column), as far as it lies inside `rectangle`
    (top, left, bottom, right); later stamps cover earlier ones."""

    tile: int
    row: int
    column: int
    rectangle: tuple[int, int, int, int]


@dataclass(frozen=True)
class SheetPlan:
    """The size of the sheet in pixels, what is copied where, and the corner of every labelled tile."""

    rows: int
    columns: int
    stamps: tuple[Stamp, ...]
    corners: dict[int, tuple[int, int]]


def plan_sheet(spots: Sequence[Spot], size: int, reach: int) -> SheetPlan:
    """Plans a sheet on which any pixel up to `reach` away from a labelled tile of `size` pixels is right.

    A labelled tile that another one covers gets an island: a second copy of its surroundings with itself on top.
    """
    near = _neighbours(spots, size, reach)
    # From the least to the most important: labelled ones cover others, earlier ones cover later ones.
    order = sorted(range(len(spots)), key=lambda index: (spots[index].labelled, -index))
    rank = {index: place for place, index in enumerate(order)}
    islands = [
        (index, [*(other for other in order if other in near[index]), index])
        for index, spot in enumerate(spots)
        if spot.labelled and any(_covers(spots, other, index, size, rank) for other in near[index])
    ]
    groups = [(None, sorted(group, key=rank.__getitem__)) for group in _groups(near)]
    boxes = [
        _box(spots, group if anchor is None else [anchor], size, reach)
        for anchor, group in (*groups, *islands)
    ]
    places, rows, columns = _shelves([(box[2] - box[0], box[3] - box[1]) for box in boxes])
    stamps: list[Stamp] = []
    corners: dict[int, tuple[int, int]] = {}
    for (anchor, group), box, (top, left) in zip((*groups, *islands), boxes, places, strict=True):
        rectangle = (top, left, top + box[2] - box[0], left + box[3] - box[1])
        for index in group:
            row, column = top + spots[index].row - box[0], left + spots[index].column - box[1]
            stamps.append(Stamp(index, row, column, rectangle))
            if spots[index].labelled and anchor in (None, index):
                corners[index] = (row, column)  # that of its island, which comes later, where it has one
    return SheetPlan(rows, columns, tuple(stamps), corners)


def _neighbours(spots: Sequence[Spot], size: int, reach: int) -> list[set[int]]:
    """For every spot, the others that a window around either of them can see, if one of the two is labelled."""
    step = size + reach
    cells: dict[tuple[str, int, int], list[int]] = defaultdict(list)
    for index, spot in enumerate(spots):
        cells[spot.frame, spot.row // step, spot.column // step].append(index)
    near: list[set[int]] = [set() for _ in spots]
    for index, spot in enumerate(spots):
        for row in range(spot.row // step - 1, spot.row // step + 2):
            for column in range(spot.column // step - 1, spot.column // step + 2):
                for other in cells.get((spot.frame, row, column), ()):
                    there = spots[other]
                    apart = max(abs(there.row - spot.row), abs(there.column - spot.column))
                    if other != index and apart < step and (spot.labelled or there.labelled):
                        near[index].add(other)
    return near


def _covers(spots: Sequence[Spot], other: int, index: int, size: int, rank: dict[int, int]) -> bool:
    one, two = spots[other], spots[index]
    overlap = abs(one.row - two.row) < size and abs(one.column - two.column) < size
    return overlap and rank[other] > rank[index]


def _groups(near: Sequence[set[int]]) -> list[list[int]]:
    """Returns what is connected, each group in the order of its first member."""
    seen: set[int] = set()
    groups = []
    for start in range(len(near)):
        if start in seen:
            continue
        group, border = [], [start]
        seen.add(start)
        while border:
            index = border.pop()
            group.append(index)
            border += near[index] - seen
            seen |= near[index]
        groups.append(group)
    return groups


def _box(spots: Sequence[Spot], group: Sequence[int], size: int, reach: int) -> tuple[int, int, int, int]:
    rows, columns = [spots[index].row for index in group], [spots[index].column for index in group]
    end = size + reach
    return min(rows) - reach, min(columns) - reach, max(rows) + end, max(columns) + end


def _shelves(sizes: Sequence[tuple[int, int]]) -> tuple[list[tuple[int, int]], int, int]:
    """Packs rectangles (height, width) in rows, the highest first; returns their corners and the size of it all."""
    width = max(max(wide for _, wide in sizes), round(sum(high * wide for high, wide in sizes) ** 0.5))
    places: list[tuple[int, int]] = [(0, 0)] * len(sizes)
    top = left = height = used = 0
    for index in sorted(range(len(sizes)), key=lambda index: (-sizes[index][0], index)):
        high, wide = sizes[index]
        if left + wide > width:
            top, left, height = top + height, 0, 0
        places[index] = (top, left)
        left, height = left + wide, max(height, high)
        used = max(used, left)
    return places, top + height, used
