"""Moments and bands of the target: against NumPy, and nothing else changes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from mmls_tf.adaptation.model import copied
from mmls_tf.adaptation.statistics import estimate_moments
from mmls_tf.data.normalise import Normalisation
from mmls_tf.errors import UsageError
from mmls_tf.models.batch_norm import FusedBatchNormalization
from mmls_tf.models.registry import build_model
from mmls_tf.models.spec import ModelSpec
from mmls_tf.prediction.member import load_member


def images(count: int) -> np.ndarray:
    return np.random.default_rng(0).normal(2.0, 3.0, size=(count, 8, 8, 2)).astype(np.float32)


def small_model() -> keras.Model:
    image = keras.Input((8, 8, 2))
    x = layers.Conv2D(3, 1, name="mix")(image)
    x = FusedBatchNormalization(momentum=0.9, name="first")(x)
    x = layers.Dropout(0.5, name="drop")(layers.ReLU()(x))
    x = layers.BatchNormalization(momentum=0.8, name="second")(x)
    return keras.Model(image, x)


def test_moments_are_those_of_the_input_of_each_layer_over_all_images() -> None:
    model, all_images = small_model(), images(7)
    estimate_moments(model, iter([all_images[:4], all_images[4:]]))
    features = np.asarray(model.get_layer("mix")(all_images), np.float64)
    first = model.get_layer("first")
    np.testing.assert_allclose(first.moving_mean, features.mean(axis=(0, 1, 2)), rtol=1e-4)
    np.testing.assert_allclose(first.moving_variance, features.var(axis=(0, 1, 2)), rtol=1e-4)
    # The second layer saw what the first one makes of each batch, without a feature dropped.
    seen = []
    for part in (features[:4], features[4:]):
        normal = (part - part.mean(axis=(0, 1, 2))) / np.sqrt(part.var(axis=(0, 1, 2)) + first.epsilon)
        seen.append(np.maximum(normal, 0))
    expected = np.concatenate(seen)
    second = model.get_layer("second")
    np.testing.assert_allclose(second.moving_mean, expected.mean(axis=(0, 1, 2)), rtol=1e-3)
    np.testing.assert_allclose(second.moving_variance, expected.var(axis=(0, 1, 2)), rtol=1e-3)


def test_layers_train_on_as_before() -> None:
    model = small_model()
    weights = [weight.numpy() for weight in model.trainable_weights]
    estimate_moments(model, iter([images(3)]))
    assert (model.get_layer("first").momentum, model.get_layer("second").momentum) == (0.9, 0.8)
    assert model.get_layer("drop").rate == 0.5
    for before, after in zip(weights, model.trainable_weights, strict=True):
        np.testing.assert_array_equal(before, after)


def test_a_model_without_batch_normalisation_has_no_moments() -> None:
    image = keras.Input((8, 8, 2))
    with pytest.raises(
        UsageError, match=r"expected a model with batch normalisation.*use --statistics=bands"
    ):
        estimate_moments(keras.Model(image, layers.Conv2D(1, 1)(image)), iter([images(2)]))


def test_elevations_are_still_in_metres_when_bands_are_normalised_in_another_way(trained_run: Path) -> None:
    member = load_member(trained_run, "best", "tensorflow")
    config = dataclasses.replace(member.record.config, bands="red+dem", derive="relative_dem")
    before, after = (Normalisation((0, 3), (0.5, 0.5), (0.2, std)) for std in (0.25, 0.05))
    member = dataclasses.replace(
        member,
        record=dataclasses.replace(member.record, config=config, normalisation=before),
        model=build_model(ModelSpec.of(config, 32, before), "float32", 1),
        normalisation=before,
    )
    changed = copied(member, after)
    assert changed.record.normalisation == changed.normalisation == after
    valid = np.ones((1, 32, 32), np.float32)
    canonical = np.random.default_rng(0).random((1, 32, 32, 2)).astype(np.float32)
    seen = [
        member_.model.get_layer("derived_bands")(norm.apply(canonical, valid))[..., 1]
        for member_, norm in ((member, before), (changed, after))
    ]
    np.testing.assert_allclose(seen[0], seen[1], atol=1e-3)
    assert np.ptp(seen[0]) > 1
