"""The tf.data stages of training, with the why of each."""

# ruff: noqa: E402  (TensorFlow is started before anything else imports it)

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mmls_tf.quiet import load_tensorflow

load_tensorflow()  # quietly, and under JAX without the accelerator, before anything else imports it
import tensorflow as tf

from mmls_tf.data.augment import Augmentation
from mmls_tf.data.dataset import Dataset
from mmls_tf.data.draws import InputConfig, draw_changes, draw_offsets, draw_tiles
from mmls_tf.data.ground import Ground
from mmls_tf.data.normalise import Normalisation
from mmls_tf.data.records import parse_record
from mmls_tf.data.scoring_input import ScoringInput
from mmls_tf.errors import UsageError

_READERS = 4
_WORKERS = 4  # threads of a stage; what they do is short beside a training step
_AHEAD = 3  # batches
# Nothing here is for AutoGraph to rewrite, which would read the source again and warn where it cannot.
_as_it_is = tf.autograph.experimental.do_not_convert
_SHUFFLED = 2048  # tiles in the buffer of the disk's way: 1 GB


def batches_from_memory(
    ground: Ground, normalisation: Normalisation, config: InputConfig, first_step: int, augment: bool
) -> tf.data.Dataset:
    """Returns endless batches of windows around the labelled tiles of `ground`, from the given step on.

    Elements are {image float32 [batch, side, side, bands], target float32 [batch, side, side, 2]} with side = tile size
    + 2 context; channel 0 of the target is the mask {0, 1, 255}, channel 1 is 1 where every band has data, and a third,
    where the ground has one, holds the codes of what is told of the surroundings. Without `augment` they are as they
    lie on the ground, with the draws of `draw_changes` beside them, for the compiled step.
    """
    side = ground.size + 2 * config.context
    keys = list(ground.corners)

    def cut(step: int) -> tuple[np.ndarray[Any, Any], ...]:
        offsets = draw_offsets(config, step, ground.size) - config.context
        windows = [
            ground.window(keys[index], int(right), int(down), side)
            for index, (down, right) in zip(draw_tiles(config, step, len(keys)), offsets, strict=True)
        ]
        draws = draw_changes(config, step, normalisation, side)
        return (
            np.stack([image for image, _ in windows]),
            np.stack([target for _, target in windows]).astype(np.float32),
            *(draws[name] for name in sorted(draws)),
        )

    example = draw_changes(config, 0, normalisation, side)
    shapes = {
        "image": ((config.batch, side, side, len(normalisation.bands)), np.float32),
        "target": ((config.batch, side, side, ground.target.shape[-1]), np.float32),
        **{name: (example[name].shape, example[name].dtype) for name in sorted(example)},
    }

    @_as_it_is
    def named(step: tf.Tensor) -> dict[str, tf.Tensor]:
        types = [tf.as_dtype(dtype) for _, dtype in shapes.values()]
        values = tf.numpy_function(cut, [step], types, stateful=False)
        return {
            name: tf.ensure_shape(value, shape)
            for value, (name, (shape, _)) in zip(values, shapes.items(), strict=True)
        }

    # No shuffle: the number of the step decides which tiles it gets, so that a run can go on at any step, and steps can
    # be made beside one another. Reading and parsing have happened once, when the ground was laid.
    steps = tf.data.Dataset.counter(first_step)
    batches = steps.map(named, num_parallel_calls=_WORKERS, deterministic=True)
    if augment:
        batches = _augmented(batches, Augmentation(normalisation, side))
    # Batches have static shapes, which XLA needs; the next ones are made while a step runs.
    return batches.prefetch(_AHEAD).with_options(static_options())


