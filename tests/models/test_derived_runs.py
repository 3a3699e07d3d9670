"""Runs that derive channels: exported, predicted, started from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from mmls_tf.config import TrainConfig
from mmls_tf.data.dataset import open_dataset
from mmls_tf.data.normalise import Normalisation
from mmls_tf.models.registry import build_model
from mmls_tf.models.spec import ModelSpec
from mmls_tf.training.warm_start import warm_start

pytestmark = pytest.mark.usefixtures("operation_by_operation")
EVERYTHING = "relative_dem+highpass_dem+terrain+robust"


@pytest.fixture(scope="module")
def relative_run(built_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from mmls_tf.training.trainer import train

    run = tmp_path_factory.mktemp("runs") / "relative"
    config = TrainConfig(
        data=str(built_data),
        run=str(run),
        filters=4,
        epochs=1,
        batch=5,
        precision="float32",
        derive=EVERYTHING,
    )
    train(config, "a test")
    return run


@pytest.mark.slow
def test_a_run_is_exported_with_what_it_derives(relative_run: Path, tmp_path: Path) -> None:
    from mmls_tf.exporting.config import ExportConfig
    from mmls_tf.exporting.saved_model import export

    assert (
        export(ExportConfig(run=str(relative_run), out=str(tmp_path / "out"))) / "saved_model.pb"
    ).exists()


def test_a_scene_is_predicted_alike_wherever_it_lies(relative_run: Path, raw_folder: Path) -> None:
    from mmls_tf.inference.predictor import Predictor

    rng = np.random.default_rng(2)
    scene = rng.uniform(20, 200, size=(50, 70, 7))
    scene[..., 2] = np.round(1000 + 500 * ndimage.gaussian_filter(rng.normal(size=(50, 70)), 3))
    higher = scene.copy()
    higher[..., 2] += 2000.0
    predictor = Predictor.load(relative_run, tile=48)
    probability = predictor.predict(scene)
    assert np.ptp(probability) > 0.01
    np.testing.assert_allclose(predictor.predict(higher), probability, atol=2e-3)


def test_another_run_starts_from_it(relative_run: Path, built_data: Path) -> None:
    dataset = open_dataset(built_data)
    normalisation = Normalisation.from_statistics(dataset.manifest.statistics, range(7))
    config = TrainConfig(filters=4, derive="relative_dem", pretrained=str(relative_run))
    model = build_model(ModelSpec.of(config, 32, normalisation), "float32", 1)
    (line,) = warm_start(model, config)
    assert line.endswith("for red+green+blue+relative_dem+slope+thermal_inertia+gray")
