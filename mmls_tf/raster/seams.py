"""Checks places that only names claim: where two tiles abut, the ground must go on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from mmls_tf.bands import BAND_NAMES
from mmls_tf.raster.places import neighbours
from mmls_tf.raster.raster import FloatArray
from mmls_tf.schema import Place

Rims = npt.NDArray[np.float32]
_UPPER, _LOWER, _LEFT, _RIGHT = range(4)
_FACING = {"N": (_UPPER, _LOWER), "S": (_LOWER, _UPPER), "W": (_LEFT, _RIGHT), "E": (_RIGHT, _LEFT)}
# Across a true seam the mean step is that between any two lines of pixels; across a false one, of kilometres.
_ROUGHNESS_FACTOR = 4.0
_RIM = 2  # lines of elevation kept a side: one for the seam, one for how rough the ground is beside it


def rims_of(image: FloatArray) -> Rims:
    """Returns elevation along the upper, lower, left and right side, from the side inwards: float32 [4, 2, size].

    Args:
      image: float32 [size, size, 7], canonical bands.
    """
    dem = image[..., BAND_NAMES.index("dem")]
    sides = (dem[:_RIM], dem[: -_RIM - 1 : -1], dem[:, :_RIM].T, dem[:, : -_RIM - 1 : -1].T)
    return np.stack(sides).astype(np.float32)


def trustworthy(places: Mapping[str, Place], rims: Mapping[str, Rims], tile_size: int) -> dict[str, Place]:
    """Returns the places that the ground bears out.

    Tiles whose elevation goes on across their seams form pieces. Where two pieces meet and the elevation breaks off,
    the smaller one is not where its names say (a few tiles at the raster's edge were shifted when the data was cut);
    of two equal ones neither is known. A piece that meets no other cannot be checked, and is kept.

    Args:
      rims: float32 [4, 2, size] a tile, as from `rims_of`.
    """
    around = neighbours(places, tile_size)
    seams = [
        (key, other, goes_on(rims[key], rims[other], direction))
        for key, others in around.items()
        for direction, other in others.items()
        if direction in ("S", "E")  # the other two sides are the neighbours' seams
    ]
    piece = _pieces(places, seams)
    sizes = Counter(piece.values())
    doubtful = set()
    for key, other, whole in seams:
        if not whole and piece[key] != piece[other]:
            smaller = min(sizes[piece[key]], sizes[piece[other]])
            doubtful |= {name for name in (piece[key], piece[other]) if sizes[name] == smaller}
    return {key: place for key, place in places.items() if piece[key] not in doubtful}


def _pieces(keys: Iterable[str], seams: Iterable[tuple[str, str, bool]]) -> dict[str, str]:
    """Returns for every tile the name of its piece: the connected components of the whole seams."""
    parent = {key: key for key in keys}

    def root(key: str) -> str:
        while parent[key] != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    for key, other, whole in seams:
        if whole:
            parent[root(key)] = root(other)
    return {key: root(key) for key in parent}


def goes_on(one: Rims, other: Rims, direction: str) -> bool:
    """Tells whether elevation goes on from one tile to its neighbour in a direction (N, S, W or E)."""
    mine, theirs = _FACING[direction]
    step = np.abs(one[mine, 0] - other[theirs, 0]).mean()
    rough = 0.5 * (np.abs(np.diff(one[mine], axis=0)).mean() + np.abs(np.diff(other[theirs], axis=0)).mean())
    return bool(step <= _ROUGHNESS_FACTOR * rough + 1e-3)
