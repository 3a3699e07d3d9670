"""Statistics of the target in the place of those of the source: of bands, and of batch normalisation in every layer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from mmls_tf.adaptation.model import copied
from mmls_tf.adaptation.target import masked_but
from mmls_tf.data.dataset import Dataset
from mmls_tf.data.folds import split_statistics
from mmls_tf.data.normalise import Normalisation
from mmls_tf.data.scoring_input import ScoringInput
from mmls_tf.errors import UsageError
from mmls_tf.prediction.member import Member


def adapt_statistics(member: Member, target: Dataset, split: str, what: str, batch: int) -> Member:
    """Returns the member with statistics of the target's images.

    Args:
      what: bands, their normalisation; moments, of batch normalisation (AdaBN: Li et al. 2016, arXiv 1603.04779); both,
        the moments of what new bands give.

    Raises:
      UsageError: moments are asked for, and the network has no batch normalisation.
      DatasetError: a band is constant over the target.
    """
    normalisation = member.normalisation
    if what in ("both", "bands"):
        normalisation = Normalisation.from_statistics(split_statistics(target, split), normalisation.bands)
    member = copied(member, normalisation)
    if what in ("both", "moments"):
        config = member.record.config
        batches = ScoringInput(
            target, split, normalisation, batch, config.context, config.context_from, masked_but()
        )
        estimate_moments(member.model, (found["image"][found["key"] != ""] for found in batches))
    return member


def estimate_moments(model: keras.Model, batches: Iterable[npt.NDArray[Any]]) -> None:
    """Gives all layers of batch normalisation the mean and variance of their input over some images.

    Each layer sees what layers before it make with the moments of the batch, as in training. Over batches b of n_b
    images with mean m_b and variance v_b, the moments of all are m = sum n_b m_b / n and
    v = sum n_b (v_b + m_b^2) / n - m^2.

    Raises:
      UsageError: there are no such layers.
    """
    layers = _layers_of(model, keras.layers.BatchNormalization)
    if not layers:
        raise UsageError(
            f"--statistics: expected a model with batch normalisation, found none in {model.name}; use "
            "--statistics=bands"
        )
    # Without momentum a layer keeps the moments of the last batch; what drops features at random is switched off.
    changed = [(layer, "momentum", layer.momentum) for layer in layers]
    changed += [(layer, "rate", layer.rate) for layer in _layers_of(model, keras.layers.Dropout)]
    try:
        for layer, name, _ in changed:
            setattr(layer, name, 0.0)
        moments = _pooled(model, layers, batches)
    finally:
        for layer, name, value in changed:
            setattr(layer, name, value)
    for layer, (mean, variance) in zip(layers, moments, strict=True):
        layer.moving_mean.assign(mean)
        layer.moving_variance.assign(variance)


def _pooled(
    model: keras.Model, layers: Sequence[Any], batches: Iterable[npt.NDArray[Any]]
) -> list[tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
    count = 0
    sums = [[np.zeros(layer.moving_mean.shape) for _ in range(2)] for layer in layers]
    for images in batches:
        model(images, training=True)
        count += len(images)
        for layer, both in zip(layers, sums, strict=True):
            mean, variance = (
                keras.ops.convert_to_numpy(value).astype(np.float64)
                for value in (layer.moving_mean, layer.moving_variance)
            )
            both[0] += len(images) * mean
            both[1] += len(images) * (variance + mean**2)
    return [(first / count, np.maximum(second / count - (first / count) ** 2, 0.0)) for first, second in sums]


def _layers_of(model: keras.Model, kind: type) -> list[Any]:
    return [layer for layer in model._flatten_layers() if isinstance(layer, kind)]
