"""Draws of steps as a Keras data set: all that comes from the host where tiles are in the accelerator's memory."""

from __future__ import annotations

import time
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from mmls_tf.data.draws import Draws, InputConfig, draw_changes, draw_offsets, draw_tiles
from mmls_tf.data.ground import Ground
from mmls_tf.data.normalise import Normalisation


class StepDraws(keras.utils.PyDataset):
    """An epoch of {corner int32 [batch, 2], and the names of `draw_changes`}: a few hundred bytes a step.

    Attributes:
      waited: seconds that it has taken to draw.
    """

    def __init__(
        self, ground: Ground, normalisation: Normalisation, config: InputConfig, steps: int, first_step: int
    ) -> None:
        super().__init__()
        self._normalisation, self._config = normalisation, config
        self._corners = np.array(list(ground.corners.values()), np.int64)
        self._size, self._steps, self._first = ground.size, steps, first_step
        self.waited = 0.0

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, index: int) -> tuple[Draws]:
        started = time.perf_counter()
        draws = self.of_step(self._first + index)
        self.waited += time.perf_counter() - started
        return (draws,)

    def on_epoch_end(self) -> None:
        """The next epoch goes on where this one ends."""
        self._first += self._steps

    def of_step(self, step: int) -> Draws:
        """Returns what a step is given."""
        config, size = self._config, self._size
        offsets = draw_offsets(config, step, size) - config.context
        corner = self._corners[draw_tiles(config, step, len(self._corners))] + offsets
        side = size + 2 * config.context
        return {"corner": corner.astype(np.int32), **draw_changes(config, step, self._normalisation, side)}


class Batches(keras.utils.PyDataset):
    """Batches that are held in memory, for validation where there is no TensorFlow."""

    def __init__(self, batches: list[dict[str, npt.NDArray[Any]]]) -> None:
        super().__init__()
        self._batches = batches

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> tuple[dict[str, npt.NDArray[Any]]]:
        return (self._batches[index],)
