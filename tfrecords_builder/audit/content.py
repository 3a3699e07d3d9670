"""Tiles with the same content: exact and near duplicates, whatever their names and places say."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mmls_tf.raster.raster import FloatArray

_CELLS = 8
# Different tiles of the real data differ by 0.20 or more even where they overlap by 90 %; a tile that was
# compressed, stretched by a percent or given noise of a tenth of a deviation differs by less than 0.05.
NEAR = 0.1


@dataclass(frozen=True)
class Content:
    """What of a tile is compared: a hash of all its values, and the means of 8 x 8 cells of every band."""

    digest: str
    signature: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Duplicate:
    """Two tiles with the same content; `difference` is in standard deviations of a band, 0.0 if exact."""

    one: str
    other: str
    exact: bool
    difference: float


def content_of(image: FloatArray, deviations: Sequence[float]) -> Content:
    """Returns the content of an image [height, width, 7]; `deviations` are those of the bands in training."""
    rows, columns = (np.linspace(0, size, _CELLS + 1).astype(int)[:-1] for size in image.shape[:2])
    sums = np.add.reduceat(np.add.reduceat(image.astype(np.float64), rows, axis=0), columns, axis=1)
    heights, widths = (
        np.diff([*edges, size]) for edges, size in zip((rows, columns), image.shape, strict=False)
    )
    means = sums / (heights[:, None, None] * widths[None, :, None])
    signature = (means / np.asarray(deviations)).astype(np.float32).ravel()
    return Content(hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest(), signature)


def find_duplicates(contents: Mapping[str, Content]) -> Iterator[Duplicate]:
    """Yields all pairs of tiles with equal values, and all whose root mean square difference is below 0.1."""
    by_digest: dict[str, list[str]] = defaultdict(list)
    for key in sorted(contents):
        by_digest[contents[key].digest].append(key)
    for keys in by_digest.values():
        for index, key in enumerate(keys):
            yield from (Duplicate(key, other, True, 0.0) for other in keys[index + 1 :])
    for one, other, difference in _near_pairs(contents):
        if contents[one].digest != contents[other].digest:
            yield Duplicate(one, other, False, difference)


def _near_pairs(contents: Mapping[str, Content]) -> Iterator[tuple[str, str, float]]:
    """Sorts by the signature's mean, which is never farther apart than the signatures are."""
    if not contents:
        return
    keys = sorted(contents, key=lambda key: (float(contents[key].signature.mean()), key))
    signatures = np.stack([contents[key].signature for key in keys])
    means = signatures.mean(axis=1)
    for index, key in enumerate(keys):
        stop = int(np.searchsorted(means, means[index] + NEAR, side="right"))
        if stop <= index + 1:
            continue
        differences = np.sqrt(np.square(signatures[index + 1 : stop] - signatures[index]).mean(axis=1))
        for offset in np.flatnonzero(differences < NEAR):
            one, other = sorted((key, keys[index + 1 + int(offset)]))
            yield one, other, float(differences[offset])
