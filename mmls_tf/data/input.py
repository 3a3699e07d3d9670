"""Which way tiles become batches: as they are, or as windows with surroundings."""

from __future__ import annotations

import tensorflow as tf

from mmls_tf.data.dataset import Dataset
from mmls_tf.data.normalise import Normalisation
from mmls_tf.data.pipeline import InputConfig, evaluation_batches, training_batches
from mmls_tf.data.windows import evaluation_windows, training_windows


def training_input(dataset: Dataset, normalisation: Normalisation, config: InputConfig) -> tf.data.Dataset:
    """Returns endless batches of (image, target) for training; see `training_batches` and `training_windows`."""
    if config.context or config.windows == "anywhere":
        return training_windows(dataset, normalisation, config)
    return training_batches(dataset, normalisation, config)


def evaluation_input(
    dataset: Dataset,
    split: str,
    normalisation: Normalisation,
    batch: int,
    context: int = 0,
    context_from: str = "split",
) -> tf.data.Dataset:
    """Returns one pass over a split as {image, target, key}; see `evaluation_batches` and `evaluation_windows`."""
    if context:
        return evaluation_windows(dataset, split, normalisation, batch, context, context_from)
    return evaluation_batches(dataset, split, normalisation, batch)
