"""Losses on logits, in keras.ops, with unknown labels and invalid pixels left out.

All of them take a target [batch, height, width, 2] (mask, valid) and logits [batch, height, width, 1], sum in float32
whatever the precision of the model, and are 0 for a batch without any pixel that counts. Terms over regions (Dice,
Focal-Tversky, Lovasz) are taken over the whole batch, so that tiles without landslides do not dominate them.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from mmls_tf.errors import UsageError
from mmls_tf.schema import UNKNOWN_LABEL

_SMOOTH = (
    1.0  # pixels added to both sides of a ratio of regions: no division by 0, no jump at the first pixel
)
_TVERSKY_MISSED, _TVERSKY_FALSE, _TVERSKY_FOCUS = 0.7, 0.3, 0.75  # Abraham and Khan 2019, section 3
_BOUNDARY_REACH, _BOUNDARY_WEIGHT = 2, 4.0


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


class PixelLoss(keras.losses.Loss):
    """What all losses share: the target taken apart, labels smoothed, landslide pixels weighted.

    Args:
      label_smoothing: s in [0, 1): cross-entropies see labels s/2 and 1 - s/2 (Szegedy et al. 2016, section 7).
      landslide_weight: how much a landslide pixel counts beside one of background in cross-entropies.
    """

    def __init__(
        self,
        label_smoothing: float = 0.0,
        landslide_weight: float = 1.0,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name or type(self).__name__.lower(), **kwargs)
        self.label_smoothing, self.landslide_weight = label_smoothing, landslide_weight

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the loss [1] of logits `y_pred` against a target `y_true`.

        One value, not a scalar: Keras divides values among devices that share a batch, and lets scalars be.
        """
        labels, weights = split_target(y_true)
        loss = self.of_pixels(ops.cast(y_pred, "float32"), labels, weights)
        return ops.reshape(ops.where(ops.sum(weights) > 0, loss, 0.0), (1,))

    def of_pixels(self, logits: Any, labels: Any, weights: Any) -> Any:
        """Returns the scalar loss; all three float32 [batch, height, width, 1], labels and weights in {0, 1}."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """Returns what the constructor needs."""
        own = {"label_smoothing": self.label_smoothing, "landslide_weight": self.landslide_weight}
        return {**super().get_config(), **own}

    def cross_entropy(self, logits: Any, labels: Any, weights: Any) -> Any:
        """Returns the weighted mean binary cross-entropy; `weights` may be any numbers from 0 up."""
        weights = weights * (1.0 + (self.landslide_weight - 1.0) * labels)
        smooth = labels * (1.0 - self.label_smoothing) + 0.5 * self.label_smoothing
        # softplus(x) - x y is the cross-entropy of a sigmoid in its stable form.
        total = ops.sum(weights * (ops.softplus(logits) - logits * smooth))
        return total / ops.maximum(ops.sum(weights), 1e-6)


@keras.saving.register_keras_serializable("mmls_tf")
class Bce(PixelLoss):
    """Mean binary cross-entropy."""

    def of_pixels(self, logits: Any, labels: Any, weights: Any) -> Any:
        """See `PixelLoss`."""
        return self.cross_entropy(logits, labels, weights)


@keras.saving.register_keras_serializable("mmls_tf")
class Dice(PixelLoss):
    """Soft Dice loss of the landslide class (Milletari et al. 2016, equation 2, with sums for squares)."""

    def of_pixels(self, logits: Any, labels: Any, weights: Any) -> Any:
        """See `PixelLoss`."""
        return dice(logits, labels, weights)


@keras.saving.register_keras_serializable("mmls_tf")
class BceDice(PixelLoss):
    """Mean binary cross-entropy plus soft Dice loss."""

    def of_pixels(self, logits: Any, labels: Any, weights: Any) -> Any:
        """See `PixelLoss`."""
        return self.cross_entropy(logits, labels, weights) + dice(logits, labels, weights)


@keras.saving.register_keras_serializable("mmls_tf")
class FocalTversky(PixelLoss):
    """(1 - Tversky index)^0.75 with 0.7 for missed and 0.3 for false pixels (Abraham and Khan 2019, equation 4)."""

    def of_pixels(self, logits: Any, labels: Any, weights: Any) -> Any:
        """See `PixelLoss`."""
        found = ops.sigmoid(logits) * weights
        both = ops.sum(found * labels)
        missed, false = ops.sum(labels) - both, ops.sum(found) - both
        index = (both + _SMOOTH) / (both + _TVERSKY_MISSED * missed + _TVERSKY_FALSE * false + _SMOOTH)
        # The power has an infinite slope at 0, where the index is exactly 1.
        return ops.power(ops.maximum(1.0 - index, 1e-7), _TVERSKY_FOCUS)


@keras.saving.register_keras_serializable("mmls_tf")
class BceLovasz(PixelLoss):
    """Mean binary cross-entropy plus Lovasz hinge (Berman, Triki and Blaschko 2018).

    The hinge alone has no gradient where all pixels are right by a margin of 1, and trains badly from scratch; with
    cross-entropy it is what the authors recommend for the start.
    """

    def of_pixels(self, logits: Any, labels: Any, weights: Any) -> Any:
        """See `PixelLoss`."""
        margins = 1.0 - logits * (2.0 * labels - 1.0)
        errors = ops.relu(margins) * weights
        return self.cross_entropy(logits, labels, weights) + lovasz_extension(errors, labels, weights)


@keras.saving.register_keras_serializable("mmls_tf")
class BoundaryBceDice(PixelLoss):
    """BCE + Dice where pixels within 2 of a boundary between the labels count five times in the cross-entropy.

    The weight map of U-Net (Ronneberger et al. 2015, equation 2) in a form that needs no distance transform.
    """

    def of_pixels(self, logits: Any, labels: Any, weights: Any) -> Any:
        """See `PixelLoss`."""
        heavier = weights * (1.0 + _BOUNDARY_WEIGHT * near_boundary(labels, weights))
        return self.cross_entropy(logits, labels, heavier) + dice(logits, labels, weights)


LOSSES: dict[str, type[PixelLoss]] = {
    "bce": Bce,
    "dice": Dice,
    "bce_dice": BceDice,
    "focal_tversky": FocalTversky,
    "bce_lovasz": BceLovasz,
    "boundary": BoundaryBceDice,
}


def make_loss(name: str, label_smoothing: float = 0.0, landslide_weight: float = 1.0) -> PixelLoss:
    """Returns a loss by name.

    Raises:
      UsageError: there is none of that name, or it has no cross-entropy for the other two to change.
    """
    if name not in LOSSES:
        raise UsageError(f"--loss={name}: expected one of {', '.join(LOSSES)}")
    if name in ("dice", "focal_tversky") and (label_smoothing or landslide_weight != 1.0):
        raise UsageError(
            f"--loss={name}: expected no --label_smoothing and no --landslide_weight, which change cross-entropies "
            "only; choose a loss with one, such as bce_dice"
        )
    return LOSSES[name](label_smoothing, landslide_weight)


def dice(logits: Any, labels: Any, weights: Any) -> Any:
    """Returns the soft Dice loss of the landslide class over a batch; arguments as in `PixelLoss.of_pixels`."""
    probability = ops.sigmoid(logits) * weights
    overlap = ops.sum(probability * labels)
    total = ops.sum(probability) + ops.sum(labels)
    return 1.0 - (2.0 * overlap + _SMOOTH) / (total + _SMOOTH)


def lovasz_extension(errors: Any, labels: Any, weights: Any) -> Any:
    """Returns the Lovasz extension of the Jaccard loss (Berman et al. 2018, equation 9 and algorithm 1).

    Args:
      errors: float32 of any shape, 0 or more, 0 where `weights` is; for errors in {0, 1} the result is the Jaccard loss
        1 - IoU of the landslide class, whose mistakes the ones are.
      labels, weights: {0, 1}, as `errors`; labels are 0 where weights are.
    """
    errors, labels, weights = (ops.reshape(value, (-1,)) for value in (errors, labels, weights))
    order = ops.argsort(-errors)
    errors, labels, weights = (ops.take(value, order) for value in (errors, labels, weights))
    remaining = ops.sum(labels) - ops.cumsum(labels)
    union = ops.sum(labels) + ops.cumsum((1.0 - labels) * weights)
    jaccard = 1.0 - remaining / ops.maximum(union, 1.0)
    steps = ops.concatenate([jaccard[:1], jaccard[1:] - jaccard[:-1]])
    return ops.sum(errors * ops.stop_gradient(steps))


def near_boundary(labels: Any, weights: Any) -> Any:
    """Returns float32 [batch, height, width, 1], 1 where the other label is within 2 pixels (in the square's norm).

    Pixels that do not count make no boundary.
    """
    size = 2 * _BOUNDARY_REACH + 1
    landslide = ops.max_pool(labels, size, 1, "same")
    background = ops.max_pool((1.0 - labels) * weights, size, 1, "same")
    return ops.where(labels > 0.5, background, landslide * weights)
