"""Masked reconstruction: squares of a tile are hidden, and a network fills them in from what is around.

As SimMIM (Xie et al. 2022, arXiv 2111.09886), which needs no transformer: hidden pixels are replaced, here by what
pixels without data are, 0 in every band, and the loss is the mean absolute error over hidden pixels alone.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops

from mmls_tf.data.augment import Augmentation
from mmls_tf.models.registry import build_model
from mmls_tf.models.spec import ModelSpec

_STREAM = 1000  # apart from those of `mmls_tf.data.draws`


def reconstruction_model(spec: ModelSpec, precision: str, seed: int) -> keras.Model:
    """Returns a U-Net over the encoder of `spec`, from images [batch, size, size, bands] to as many float32 values."""
    base = build_model(spec, precision, seed)
    features = base.get_layer("logits").input
    bands = layers.Conv2D(len(spec.bands), 1, dtype="float32", name="reconstruction")(features)
    return keras.Model(base.input, bands, name="reconstruction")


def draw_hidden(
    seed: int, step: int, batch: int, size: int, patch: int, share: float
) -> npt.NDArray[np.float32]:
    """Returns float32 [batch, squares, squares], 1.0 for that share of the squares of each tile, rounded down; those at
    the lower and right border may be cut off."""
    squares = -(-size // patch)
    count = int(share * squares**2)
    order = np.random.default_rng([seed, _STREAM, step]).random((batch, squares**2)).argsort(axis=1)
    return (order.argsort(axis=1) < count).astype(np.float32).reshape(batch, squares, squares)


class HiddenStep(keras.Model):
    """The training step: change, hide, fill in, compare.

    Attributes:
      network: from images to their bands; what is trained.
    """

    def __init__(self, network: keras.Model, augmentation: Augmentation, patch: int) -> None:
        """Wraps a network; `patch` is the side of a square in pixels."""
        super().__init__(name="hidden_step", dtype="float32")
        self.network, self._augmentation, self._patch = network, augmentation, patch
        self.built = True

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """All variables are there."""

    def call(self, batch: dict[str, Any], training: bool | None = None) -> dict[str, Any]:
        """Returns image, what the network makes of it, and the weight of each pixel, 1.0 where hidden and valid."""
        draws = {name: value for name, value in batch.items() if name not in ("image", "target", "hidden")}
        image, target = self._augmentation(batch["image"], batch["target"], draws)
        side = image.shape[1]
        hidden = ops.repeat(ops.repeat(batch["hidden"], self._patch, axis=1), self._patch, axis=2)
        hidden = hidden[:, :side, :side, None]
        found = self.network(image * (1.0 - hidden), training=training)
        return {"image": image, "found": found, "weight": hidden * target[..., 1:]}

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Returns the mean absolute error over hidden pixels with data, and bands, in standard deviations."""
        loss = hidden_error(y_pred["image"], y_pred["found"], y_pred["weight"])
        for penalty in self.losses:
            loss = loss + penalty
        return loss

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """There are none but the loss: no label is known."""
        return dict(self.get_metrics_result())


def hidden_error(image: Any, found: Any, weight: Any) -> Any:
    """Returns the weighted mean absolute error.

    Args:
      image, found: float32 [batch, side, side, bands].
      weight: float32 [batch, side, side, 1].
    """
    error = ops.sum(ops.abs(found - image) * weight)
    return error / ops.maximum(ops.sum(weight) * image.shape[-1], 1.0)
