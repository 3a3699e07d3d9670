"""Training on both grounds at once: source tiles with labels, target tiles with pseudo-labels or a few of their own."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from mmls_tf.adaptation.batches import MixedBatches, Side, part_of
from mmls_tf.adaptation.config import AdaptConfig
from mmls_tf.adaptation.model import copied, copy_of
from mmls_tf.adaptation.target import masked_but
from mmls_tf.config import parse_augment
from mmls_tf.data.augment import Augmentation
from mmls_tf.data.dataset import Dataset
from mmls_tf.data.draws import InputConfig
from mmls_tf.data.ground import load_ground
from mmls_tf.losses import PixelLoss, make_loss
from mmls_tf.prediction.member import Member
from mmls_tf.schema import UNKNOWN_LABEL
from mmls_tf.training.callbacks import TrainingError
from mmls_tf.training.feed import input_config
from mmls_tf.training.optimizer import compile_model


class MixedStep(keras.Model):
    """The training step on both grounds.

    The network sees both halves of a batch in one pass, so that batch normalisation sees both grounds, as it will be
    used on both. Pseudo-labels come from a teacher, a moving average of the network (Tarvainen and Valpola 2017, arXiv
    1703.01780), which sees target tiles as they are; the network sees them changed. A pixel of whose class the teacher
    is not confident counts nowhere (French, Mackiewicz and Fisher 2018, arXiv 1706.05208, section 3.2).

    Attributes:
      student: from images to logits; what is trained.
      teacher: the average of its weights and moments; None where target tiles have labels.
    """

    def __init__(
        self,
        student: keras.Model,
        teacher: keras.Model | None,
        augmentation: Augmentation,
        loss: PixelLoss,
        margin: int,
        config: AdaptConfig,
    ) -> None:
        """Wraps networks; pixels of `margin` on every side are surroundings, whose labels do not count."""
        super().__init__(name="mixed_step", dtype="float32")
        self.student, self.teacher = student, teacher
        if teacher is not None:
            teacher.trainable = False
        self._augmentation, self._pixel_loss = augmentation, loss
        self._inner = slice(margin, student.input_shape[1] - margin)
        self._confidence, self._momentum = config.confidence, config.momentum
        self._weight = config.pseudo_weight
        self.confident = keras.metrics.Mean("confident")
        self.built = True

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """All variables are there."""

    def call(self, batch: dict[str, Any], training: bool | None = None) -> dict[str, Any]:
        """Returns logits and target of both halves of a batch, without their margins."""
        image, target, draws = part_of(batch, "source")
        image, target = self._augmentation(image, target, draws)
        theirs, their_target, their_draws = part_of(batch, "target")
        if self.teacher is not None:
            if training:
                self._follow()
            their_target = pseudo_target(self.teacher(theirs, training=False), their_target, self._confidence)
        theirs, their_target = self._augmentation(theirs, their_target, their_draws)
        logits = self.student(ops.concatenate([image, theirs], axis=0), training=training)
        inner = (slice(None), self._inner, self._inner)
        targets = ops.concatenate([target, their_target], axis=0)[inner]
        # Constants, which a compiler needs: halves are as large as the batch says.
        first = batch["source_image"].shape[0] or ops.shape(batch["source_image"])[0]
        return {
            "logits": logits[inner][:first],
            "target": targets[:first],
            "their_logits": logits[inner][first:],
            "their_target": targets[first:],
        }

    def _follow(self) -> None:
        assert self.teacher is not None
        for average, value in zip(self.teacher.weights, self.student.weights, strict=True):
            average.assign(self._momentum * average + (1.0 - self._momentum) * value)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Returns the loss of both halves."""
        loss = self._pixel_loss(y_pred["target"], y_pred["logits"])
        loss = loss + self._weight * self._pixel_loss(y_pred["their_target"], y_pred["their_logits"])
        for penalty in self.losses:
            loss = loss + penalty
        return loss

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Returns the watched mIoU of the source half, and the share of labelled pixels of the target half."""
        known = ops.not_equal(y_pred["their_target"][..., 0], float(UNKNOWN_LABEL))
        self.confident.update_state(ops.cast(known, "float32"))
        return super().compute_metrics(x, y_pred["target"], y_pred["logits"], sample_weight)


def pseudo_target(logits: Any, target: Any, confidence: float) -> Any:
    """Returns a target whose mask is the class that the logits give, unknown where its probability is too low.

    Args:
      logits: [batch, side, side, 1].
      target: float32 [batch, side, side, 2], of which only the validity is used.
      confidence: least probability of the class.
    """
    probability = ops.sigmoid(ops.stop_gradient(ops.cast(logits, "float32")))
    sure = ops.maximum(probability, 1.0 - probability) >= confidence
    mask = ops.where(sure, ops.cast(probability > 0.5, "float32"), float(UNKNOWN_LABEL))
    return ops.concatenate([mask, target[..., 1:]], axis=-1)


def train_on_both(
    member: Member, home: Dataset, target: Dataset, labelled: Sequence[str], config: AdaptConfig
) -> tuple[Member, dict[str, float]]:
    """Trains a copy of a member for `config.steps` steps, and returns it with what was seen on the way.

    Args:
      home: the data set of the run, dealt as it was.
      labelled: keys of target tiles that are trained on with their labels; none: all target tiles, by a teacher.

    Raises:
      TrainingError: the loss has become no number.
      UsageError: a half of the batch is larger than the train split, or tiles do not fit in memory.
    """
    member = copied(member, member.normalisation)
    normalisation, recipe = member.normalisation, member.record.config
    teacher = None if labelled else copy_of(member, normalisation)
    source, theirs = _sides(member, home, target, labelled, config)
    step = MixedStep(
        member.model,
        teacher,
        Augmentation(normalisation, member.model.input_shape[1]),
        make_loss(recipe.loss, recipe.label_smoothing, recipe.landslide_weight),
        recipe.context,
        config,
    )
    schedule = dataclasses.replace(
        recipe, learning_rate=config.learning_rate, epochs=1, ema=0.0, steps_per_execution=1
    )
    compile_model(step, schedule, config.steps, bool(member.model.jit_compile))
    began = time.perf_counter()
    history = step.fit(
        MixedBatches(source, theirs, config.steps),
        epochs=1,
        steps_per_epoch=config.steps,
        shuffle=False,
        verbose=0,
    ).history
    seen = {name: float(values[-1]) for name, values in history.items()}
    if not math.isfinite(seen["loss"]):
        raise TrainingError(
            f"--method={config.method}: expected a finite loss, found {seen['loss']} as mean of {config.steps} "
            f"steps; lower --learning_rate={config.learning_rate}"
        )
    if teacher is not None:
        member.model.set_weights(teacher.get_weights())
    seen["seconds"] = round(time.perf_counter() - began, 1)
    return member, seen


def _sides(
    member: Member, home: Dataset, target: Dataset, labelled: Sequence[str], config: AdaptConfig
) -> tuple[Side, Side]:
    recipe, normalisation, split = member.record.config, member.normalisation, config.target_split
    first = config.batch // 2
    inputs: dict[str, InputConfig] = {
        "source": dataclasses.replace(input_config(recipe), batch=first, seed=config.seed),
        "target": dataclasses.replace(
            input_config(recipe),
            batch=config.batch - first,
            seed=config.seed,
            augment=parse_augment(config.augment),
            band_dropout=0.0,
        ),
    }
    reach = inputs["source"].reach(member.record.tile_size)
    grounds = {
        "source": load_ground(home, "train", normalisation, recipe.context_from, reach),
        "target": load_ground(target, split, normalisation, recipe.context_from, reach, masked_but(labelled)),
    }
    keys = {name: list(ground.corners) for name, ground in grounds.items()}
    keys["target"] = [key for key in keys["target"] if not labelled or key in labelled]
    source, theirs = (
        Side(grounds[name], keys[name], inputs[name], normalisation) for name in ("source", "target")
    )
    return source, theirs
