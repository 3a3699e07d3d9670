"""Runs a model over a split and counts: memory does not grow with the number of tiles, counters apart."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from mmls_tf.errors import DatasetError
from mmls_tf.evaluation.confusion import Confusion, count_pixels

LOGIT_THRESHOLD = 0.0  # a probability of one half


@dataclass(frozen=True)
class TileScore:
    """The counts of one tile: over all labelled pixels, and over those where every band has data."""

    key: str
    labelled: Confusion
    valid: Confusion


@dataclass(frozen=True)
class SplitScore:
    """The tiles of a split and the median time of a tile's forward pass in milliseconds (None: one batch only)."""

    tiles: tuple[TileScore, ...]
    milliseconds_per_tile: float | None

    @property
    def labelled(self) -> Confusion:
        """One confusion matrix over all labelled pixels, as published."""
        return sum((tile.labelled for tile in self.tiles), Confusion())

    @property
    def valid(self) -> Confusion:
        """The same over labelled pixels where every band has data."""
        return sum((tile.valid for tile in self.tiles), Confusion())


def score_split(model: keras.Model, batches: Iterable[dict[str, Any]]) -> SplitScore:
    """Predicts every tile once and counts its pixels.

    Args:
      model: compiled (for its predict function), giving logits [batch, height, width, 1].
      batches: {image, target, key} NumPy arrays; tiles with an empty key are padding and are left out.

    Raises:
      DatasetError: a logit is NaN.
    """
    scores: list[TileScore] = []
    times: list[float] = []
    for index, batch in enumerate(batches):
        started = time.perf_counter()
        logits = predict_logits(model, batch["image"])
        if index:  # the first batch compiles
            times.append((time.perf_counter() - started) / len(logits))
        scores += [
            _score_tile(key.decode(), logit, target)
            for key, logit, target in zip(batch["key"], logits, batch["target"], strict=True)
            if key
        ]
    return SplitScore(tuple(scores), 1e3 * statistics.median(times) if times else None)


def predict_logits(model: keras.Model, images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Returns logits float32 [batch, height, width] of images [batch, height, width, bands]."""
    return np.asarray(model.predict_on_batch(images), np.float32)[..., 0]


def _score_tile(key: str, logits: npt.NDArray[np.float32], target: npt.NDArray[np.uint8]) -> TileScore:
    if np.isnan(logits).any():
        raise DatasetError(
            f"tile {key}: expected finite logits, found NaN; the weights or the tile are damaged"
        )
    predicted = logits > LOGIT_THRESHOLD
    mask, valid = target[..., 0], target[..., 1]
    return TileScore(key, count_pixels(predicted, mask), count_pixels(predicted, mask, valid == 1))
