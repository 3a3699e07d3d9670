"""Windows that overlap become one map, without seams and with no more memory than one row of windows.

A pixel's probability is the mean over the windows that cover it, weighted by a Hann window, which falls towards the
edges of a window, where a network sees least; a floor keeps it above zero at the edges of the scene. Weights are
multiples of 1/1024 along each side and probabilities are rounded to multiples of 2^-24, so that all sums are exact in
float64: a constant stays the same constant, and the order of windows changes no bit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mmls_tf.errors import DatasetError
from mmls_tf.inference.plan import WindowPlan

Sums = npt.NDArray[np.float64]
_WEIGHT_UNIT = 1.0 / 1024
_PROBABILITY_UNIT = 2.0**-24


def window_weights(tile: int) -> Sums:
    """Returns the weights along one side of a window, float64 [tile] in [1/1024, 1], symmetric."""
    hann = np.sin(np.pi * (np.arange(tile) + 0.5) / tile) ** 2
    return np.maximum(1.0, np.rint(hann / _WEIGHT_UNIT)) * _WEIGHT_UNIT


def weight_sums(starts: Sequence[int], tile: int, length: int) -> Sums:
    """Returns the sum of the weights of all windows along one side, float64 [length]."""
    total, weights = np.zeros(length), window_weights(tile)
    for start in starts:
        total[start : start + tile] += weights
    return total


class RowBlender:
    """Sums of the windows of a scene, of `tile` rows at a time.

    Attributes:
      index: the row of windows that is being added.
    """

    def __init__(self, plan: WindowPlan, index: int = 0, sums: Sums | None = None) -> None:
        """Starts with a row of windows.

        Args:
          sums: what `overhang` was when that row came up; None for the first one.
        """
        self.index = index
        self._plan = plan
        weights = window_weights(plan.tile)
        self._weights = np.outer(weights, weights)
        self._rows = weight_sums(plan.rows, plan.tile, plan.canvas_height)
        self._columns = weight_sums(plan.columns, plan.tile, plan.canvas_width)
        self._sums = np.zeros((plan.tile, plan.canvas_width))
        if sums is not None:
            self._sums[: len(sums)] = sums

    @property
    def overhang(self) -> Sums:
        """Sums, float64 [rows, columns], that earlier windows have left where those of row `index` come."""
        reach = self._plan.rows[self.index - 1] + self._plan.tile if self.index else 0
        shared = max(0, reach - self._plan.rows[self.index]) if self.index < len(self._plan.rows) else 0
        return self._sums[:shared]

    def add(self, column: int, probability: npt.NDArray[np.floating]) -> None:
        """Adds a window of the row `index`.

        Args:
          column: its first column.
          probability: [tile, tile] in [0, 1].

        Raises:
          DatasetError: a probability is NaN.
        """
        if np.isnan(probability).any():
            raise DatasetError(
                f"window at row {self._plan.rows[self.index]}, column {column}: expected finite logits, found NaN; "
                "the weights are damaged"
            )
        exact = np.rint(probability.astype(np.float64) / _PROBABILITY_UNIT) * _PROBABILITY_UNIT
        self._sums[:, column : column + self._plan.tile] += self._weights * exact

    def finish_row(self) -> npt.NDArray[np.float32]:
        """Ends the row `index` and returns the probability of the rows that are finished with it.

        Returns:
          float32 [rows, width]; meaningless where no window was added.
        """
        plan = self._plan
        start, stop = plan.band(self.index)
        weights = np.outer(self._rows[start:stop], self._columns[: plan.width])
        found = self._sums[: stop - start, : plan.width] / weights
        self._sums[: plan.tile - (stop - start)] = self._sums[stop - start :]
        self._sums[plan.tile - (stop - start) :] = 0.0
        self.index += 1
        return found.astype(np.float32)
