"""Which landslides are found, missed, right and false. Areas in, verdicts out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from mmls_tf.comparison.ground import Place
from mmls_tf.comparison.overlaps import Overlaps

Verdict = Literal["good", "bad", "outside", "hidden"]
_MOSTLY = 0.5  # of a landslide must be compared for it to be judged
_ROUNDING = 1.0 - 1e-9  # sums of the same pixels in another order are alike
_ONE_TO_ONE = 0.5

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """The landslides of one side.

    Attributes:
      places: what and where they are.
      area_km2: float64 [landslides], all of each, also where it leaves the map.
      counted_km2: float64 [landslides], the compared part.
      covered_km2: float64 [landslides], how much of that the other side covers.
      verdicts: good (found, or right), bad (missed, or false), outside (less than half of it is compared), hidden (no
        pixel of its own: too small, or under another one).
    """

    places: tuple[Place, ...]
    area_km2: Floats
    counted_km2: Floats
    covered_km2: Floats
    verdicts: tuple[Verdict, ...]

    def count(self, verdict: Verdict) -> int:
        """Number of landslides of that verdict."""
        return self.verdicts.count(verdict)


@dataclass(frozen=True)
class Pair:
    """A true and a mapped landslide that are each other's: indices from 0, IoU, relative error of the area."""

    true: int
    mapped: int
    iou: float
    area_error: float


def judge_truth(places: Sequence[Place], overlaps: Overlaps, min_overlap: float) -> Judged:
    """Judges the true landslides: one is found where at least `min_overlap` of its compared area is mapped."""
    covered = np.zeros(len(places))
    for (true, _), shared in overlaps.both.items():
        covered[true] += shared
    outlines = np.array([place.outline_km2 for place in places])
    inside = np.array([place.inside for place in places], bool)
    # What leaves the map has no pixels there; for what does not, pixels are what is compared.
    area = np.where(inside, overlaps.true, np.maximum(outlines, overlaps.true))
    return _judged(places, area, overlaps.true_counted, covered, min_overlap)


def judge_mapped(places: Sequence[Place], overlaps: Overlaps, min_overlap: float) -> Judged:
    """Judges the mapped landslides: one is right where at least `min_overlap` of its compared area is true."""
    covered = np.zeros(len(places))
    for (_, mapped), area in overlaps.both.items():
        covered[mapped] += area
    return _judged(places, overlaps.mapped, overlaps.mapped_counted, covered, min_overlap)


def one_to_one(overlaps: Overlaps, truth: Judged, mapped: Judged) -> list[Pair]:
    """Returns the judged pairs whose IoU over the compared area is above one half.

    No landslide can have two such partners (Kirillov et al., Panoptic Segmentation, CVPR 2019, section 4.1).
    """
    pairs = []
    for (true, guess), shared in sorted(overlaps.both.items()):
        judged = truth.verdicts[true] in ("good", "bad") and mapped.verdicts[guess] in ("good", "bad")
        own, its = float(truth.counted_km2[true]), float(mapped.counted_km2[guess])
        iou = shared / (own + its - shared)
        if judged and iou * _ROUNDING > _ONE_TO_ONE:
            pairs.append(Pair(true, guess, min(iou, 1.0), its / own - 1.0))
    return pairs


def size_classes(area_km2: Floats, limits: Sequence[float]) -> npt.NDArray[np.int64]:
    """Returns the class of each area: 0 below the first limit, 1 from there to below the second one, and so on."""
    return np.digitize(area_km2, np.asarray(limits)).astype(np.int64)


def _judged(
    places: Sequence[Place], area: Floats, counted: Floats, covered: Floats, min_overlap: float
) -> Judged:
    verdicts: list[Verdict] = []
    for index in range(len(places)):
        if not area[index]:
            verdicts.append("hidden")
        elif counted[index] < _MOSTLY * _ROUNDING * area[index]:
            verdicts.append("outside")
        else:
            enough = covered[index] >= min_overlap * _ROUNDING * counted[index]
            verdicts.append("good" if enough else "bad")
    return Judged(tuple(places), area, counted, covered, tuple(verdicts))
