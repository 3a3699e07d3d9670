"""Keras metrics that watch training; final figures come from int64 counts in `mmls_tf.evaluation`."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from mmls_tf.schema import UNKNOWN_LABEL


@keras.saving.register_keras_serializable("mmls_tf")
class WatchedMiou(keras.metrics.Metric):
    """mIoU = (IoU of background + IoU of landslide) / 2 from one confusion matrix over all labelled pixels.

    Counts are kept in float32: exact up to 16.7 million pixels a cell, close enough beyond.
    """

    def __init__(self, name: str = "miou", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.counts = self.add_variable(shape=(4,), initializer="zeros", name="counts")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch: target [batch, height, width, 2] (mask, valid), logits [batch, height, width, 1]."""
        mask = ops.cast(y_true[..., :1], "float32")
        labelled = ops.cast(mask != float(UNKNOWN_LABEL), "float32")
        truth = mask * labelled
        predicted = ops.cast(y_pred > 0, "float32") * labelled
        both = ops.sum(truth * predicted)
        false_positive = ops.sum(predicted) - both
        false_negative = ops.sum(truth) - both
        neither = ops.sum(labelled) - both - false_positive - false_negative
        self.counts.assign_add(ops.stack([both, false_positive, false_negative, neither]))

    def result(self) -> Any:
        """Returns mIoU in [0, 1]; 0 before any pixel was seen."""
        both, false_positive, false_negative, neither = (self.counts[i] for i in range(4))
        errors = false_positive + false_negative
        landslide = both / ops.maximum(both + errors, 1.0)
        background = neither / ops.maximum(neither + errors, 1.0)
        return (landslide + background) / 2.0

    def reset_state(self) -> None:
        """Forgets all counts."""
        self.counts.assign(ops.zeros((4,)))
