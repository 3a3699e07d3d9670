"""A network that is traced in no time: what these tests are about is the training around it."""

from __future__ import annotations

from typing import Any

import keras
import pytest

from mmls_tf.models.spec import ModelSpec


def small_networks(spec: ModelSpec, precision: str, seed: int) -> tuple[keras.Model, keras.Model]:
    """Stands in for `build_with_auxiliary`: two convolutions, dropout and batch normalisation between them."""
    keras.utils.set_random_seed(seed)
    layers: Any = keras.layers
    image = keras.Input((spec.tile_size, spec.tile_size, len(spec.bands)))
    x = layers.Conv2D(spec.filters, 3, padding="same", activation="relu")(image)
    x = layers.Dropout(0.1, seed=seed)(layers.BatchNormalization(momentum=0.9)(x))
    logits = layers.Conv2D(1, 3, padding="same", name="logits")(x)
    second = layers.Conv2D(1, 1, name="auxiliary_logits")(x)
    return keras.Model(image, logits), keras.Model(image, [logits, second])


@pytest.fixture
def small_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trains `small_networks` in the place of any model."""
    from mmls_tf.training import trainer

    monkeypatch.setattr(trainer, "build_with_auxiliary", small_networks)
