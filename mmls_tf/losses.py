"""Losses on logits, in keras.ops, with unknown labels and invalid pixels left out."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from mmls_tf.schema import UNKNOWN_LABEL


def split_target(target: Any) -> tuple[Any, Any]:
    """Splits a target into labels and weights.

    Args:
      target: [..., height, width, 2]; channel 0 is the mask {0, 1, 255}, channel 1 is 1 where data is valid.

    Returns:
      (labels float32 {0, 1}, weights float32 {0, 1}), both [..., height, width, 1]; the weight is 0 where the
      label is unknown or the data invalid.
    """
    target = ops.cast(target, "float32")
    mask, valid = target[..., :1], target[..., 1:]
    weights = ops.where(mask == float(UNKNOWN_LABEL), 0.0, valid)
    return mask * weights, weights


@keras.saving.register_keras_serializable("mmls_tf")
class BceDice(keras.losses.Loss):
    """Mean binary cross-entropy plus soft Dice loss of the landslide class (Milletari et al. 2016, eq. 2).

    The Dice term is taken over the whole batch, so that tiles without landslides do not dominate it. Its
    sums are float32 whatever the precision of the model. Without any weighted pixel the loss is 0.
    """

    def __init__(self, name: str = "bce_dice", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the scalar loss of logits `y_pred` [batch, height, width, 1] against a target `y_true`."""
        labels, weights = split_target(y_true)
        logits = ops.cast(y_pred, "float32")
        count = ops.sum(weights)
        # softplus(x) - x y is the cross-entropy of a sigmoid in its stable form.
        cross_entropy = ops.sum(weights * (ops.softplus(logits) - logits * labels)) / ops.maximum(count, 1.0)
        probability = ops.sigmoid(logits) * weights
        overlap = ops.sum(probability * labels)
        total = ops.sum(probability) + ops.sum(labels)
        dice = 1.0 - (2.0 * overlap + 1.0) / (total + 1.0)
        return cross_entropy + ops.where(count > 0, dice, 0.0)
