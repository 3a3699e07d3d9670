"""What follows from a histogram at every threshold: counts, the precision-recall curve, the best threshold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mmls_tf.evaluation.histogram import LEVELS, Histogram

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PrecisionRecall:
    """A precision-recall curve by rising threshold; `probability > threshold` is landslide.

    Attributes:
      threshold: [points], each half a code below the pixels that it lets in last; the lowest may be just below 0.
      precision: [points].
      recall: [points], falling.
    """

    threshold: Floats
    precision: Floats
    recall: Floats

    def thinned(self, points: int = 100) -> PrecisionRecall:
        """Returns at most so many of the points, both ends among them, evenly spread along the curve's length.

        Length is the sum of the steps in recall and in precision, so that flat and steep parts keep their shape: what
        is left out between two points that are kept strays from them by no more than the length between them.
        """
        if len(self.recall) <= points:
            return self
        steps = np.abs(np.diff(self.recall)) + np.abs(np.diff(self.precision))
        length = np.concatenate([[0.0], np.cumsum(steps)])
        kept = np.searchsorted(length, np.linspace(0.0, length[-1], points))
        kept = np.unique(np.concatenate([kept[:-1], [len(length) - 1]]))
        return PrecisionRecall(self.threshold[kept], self.precision[kept], self.recall[kept])


def thresholds() -> Floats:
    """Returns every threshold that tells codes apart, float64 [65537]; the first lets all pixels in, the last none.

    Each lies half-way between two codes, rounded down to float32: no float32 lies in between, so that float32
    probabilities are told apart alike, whether NumPy compares them as float32 or as float64.
    """
    exact = (np.arange(LEVELS + 1) - 0.5) / (LEVELS - 1)
    rounded = exact.astype(np.float32)
    below = np.nextafter(rounded, np.float32(-1.0))
    return np.where(rounded > exact, below, rounded).astype(np.float64)


def confusions(histogram: Histogram) -> npt.NDArray[np.int64]:
    """Counts pixels at each of `thresholds()`.

    Returns:
      int64 [65537, 4]: true positives, false positives, false negatives, true negatives, as in `Confusion`.
    """
    above = np.zeros((2, LEVELS + 1), np.int64)
    above[:, :-1] = np.cumsum(histogram.counts[:, ::-1], axis=1)[:, ::-1]
    false_positive, true_positive = above
    background, landslide = above[:, 0]
    counts = [true_positive, false_positive, landslide - true_positive, background - false_positive]
    return np.stack(counts, axis=1)


def curve_points(histogram: Histogram) -> PrecisionRecall:
    """Returns the curve with a point for every probability that occurs; no points where there is no landslide."""
    occurring = np.flatnonzero(histogram.counts.any(axis=0) & histogram.landslide.any())
    hits, false_alarms, misses, _ = confusions(histogram)[occurring].T
    return PrecisionRecall(thresholds()[occurring], hits / (hits + false_alarms), hits / (hits + misses))


def precision_recall(histogram: Histogram, points: int = 100) -> dict[str, list[float]]:
    """Returns the thinned curve as it goes into JSON: `threshold`, `precision`, `recall`; empty without landslide."""
    thinned = curve_points(histogram).thinned(points)
    return {name: values.tolist() for name, values in vars(thinned).items()}


def average_precision(histogram: Histogram) -> float | None:
    """Returns the sum of precision times step in recall over the curve, without interpolation.

    As `sklearn.metrics.average_precision_score` of the quantised probabilities; None where there is no landslide.
    """
    curve = curve_points(histogram)
    if not len(curve.recall):
        return None
    steps = curve.recall - np.append(curve.recall[1:], 0.0)
    return float(steps @ curve.precision)


def best_threshold(histogram: Histogram) -> float:
    """Returns the threshold in (0, 1) with the highest pooled mIoU; of equal ones that nearest to one half.

    It is one of `thresholds()`: `probability > threshold` lets in exactly the float32 pixels counted above it.

    Raises:
      DatasetError: there are no pixels of one of the classes.
    """
    histogram.require_both_classes("threshold of highest mIoU")
    inner = slice(1, LEVELS)
    hits, false_alarms, misses, rejections = confusions(histogram)[inner].T
    wrong = false_alarms + misses
    miou = (hits / (hits + wrong) + rejections / (rejections + wrong)) / 2
    candidates = thresholds()[inner]
    best = np.flatnonzero(miou == miou.max())
    return float(candidates[best[np.argmin(np.abs(candidates[best] - 0.5))]])
