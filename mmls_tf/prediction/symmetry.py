"""Predictions averaged over symmetries of the square: what is there does not depend on how the map is turned."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Images = npt.NDArray[np.floating]

# (quarter turns, whether it is mirrored first)
SYMMETRIES = {
    "none": ((0, False),),
    "flips": ((0, False), (0, True), (2, False), (2, True)),
    "d4": tuple((turns, mirrored) for turns in range(4) for mirrored in (False, True)),
}


def turned(images: Images, symmetry: tuple[int, bool]) -> Images:
    """Returns images [batch, side, side, ...] mirrored left to right, if asked for, and then turned."""
    turns, mirrored = symmetry
    return np.rot90(images[:, :, ::-1] if mirrored else images, turns, axes=(1, 2))


def turned_back(images: Images, symmetry: tuple[int, bool]) -> Images:
    """Undoes `turned`."""
    turns, mirrored = symmetry
    back = np.rot90(images, -turns, axes=(1, 2))
    return back[:, :, ::-1] if mirrored else back


def mean_over(symmetries: str, predict: Callable[[Images], Images], images: Images) -> Images:
    """Returns the mean [batch, side, side] of what `predict` says of the turned images, each turned back.

    Args:
      symmetries: a name of `SYMMETRIES`.
      predict: from images [batch, side, side, bands] to values [batch, side, side].
    """
    total: Images | None = None
    for symmetry in SYMMETRIES[symmetries]:
        found = turned_back(predict(np.ascontiguousarray(turned(images, symmetry))), symmetry)
        total = found if total is None else total + found
    assert total is not None
    return total / len(SYMMETRIES[symmetries])
