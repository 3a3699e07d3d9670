"""Landslide probabilities of labelled pixels as counts: what every curve follows from, in memory that does not grow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mmls_tf.errors import DatasetError
from mmls_tf.schema import UNKNOWN_LABEL

LEVELS = 65536


@dataclass(frozen=True)
class Histogram:
    """Pixels by true class and quantised probability.

    Code c holds the probabilities in ((c - 1/2) / 65535, (c + 1/2) / 65535]. The edges belong below, so that
    counting codes from c up is exactly `probability > (c - 1/2) / 65535`; for c = 32768 that is one half.

    Attributes:
      counts: int64 [2, 65536]; row 0 is background, row 1 landslide.
    """

    counts: npt.NDArray[np.int64]

    @staticmethod
    def empty() -> Histogram:
        """Returns the histogram of no pixels."""
        return Histogram(np.zeros((2, LEVELS), np.int64))

    def __add__(self, other: Histogram) -> Histogram:
        return Histogram(self.counts + other.counts)

    @property
    def background(self) -> npt.NDArray[np.int64]:
        """Pixels of background by code, [65536]."""
        return self.counts[0]

    @property
    def landslide(self) -> npt.NDArray[np.int64]:
        """Pixels of landslide by code, [65536]."""
        return self.counts[1]

    def require_both_classes(self, purpose: str) -> None:
        """Refuses a histogram from which nothing can be chosen.

        Raises:
          DatasetError: there are no pixels of one of the classes.
        """
        background, landslide = self.counts.sum(axis=1).tolist()
        if not background or not landslide:
            raise DatasetError(
                f"{purpose}: expected labelled pixels of both classes, found {background} of background and "
                f"{landslide} of landslide; choose it on a split that has both"
            )


class Accumulator:
    """Adds up tiles in place."""

    def __init__(self) -> None:
        self._counts = np.zeros(2 * LEVELS, np.int64)

    def add(self, probability: npt.NDArray[np.floating], mask: npt.NDArray[np.uint8]) -> None:
        """Counts the pixels of a tile; arguments and errors as of `count_probabilities`."""
        self._counts += np.bincount(_codes(probability, mask), minlength=2 * LEVELS)

    def histogram(self) -> Histogram:
        """Returns what was counted so far."""
        return Histogram(self._counts.reshape(2, LEVELS).copy())


def count_probabilities(probability: npt.NDArray[np.floating], mask: npt.NDArray[np.uint8]) -> Histogram:
    """Counts the labelled pixels of a tile by class and probability.

    Args:
      probability: float32 or float64 [height, width] of landslide, in [0, 1].
      mask: uint8 [height, width], 0 background, 1 landslide, 255 unknown (left out).

    Raises:
      DatasetError: a probability is NaN or outside [0, 1].
    """
    accumulator = Accumulator()
    accumulator.add(probability, mask)
    return accumulator.histogram()


def code_probabilities() -> npt.NDArray[np.float64]:
    """Returns the probability that each code stands for, float64 [65536], the middle of its range, never 0 or 1."""
    codes = np.arange(LEVELS, dtype=np.float64)
    codes[0], codes[-1] = 0.25, LEVELS - 1.25
    return codes / (LEVELS - 1)


def _codes(probability: npt.NDArray[np.floating], mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Returns code + 65536 * class of every labelled pixel."""
    labelled = mask != UNKNOWN_LABEL
    # As float64, a float32 times 65535 is exact.
    chosen = probability[labelled].astype(np.float64)
    if not ((chosen >= 0.0) & (chosen <= 1.0)).all():
        raise DatasetError(
            f"expected landslide probabilities in [0, 1], found {chosen.min()} to {chosen.max()}; "
            "the weights or the tile are damaged"
        )
    codes = np.ceil(chosen * (LEVELS - 1) - 0.5).astype(np.int64)
    return codes + LEVELS * mask[labelled].astype(np.int64)