def batches_from_disk(
    dataset: Dataset, normalisation: Normalisation, config: InputConfig, first_step: int, augment: bool
) -> tf.data.Dataset:
    """Returns endless batches of train tiles, read anew in every epoch; elements as of `batches_from_memory`.

    Nothing is cached: records hold the very floats that training needs, and the system's page cache keeps what fits.

    Raises:
      UsageError: a batch is larger than the split.
    """
    require_batch(dataset, config.batch)
    side = dataset.manifest.tile_size
    # A buffer as large as the split (up to a bound) makes the order uniform; it changes every epoch.
    buffer = min(dataset.tiles("train"), _SHUFFLED)
    records = _records(dataset).shuffle(buffer, seed=config.seed, reshuffle_each_iteration=True)
    # Repeated before batching: remainders flow into the next epoch, so no tile is dropped in the long run. Steps that a
    # run has done already are skipped as records, before anything is parsed.
    records = records.repeat().skip(first_step * config.batch)
    tiles = records.map(_parser(dataset, normalisation), num_parallel_calls=_WORKERS)
    batches = tiles.batch(config.batch, drop_remainder=True)
    example = draw_changes(config, 0, normalisation, side)
    names = sorted(example)

    def draw(step: int) -> list[np.ndarray[Any, Any]]:
        draws = draw_changes(config, step, normalisation, side)
        return [draws[name] for name in names]

    @_as_it_is
    def with_draws(step: tf.Tensor, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        types = [tf.as_dtype(example[name].dtype) for name in names]
        values = tf.numpy_function(draw, [step], types, stateful=False) if names else []
        draws = zip(names, values, strict=True)
        return {**batch, **{name: tf.ensure_shape(value, example[name].shape) for name, value in draws}}

    batches = batches.enumerate(first_step).map(with_draws, num_parallel_calls=_WORKERS)
    if augment:
        batches = _augmented(batches, Augmentation(normalisation, side))
    return batches.prefetch(_AHEAD).with_options(static_options())


def _augmented(batches: tf.data.Dataset, augmentation: Augmentation) -> tf.data.Dataset:
    @_as_it_is
    def change(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        draws = {name: value for name, value in batch.items() if name not in ("image", "target")}
        image, target = augmentation(batch["image"], batch["target"], draws)
        return {"image": image, "target": target}

    return batches.map(change, num_parallel_calls=_WORKERS, deterministic=True)


def _records(dataset: Dataset) -> tf.data.Dataset:
    files = tf.data.Dataset.from_tensor_slices(dataset.shard_files("train"))
    # Several shards are read at a time and taken from in turn: a slow disk is hidden and classes mix, yet the
    # order is the same every time.
    return files.interleave(
        tf.data.TFRecordDataset, cycle_length=_READERS, num_parallel_calls=_WORKERS, deterministic=True
    )


def _parser(dataset: Dataset, normalisation: Normalisation) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    size = dataset.manifest.tile_size

    @_as_it_is
    def parse(record: tf.Tensor) -> dict[str, tf.Tensor]:
        tile = parse_record(record, size)
        chosen = tf.gather(tile["image"], normalisation.bands, axis=-1)
        target = tf.stack([tile["mask"], tile["valid"]], axis=-1)
        return {
            "image": normalisation.apply(chosen, tf.cast(tile["valid"], tf.float32)),
            "target": tf.cast(target, tf.float32),
        }

    return parse


def keys_on_disk(dataset: Dataset, config: InputConfig) -> Callable[[int], list[str]]:
    """Returns a function that finds the keys of the tiles of a step of `batches_from_disk`, by reading up to it."""

    def find(step: int) -> list[str]:
        buffer = min(dataset.tiles("train"), _SHUFFLED)
        records = _records(dataset).shuffle(buffer, seed=config.seed, reshuffle_each_iteration=True)
        chosen = records.repeat().skip(step * config.batch).take(config.batch)
        size = dataset.manifest.tile_size
        keys = chosen.map(_as_it_is(lambda record: parse_record(record, size)["key"]))
        return [key.decode() for key in keys.as_numpy_iterator()]

    return find


def timed(batches: tf.data.Dataset) -> tuple[tf.data.Dataset, Callable[[], float]]:
    """Returns the same batches, and a function that tells for how many seconds they have been waited for so far."""
    with tf.device("CPU"):
        seconds = tf.Variable(0.0, dtype=tf.float64, trainable=False)

    @_as_it_is
    def stop(asked: tf.Tensor, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        with tf.control_dependencies([seconds.assign_add(tf.timestamp() - asked)]):
            return {name: tf.identity(value) for name, value in batch.items()}

    # A zip asks its parts in turn: the first says when, the second is what there may be to wait for.
    asked = tf.data.Dataset.counter().map(_as_it_is(lambda _: tf.timestamp()))
    both = tf.data.Dataset.zip((asked, batches)).map(stop)
    options = static_options()
    options.experimental_optimization.inject_prefetch = False  # else it is a thread that waits, not the step
    return both.with_options(options), lambda: float(seconds.numpy())


def require_batch(dataset: Dataset, batch: int) -> None:
    """Makes sure that a batch is not larger than the train split.

    Raises:
      UsageError: it is.
    """
    dataset.labelled_split("train")
    tiles = dataset.tiles("train")
    if batch > tiles:
        raise UsageError(f"--batch={batch}: expected at most {tiles}, the number of train tiles")


def scoring_batches(batches: ScoringInput) -> tf.data.Dataset:
    """Returns {image, target} of a split for Keras: one pass, held in memory after the first."""
    example = next(iter(batches))
    signature = {
        name: tf.TensorSpec(example[name].shape, example[name].dtype) for name in ("image", "target")
    }
    passes = tf.data.Dataset.from_generator(
        lambda: ({name: batch[name] for name in signature} for batch in batches), output_signature=signature
    )
    counted = passes.apply(tf.data.experimental.assert_cardinality(len(batches)))
    return counted.cache().prefetch(_AHEAD).with_options(static_options())


def example_of(batches: tf.data.Dataset) -> dict[str, np.ndarray[Any, Any]]:
    """Returns an empty batch, for shapes and dtypes."""
    return {
        name: np.zeros(spec.shape, spec.dtype.as_numpy_dtype) for name, spec in batches.element_spec.items()
    }


def static_options() -> tf.data.Options:
    """Returns options for a pipeline whose numbers are fixed.

    The thread that tunes them wakes after 10, 20, 40 ... ms, and an iterator cannot end before it does: half of the
    time of a short pass, such as a validation, would be lost in waiting.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return options
