"""The optimiser and its learning rate."""

from __future__ import annotations

from typing import Any

import keras

from mmls_tf.config import TrainConfig
from mmls_tf.losses import make_loss
from mmls_tf.metrics import WatchedMiou
from mmls_tf.training.device import require_compiled

_MOMENTUM = 0.9


def compile_model(model: keras.Model, config: TrainConfig, steps: int, jit: bool) -> None:
    """Gives a model its optimiser, loss and metric, compiled with XLA if `jit`.

    Args:
      steps: of an epoch.

    Raises:
      CompilationError: a layer does not support XLA.
    """
    model.compile(
        optimizer=make_optimizer(config, steps),
        loss=make_loss(config.loss, config.label_smoothing, config.landslide_weight),
        metrics=[WatchedMiou()],
        jit_compile=jit,
        steps_per_execution=config.steps_per_execution,
    )
    # Else it would get its variables in the middle of the first step, which TensorFlow then traces a second time.
    model.optimizer.build(model.trainable_variables)
    if jit:
        require_compiled(model)


def make_optimizer(config: TrainConfig, steps: int) -> keras.optimizers.Optimizer:
    """Returns AdamW (Loshchilov and Hutter 2019) or SGD with Nesterov's momentum and the same decoupled decay.

    Biases and the scales of normalisation are not decayed.
    """
    shared: dict[str, Any] = {
        "learning_rate": learning_rate_schedule(config, steps),
        "weight_decay": config.weight_decay,
        "global_clipnorm": config.clip or None,
        "use_ema": config.ema > 0,
        "ema_momentum": config.ema,
    }
    if config.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(momentum=_MOMENTUM, nesterov=True, **shared)
    else:
        optimizer = keras.optimizers.AdamW(**shared)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def learning_rate_schedule(
    config: TrainConfig, steps: int
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Returns a linear rise over the first `warmup` of all steps, then half a cosine down to zero."""
    total = config.epochs * steps
    warmup = min(round(config.warmup * total), total - 1)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else config.learning_rate,
        decay_steps=total - warmup,
        warmup_target=config.learning_rate if warmup else None,
        warmup_steps=warmup,
    )
