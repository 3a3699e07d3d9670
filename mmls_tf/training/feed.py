"""Which way tiles reach the training step, and how long it waits for them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mmls_tf.config import TrainConfig, parse_augment
from mmls_tf.data.batches import Batches, StepDraws
from mmls_tf.data.dataset import Dataset
from mmls_tf.data.draws import InputConfig, draw_tiles
from mmls_tf.data.ground import MEMORY_LIMIT_BYTES, Ground, load_ground
from mmls_tf.data.normalise import Normalisation
from mmls_tf.data.scoring_input import ScoringInput
from mmls_tf.errors import UsageError
from mmls_tf.training.device import Device
from mmls_tf.training.strategy import Strategy, distribute

_DEVICE_LIMIT_BYTES = 4 << 30


@dataclass(frozen=True)
class Feed:
    """What `fit` is given.

    Attributes:
      way, why: memory, disk or device, and the reason.
      batches: endless batches, or draws of an epoch, from the first step on.
      validation: {image, target} batches of val.
      ground: the tiles that the step cuts from (device).
      keys_of: the keys of the tiles that a step of the run sees.
      waited: seconds that steps have waited for input so far; NaN where it is not measured.
      example: a batch, for shapes and dtypes.
      shown: image and target of the first batch of val, for pictures.
    """

    way: str
    why: str
    batches: Any
    validation: Any
    ground: Ground | None
    keys_of: Callable[[int], list[str]]
    waited: Callable[[], float]
    example: dict[str, Any]
    shown: dict[str, Any]


def input_config(config: TrainConfig) -> InputConfig:
    """Returns the part of a configuration that is about input."""
    return InputConfig(
        batch=config.batch,
        seed=config.seed,
        augment=parse_augment(config.augment),
        band_dropout=config.band_dropout,
        dropped_together=config.dropped_together,
        context=config.context,
        context_from=config.context_from,
        context_masks=config.context_masks,
        windows=config.windows,
    )


def choose_input(config: TrainConfig, dataset: Dataset, device: Device) -> tuple[str, str]:
    """Returns memory, disk or device, and why.

    Raises:
      UsageError: --input=disk cannot do what else is asked for.
    """
    way, why = config.input, f"--input={config.input}"
    size = sum(shard.bytes for name in ("train",) for shard in dataset.split(name).shards)
    if way == "auto" and device.kind != "CPU" and device.backend == "jax" and size <= _DEVICE_LIMIT_BYTES:
        way, why = "device", f"auto: tiles fit in the memory of the {device.kind}"
    elif way == "auto" and size <= MEMORY_LIMIT_BYTES // 2:
        way, why = "memory", "auto: tiles fit in memory"
    elif way == "auto":
        way, why = "disk", "auto: tiles do not fit in memory"
    blocking = [
        f"--{name}={getattr(config, name)}"
        for name, plain in (("context", 0), ("windows", "tiles"), ("folds", ""))
        if getattr(config, name) != plain
    ]
    if way == "disk" and blocking:
        raise UsageError(
            f"--input=disk ({why}): expected tiles in memory for {', '.join(blocking)}; use --input=memory"
        )
    return way, why


def make_feed(
    config: TrainConfig,
    dataset: Dataset,
    normalisation: Normalisation,
    device: Device,
    strategy: Strategy,
    first_step: int,
    steps: int,
) -> Feed:
    """Prepares the input of a run from a step on.

    Args:
      steps: of an epoch.

    Raises:
      UsageError: a batch is larger than the split, or tiles do not fit where they are to be.
      DatasetError: a shard is damaged.
    """
    way, why = choose_input(config, dataset, device)
    chosen = input_config(config)
    val = ScoringInput(
        dataset,
        "val",
        normalisation,
        config.batch,
        config.context,
        config.context_from,
        context_masks=config.context_masks,
    )
    shown = {name: value for name, value in next(iter(val)).items() if name != "key"}
    ground = None
    if way != "disk":
        reach = chosen.reach(dataset.manifest.tile_size)
        ground = load_ground(
            dataset, "train", normalisation, config.context_from, reach, context_masks=config.context_masks
        )
    if way == "device":
        assert ground is not None
        draws = StepDraws(ground, normalisation, chosen, steps, first_step)
        held = Batches([{name: batch[name] for name in ("image", "target")} for batch in val])
        keys_of = _keys_from(ground, chosen)
        return Feed(
            way, why, draws, held, ground, keys_of, lambda: draws.waited, draws.of_step(first_step), shown
        )
    from mmls_tf.data import pipeline  # TensorFlow, which the device's way does without

    augment = device.backend == "tensorflow"  # Keras's operations are TensorFlow's there
    if ground is not None:
        batches = pipeline.batches_from_memory(ground, normalisation, chosen, first_step, augment)
        keys_of = _keys_from(ground, chosen)
    else:
        batches = pipeline.batches_from_disk(dataset, normalisation, chosen, first_step, augment)
        keys_of = pipeline.keys_on_disk(dataset, chosen)
    example = pipeline.example_of(batches)
    waited: Callable[[], float] = _not_measured
    # A clock is nothing deterministic, says TensorFlow, and distributed batches have no one place to wait at.
    if strategy.native is None and not config.deterministic:
        batches, waited = pipeline.timed(batches)
    batches = distribute(strategy, batches)
    return Feed(way, why, batches, pipeline.scoring_batches(val), None, keys_of, waited, example, shown)


def _not_measured() -> float:
    return math.nan


def _keys_from(ground: Ground, config: InputConfig) -> Callable[[int], list[str]]:
    keys = list(ground.corners)
    return lambda step: [keys[index] for index in draw_tiles(config, step, len(keys))]
