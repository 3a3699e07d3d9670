"""A network that is traced in no time, for tests of what is done around a network."""

from __future__ import annotations

from typing import Any

import keras

from mmls_tf.models.spec import ModelSpec


def small_networks(spec: ModelSpec, precision: str, seed: int) -> tuple[keras.Model, keras.Model]:
    """Stands in for `build_with_auxiliary`: two convolutions, dropout and batch normalisation between them."""
    keras.utils.set_random_seed(seed)
    layers: Any = keras.layers
    image = keras.Input((spec.tile_size, spec.tile_size, len(spec.bands) + spec.known_mask))
    x = layers.Conv2D(spec.filters, 3, padding="same", activation="relu")(image)
    x = layers.Dropout(0.1, seed=seed)(layers.BatchNormalization(momentum=0.9)(x))
    logits = layers.Conv2D(1, 3, padding="same", name="logits")(x)
    second = layers.Conv2D(1, 1, name="auxiliary_logits")(x)
    return keras.Model(image, logits), keras.Model(image, [logits, second])
