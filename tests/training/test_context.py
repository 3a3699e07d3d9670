"""A run that sees surroundings, from training to its score."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import jaccard_score

from mmls_tf.config import TrainConfig
from mmls_tf.data.augment import Augmentation
from mmls_tf.data.dataset import open_dataset
from mmls_tf.data.ground import load_ground
from mmls_tf.data.normalise import Normalisation
from mmls_tf.errors import UsageError
from mmls_tf.evaluation.config import EvaluateConfig
from mmls_tf.evaluation.job import evaluate
from mmls_tf.losses import BceDice
from mmls_tf.training.run_folder import RunFolder
from mmls_tf.training.step import TrainingStep
from mmls_tf.training.trainer import train


@pytest.fixture(scope="module")
def run(built_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("context") / "run"
    options = {"context": 16, "context_from": "all", "windows": "anywhere", "augment": "d4"}
    config = TrainConfig(
        data=str(built_data), run=str(root), filters=4, epochs=2, batch=5, precision="float32", **options
    )
    train(config, "a test")
    return root


@pytest.mark.parametrize("split", ["test", "isolated"])
def test_it_is_scored_on_tiles_alone_with_its_own_context(run: Path, own_data: Path, split: str) -> None:
    result = evaluate(EvaluateConfig(run=str(run), split=split, data=str(own_data), batch=3), "a test")
    folder, record = RunFolder.open(run)
    dataset = open_dataset(own_data)
    ground = load_ground(dataset, split, record.normalisation, "all", reach=16)
    model = keras.saving.load_model(folder.weights("best"), compile=False)
    masks, guesses = [], []
    for key in [tile.key for tile in dataset.manifest.tiles if tile.split == split]:
        image, target = ground.window(key, -16, -16, 64)
        guesses.append(model(image[None], training=False).numpy()[0, 16:48, 16:48, 0] > 0)
        masks.append(target[16:48, 16:48, 0])
    ious = jaccard_score(np.ravel(masks), np.ravel(guesses), average=None, labels=[0, 1])
    assert result["labelled_pixels"]["pixels"] == len(masks) * 32 * 32
    assert result["labelled_pixels"]["miou"] == pytest.approx(ious.mean(), abs=2e-3)
    assert (result["context"], result["context_from"]) == (16, "all")
    assert (run / "evaluations" / f"{split}.png").exists()


def test_the_model_is_built_for_the_larger_window(run: Path) -> None:
    folder, record = RunFolder.open(run)
    assert folder.load_model("best").input_shape == (None, 64, 64, 7)
    assert record.tile_size == 32
    assert len((run / "history.csv").read_text().splitlines()) == 3


def test_a_window_that_the_model_cannot_halve_is_refused(built_data: Path, tmp_path: Path) -> None:
    config = TrainConfig(data=str(built_data), run=str(tmp_path / "run"), filters=4, batch=5, context=5)
    with pytest.raises(
        UsageError, match="tiles of 42 x 42 pixels: expected a multiple of the model's stride"
    ):
        train(config, "a test")
    assert not (tmp_path / "run").exists()


def test_the_context_is_part_of_what_the_run_remembers(run: Path) -> None:
    config = json.loads((run / "run.json").read_text())["config"]
    assert (config["context"], config["context_from"], config["windows"]) == (16, "all", "anywhere")
    assert tf.io.gfile.exists(str(run / "summary.json"))


def test_labels_of_the_margin_train_nothing() -> None:
    random = np.random.default_rng(0)
    image = keras.Input((16, 16, 2))
    network = keras.Model(image, keras.layers.Conv2D(1, 3, padding="same")(image))
    step = TrainingStep(
        network, Augmentation(Normalisation((0, 1), (0.0,) * 2, (1.0,) * 2), 16), BceDice(), margin=4
    )
    batch = {
        "image": random.normal(size=(2, 16, 16, 2)).astype(np.float32),
        "target": np.stack([random.integers(0, 2, (2, 16, 16)), np.ones((2, 16, 16))], -1).astype(np.float32),
    }
    other = {**batch, "target": batch["target"].copy()}
    other["target"][:, :4, :, 0] = 1 - other["target"][:, :4, :, 0]
    assert step(batch)["logits"].shape == (2, 8, 8, 1)
    losses = [float(step.compute_loss(y_pred=step(one, training=True))) for one in (batch, other)]
    assert losses[0] == losses[1]
    other["target"][:, 4, :, 0] = 1 - other["target"][:, 4, :, 0]
    assert float(step.compute_loss(y_pred=step(other, training=True))) != losses[0]
