"""The training step as a Keras model around the network: cut, augment, predict, compare, the same under any backend."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from mmls_tf.data.augment import Augmentation, cut
from mmls_tf.data.ground import Ground
from mmls_tf.data.known_mask import as_channel
from mmls_tf.losses import PixelLoss


class TrainingStep(keras.Model):
    """Takes a batch as a dictionary, whatever the way of input, and is trained by Keras's `fit`.

    With `corner` in the batch, tiles are cut out of the ground, which is a variable and so lies on the device;
    otherwise `image` and `target` are given. Draws that are in the batch are applied in training; where tf.data has
    applied them already they are not there. The network itself, without any of this, is what is saved.

    Attributes:
      network: from images to logits.
      average_statistics: moving averages (`ema`) of `statistics`, in their order.
    """

    def __init__(
        self,
        network: keras.Model,
        augmentation: Augmentation,
        loss: PixelLoss,
        ground: Ground | None = None,
        auxiliary: keras.Model | None = None,
        auxiliary_weight: float = 0.0,
        margin: int = 0,
        ema: float = 0.0,
    ) -> None:
        """Wraps a network.

        Args:
          ground: what `corner` refers to.
          auxiliary: from images to logits of both heads, sharing the network's layers.
          auxiliary_weight: of the second head's loss.
          ema: momentum of the averages that are kept of statistics of batch normalisation; 0: none.
          margin: pixels on every side that are surroundings alone: no label there counts, since no evaluation asks for
            predictions whose surroundings are cut off. (Counting them too gave a val mIoU lower by .007.)
        """
        super().__init__(name="training_step", dtype="float32")
        self.network, self.auxiliary = network, auxiliary
        self._pixel_loss, self._auxiliary_weight = loss, auxiliary_weight
        self._augmentation = augmentation
        self._side = network.input_shape[1]
        self._margin, self._inner = margin, slice(margin, self._side - margin)
        self.sheet = self.sheet_target = None
        if ground is not None:
            # Variables, not constants: the compiler would otherwise carry hundreds of megabytes around.
            self.sheet = self.add_weight(
                shape=ground.image.shape, dtype="float32", trainable=False, initializer="zeros", name="sheet"
            )
            self.sheet_target = self.add_weight(
                shape=ground.target.shape,
                dtype="uint8",
                trainable=False,
                initializer="zeros",
                name="sheet_target",
            )
            self.sheet.assign(ground.image)
            self.sheet_target.assign(ground.target)
        self.average_statistics = [
            self.add_weight(
                shape=variable.shape,
                dtype=variable.dtype,
                trainable=False,
                initializer=keras.initializers.Constant(math.nan),  # until the first step sets it
                aggregation="mean",
                name=f"average_statistics{number}",
            )
            for number, variable in enumerate(self.statistics if ema else ())
        ]
        self._ema = ema
        self.built = True  # all variables are there; what comes in decides nothing

    @property
    def statistics(self) -> list[Any]:
        """The moving moments of batch normalisation in the network."""
        return list(self.network.non_trainable_weights)

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Keras would average a distributed batch to learn its shape, which fails among workers: `train` has built
        the step already."""

    def call(self, batch: Mapping[str, Any], training: bool | None = None) -> dict[str, Any]:
        """Returns logits float32 [batch, size, size, 1] of the windows without their margins, and the target that
        belongs to them, with logits of the second head where it is trained."""
        draws = {name: value for name, value in batch.items() if name not in ("image", "target", "corner")}
        if "corner" in batch:
            image = cut(self.sheet, batch["corner"], self._side)
            target = cut(self.sheet_target, batch["corner"], self._side)
        else:
            image, target = batch["image"], batch["target"]
        target = ops.cast(target, "float32")
        if training and draws:
            image, target = self._augmentation(image, target, draws)
        if target.shape[-1] > 2:
            image = ops.concatenate([image, as_channel(target[..., 2:], self._margin)], axis=-1)
            target = target[..., :2]
        inner = (slice(None), self._inner, self._inner)
        if training and self.auxiliary is not None:
            logits, second = self.auxiliary(image, training=True)
            self._average_statistics()
            return {"logits": logits[inner], "target": target[inner], "auxiliary": second[inner]}
        logits = self.network(image, training=training)
        if training:
            self._average_statistics()
        return {"logits": logits[inner], "target": target[inner]}

    def _average_statistics(self) -> None:
        """Averages the statistics of batch normalisation as the optimiser does the weights: those of the raw weights
        follow the last ten batches, and that noise is what an average is to be free of."""
        if not self.average_statistics:
            return
        for average, statistic in zip(self.average_statistics, self.statistics, strict=True):
            # As of the weights: the first step sets it. The optimiser's counter cannot tell: under JAX the variables of
            # the model are arguments of the step, and whatever else it reads stays as it was when it was compiled.
            before, now = ops.convert_to_tensor(average), ops.convert_to_tensor(statistic)
            average.assign(ops.where(ops.isnan(before), now, self._ema * before + (1.0 - self._ema) * now))

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Returns the loss of what `call` returned; the target comes from there, not from `y`."""
        loss = self._pixel_loss(y_pred["target"], y_pred["logits"])
        if "auxiliary" in y_pred:
            loss = loss + self._auxiliary_weight * self._pixel_loss(y_pred["target"], y_pred["auxiliary"])
        for penalty in self.losses:
            loss = loss + penalty
        return loss

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Updates metrics by logits and target, and returns them."""
        return super().compute_metrics(x, y_pred["target"], y_pred["logits"], sample_weight)


class TrainingStepOfWorkers(TrainingStep):
    """The same among several machines: Keras 3 takes the mean of what they report over an axis, which scalars lack."""

    def train_step(self, data: Any) -> dict[str, Any]:
        """Returns metrics as [1]."""
        return _with_axis(super().train_step(data))

    def test_step(self, data: Any) -> dict[str, Any]:
        """Returns metrics as [1]."""
        return _with_axis(super().test_step(data))


def _with_axis(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: ops.reshape(value, (1,)) for name, value in values.items()}
