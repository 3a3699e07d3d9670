"""How well outlines agree: boundary F1 and boundary IoU, from exact counts of pixels. NumPy only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mmls_tf.schema import UNKNOWN_LABEL

Plane = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class BoundaryCounts:
    """Counts of boundary pixels at one radius; `BoundaryCounts(radius)` is the empty sum.

    Attributes:
      radius: pixels; the tolerance of boundary F1 and the width of the band of boundary IoU.
      true_boundary: boundary pixels of the truth.
      true_matched: those of them with a predicted boundary pixel within the radius.
      predicted_boundary: boundary pixels of the prediction.
      predicted_matched: those of them with a true boundary pixel within the radius.
      band_intersection: pixels in both bands.
      band_union: pixels in either band.
    """

    radius: int
    true_boundary: int = 0
    true_matched: int = 0
    predicted_boundary: int = 0
    predicted_matched: int = 0
    band_intersection: int = 0
    band_union: int = 0

    def __add__(self, other: BoundaryCounts) -> BoundaryCounts:
        if self.radius != other.radius:
            raise ValueError(
                f"expected counts at radius {self.radius}, found counts at radius {other.radius}"
            )
        return BoundaryCounts(
            self.radius,
            self.true_boundary + other.true_boundary,
            self.true_matched + other.true_matched,
            self.predicted_boundary + other.predicted_boundary,
            self.predicted_matched + other.predicted_matched,
            self.band_intersection + other.band_intersection,
            self.band_union + other.band_union,
        )

    @property
    def precision(self) -> float | None:
        """Share of the predicted boundary within the radius of a true one; None where none was predicted."""
        return _ratio(self.predicted_matched, self.predicted_boundary)

    @property
    def recall(self) -> float | None:
        """Share of the true boundary within the radius of a predicted one; None where there is none."""
        return _ratio(self.true_matched, self.true_boundary)

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall, 0 if either side alone has a boundary, None if neither has."""
        precision, recall = self.precision, self.recall
        if precision is None and recall is None:
            return None
        if not precision or not recall:
            return 0.0
        return 2 * precision * recall / (precision + recall)

    @property
    def iou(self) -> float | None:
        """Boundary IoU; None where neither side has a boundary."""
        return _ratio(self.band_intersection, self.band_union)

    def metrics(self) -> dict[str, Any]:
        """Returns radius_px, precision, recall and f1 of the boundary, and iou of the bands."""
        return {
            "radius_px": self.radius,
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
            "iou": self.iou,
        }


def count_boundaries(predicted: Plane, mask: npt.NDArray[np.uint8], radius: int) -> BoundaryCounts:
    """Counts what boundary F1 and boundary IoU of one tile are made of.

    Distances are Euclidean, between centres of pixels. The band of a mask is its landslide pixels that have a
    background pixel within `radius`, and its boundary the band of radius 1: landslide pixels with background among
    their four neighbours. A tile is cut out of a map that goes on: its edge is no boundary, nor is that of an area
    of unknown label, where predictions count nowhere.

    Boundary F1 (Csurka et al., What is a good evaluation measure for semantic segmentation?, BMVC 2013) takes a
    boundary pixel as matched if the other side has one within `radius`; counts are pooled over tiles, while the
    paper averages over images. Boundary IoU (Cheng et al., CVPR 2021, arXiv 2103.16562) is the IoU of the two bands;
    the authors' code takes the larger of both axes' distances and a picture's edge as contour.

    Args:
      predicted: bool [height, width]; True is landslide.
      mask: uint8 [height, width], 0 background, 1 landslide, 255 unknown.
      radius: pixels, at least 1.

    Raises:
      ValueError: the radius is below 1.
    """
    if radius < 1:
        raise ValueError(f"expected a radius of at least 1 pixel, found {radius}")
    labelled = mask != UNKNOWN_LABEL
    truth, guess = mask == 1, predicted & labelled
    true_background, guessed_background = mask == 0, ~predicted & labelled
    true_boundary = truth & _within(true_background, 1)
    guessed_boundary = guess & _within(guessed_background, 1)
    true_band = truth & _within(true_background, radius)
    guessed_band = guess & _within(guessed_background, radius)
    return BoundaryCounts(
        radius,
        true_boundary=_count(true_boundary),
        true_matched=_count(true_boundary & _within(guessed_boundary, radius)),
        predicted_boundary=_count(guessed_boundary),
        predicted_matched=_count(guessed_boundary & _within(true_boundary, radius)),
        band_intersection=_count(true_band & guessed_band),
        band_union=_count(true_band | guessed_band),
    )


def _within(pixels: Plane, radius: int) -> Plane:
    """Returns where one of some pixels [height, width] lies within `radius`: their dilation with a disk."""
    height, width = pixels.shape
    around = np.pad(pixels, radius)
    near = np.zeros_like(pixels)
    for down in range(-radius, radius + 1):
        rows = around[radius + down : radius + down + height]
        reach = math.isqrt(radius**2 - down**2)
        for right in range(-reach, reach + 1):
            near |= rows[:, radius + right : radius + right + width]
    return near


def _count(pixels: Plane) -> int:
    return int(np.count_nonzero(pixels))


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
