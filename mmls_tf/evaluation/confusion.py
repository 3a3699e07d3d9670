"""Exact pixel counts and the published metrics that follow from them. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mmls_tf.schema import UNKNOWN_LABEL

Array = npt.NDArray[np.generic]


@dataclass(frozen=True)
class Confusion:
    """One confusion matrix in pixels; landslide is the positive class."""

    true_positive: int = 0
    false_positive: int = 0
    false_negative: int = 0
    true_negative: int = 0

    def __add__(self, other: Confusion) -> Confusion:
        return Confusion(
            self.true_positive + other.true_positive,
            self.false_positive + other.false_positive,
            self.false_negative + other.false_negative,
            self.true_negative + other.true_negative,
        )

    @property
    def pixels(self) -> int:
        """All counted pixels."""
        return self.true_positive + self.false_positive + self.false_negative + self.true_negative

    @property
    def precision(self) -> float | None:
        """Share of predicted landslide that is landslide; None where nothing was predicted."""
        return _ratio(self.true_positive, self.true_positive + self.false_positive)

    @property
    def recall(self) -> float | None:
        """Share of landslide that was predicted; None where there is none."""
        return _ratio(self.true_positive, self.true_positive + self.false_negative)

    @property
    def f1(self) -> float | None:
        """F1 score (Dice) of the landslide class; None where there is none in truth and prediction."""
        errors = self.false_positive + self.false_negative
        return _ratio(2 * self.true_positive, 2 * self.true_positive + errors)

    @property
    def iou_landslide(self) -> float | None:
        """Intersection over union of the landslide class; None where there is none in truth and prediction."""
        return _ratio(self.true_positive, self.true_positive + self.false_positive + self.false_negative)

    @property
    def iou_background(self) -> float | None:
        """Intersection over union of the background; None where there is none in truth and prediction."""
        return _ratio(self.true_negative, self.true_negative + self.false_positive + self.false_negative)

    @property
    def miou(self) -> float | None:
        """(IoU of background + IoU of landslide) / 2, as published; None where either is undefined."""
        if self.iou_landslide is None or self.iou_background is None:
            return None
        return (self.iou_landslide + self.iou_background) / 2

    def metrics(self) -> dict[str, float | None]:
        """Returns the published metrics by name."""
        names = ("precision", "recall", "f1", "iou_landslide", "iou_background", "miou")
        return {name: getattr(self, name) for name in names}


def count_pixels(predicted: Array, mask: Array, counted: Array | None = None) -> Confusion:
    """Counts predictions against labels, leaving unknown labels out.

    Args:
      predicted: bool, any shape; True is landslide.
      mask: uint8 of that shape, 0 background, 1 landslide, 255 unknown.
      counted: bool of that shape, False where a pixel is not to be counted; None counts all labelled ones.
    """
    labelled = mask != UNKNOWN_LABEL
    if counted is not None:
        labelled &= counted.astype(bool)
    codes = 2 * mask[labelled].astype(np.int64) + predicted[labelled]
    negatives, false_positives, false_negatives, positives = np.bincount(codes, minlength=4).tolist()
    return Confusion(positives, false_positives, false_negatives, negatives)


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
