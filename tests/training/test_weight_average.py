"""The moving average of the weights: its recurrence, where it is saved, and who may ask for it."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmls_tf.bands import BAND_NAMES
from mmls_tf.config import TrainConfig
from mmls_tf.data.augment import Augmentation
from mmls_tf.data.normalise import Normalisation
from mmls_tf.errors import RunFolderError
from mmls_tf.evaluation.config import EvaluateConfig
from mmls_tf.evaluation.job import evaluate
from mmls_tf.losses import BceDice
from mmls_tf.metrics import WatchedMiou
from mmls_tf.models.spec import ModelSpec
from mmls_tf.training.callbacks import EmaWeights
from mmls_tf.training.optimizer import compile_model
from mmls_tf.training.run_folder import RunFolder
from mmls_tf.training.step import TrainingStep
from mmls_tf.training.trainer import train
from tests.small_networks import small_networks

SEEN = Normalisation(tuple(range(7)), (0.0,) * 7, (1.0,) * 7)


def tiny(data: Path, run: Path, **changes: object) -> TrainConfig:
    config = TrainConfig(data=str(data), run=str(run), filters=4, epochs=1, batch=4, precision="float32")
    return replace(config, **changes)


def test_the_average_of_the_weights_is_that_of_the_recurrence_and_training_goes_on_with_the_raw_ones(
    built_data: Path, tmp_path: Path
) -> None:
    model, _ = small_networks(ModelSpec("unet", "plain", 4, 32, BAND_NAMES), "float32", 0)
    config = tiny(built_data, tmp_path / "run", ema=0.8, epochs=2, learning_rate=0.01)
    step = TrainingStep(model, Augmentation(SEEN, 32), BceDice(), ema=0.8)
    compile_model(step, config, steps=3, jit=False)
    random = np.random.default_rng(0)
    image = random.normal(size=(4, 32, 32, 7)).astype(np.float32)
    target = np.stack([random.integers(0, 2, (4, 32, 32)), np.ones((4, 32, 32))], -1).astype(np.float32)
    average: list[np.ndarray] = []
    for _ in range(6):
        step.train_on_batch({"image": image, "target": target})
        raw = [variable.numpy() for variable in model.weights]
        average = [0.8 * a + 0.2 * w for a, w in zip(average, raw, strict=True)] if average else raw
    assert len(model.weights) > len(model.trainable_variables), (
        "moments of batch normalisation are among them"
    )
    validation = tf.data.Dataset.from_tensors({"image": image, "target": target})
    callback = EmaWeights(RunFolder(tmp_path), validation)
    callback.set_model(step)
    logs: dict[str, float] = {}
    callback.on_epoch_end(0, logs)
    saved = keras.saving.load_model(tmp_path / "ema.keras", compile=False)
    for variable, expected in zip(saved.weights, average, strict=True):
        np.testing.assert_allclose(variable.numpy(), expected, rtol=1e-4, atol=1e-6)
    for variable, expected in zip(model.weights, raw, strict=True):
        np.testing.assert_array_equal(variable.numpy(), expected)
    saved.compile(loss=BceDice(), metrics=[WatchedMiou()])
    scores = saved.evaluate(image, target, batch_size=4, verbose=0, return_dict=True)
    assert logs["ema_val_miou"] == pytest.approx(scores["miou"], abs=1e-5)


@pytest.mark.usefixtures("small_network")
def test_a_run_with_an_average_can_be_evaluated_by_it_and_one_without_says_so(
    own_run: Path, own_data: Path, tmp_path: Path
) -> None:
    folder = train(tiny(own_data, tmp_path / "averaged", ema=0.9, epochs=2), "a test")
    result = evaluate(EvaluateConfig(run=str(folder.root), split="val", weights="ema"), "a test")
    *_, last = csv.DictReader((folder.root / "history.csv").open())
    assert result["labelled_pixels"]["miou"] == pytest.approx(float(last["ema_val_miou"]), abs=1e-5)
    with pytest.raises(RunFolderError, match="with --ema for the average"):
        evaluate(EvaluateConfig(run=str(own_run), data=str(own_data), split="val", weights="ema"), "a test")
