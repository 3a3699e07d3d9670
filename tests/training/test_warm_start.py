"""`--pretrained` with a run: whose encoder it is, by which bands, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from mmls_tf.bands import BAND_NAMES
from mmls_tf.config import TrainConfig
from mmls_tf.errors import UsageError
from mmls_tf.models.inflation import inflate
from mmls_tf.models.pretrained import RGB, encoders_of
from mmls_tf.models.registry import build_model
from mmls_tf.models.spec import ModelSpec
from mmls_tf.training.run_folder import RunFolder
from mmls_tf.training.trainer import train
from mmls_tf.training.warm_start import warm_start

pytestmark = pytest.mark.usefixtures("operation_by_operation")
SIZE = 32


def assert_same(one: list[np.ndarray], other: list[np.ndarray]) -> None:
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def config(**changes: object) -> TrainConfig:
    return replace(TrainConfig(filters=4, epochs=1, batch=4, precision="float32", seed=5), **changes)


def started(changes: dict[str, object]) -> tuple[keras.Model, list[str]]:
    asked = config(**changes)
    model = build_model(ModelSpec.of(asked, SIZE), "float32", asked.seed)
    return model, warm_start(model, asked)


def test_a_run_gives_its_encoder_by_the_names_of_the_bands(trained_unet: Path) -> None:
    model, lines = started({"bands": "rgb+slope", "pretrained": str(trained_unet)})
    folder, _ = RunFolder.open(trained_unet)
    source = folder.load_model("best").get_layer("encoder").get_weights()
    own = model.get_layer("encoder").get_weights()
    assert_same(own[1:], source[1:])
    np.testing.assert_array_equal(own[0], inflate(source[0], BAND_NAMES, (*RGB, "slope")))
    (line,) = lines
    assert line.startswith(f"encoder: {len(source)} variables from run {trained_unet}, ")
    assert line.endswith("for red+green+blue+slope")


def test_both_encoders_of_a_fusion_start_from_the_one_of_a_run_each_with_its_bands(
    trained_unet: Path,
) -> None:
    model, lines = started({"fusion": "concat", "pretrained": str(trained_unet)})
    folder, _ = RunFolder.open(trained_unet)
    source = folder.load_model("best").get_layer("encoder").get_weights()
    sides = encoders_of(model, BAND_NAMES)
    assert {name: bands for name, (_, bands) in sides.items()} == {
        "optical_encoder": (*RGB, "gray"),
        "relief_encoder": ("dem", "slope", "thermal_inertia"),
    }
    for own, bands in sides.values():
        np.testing.assert_array_equal(own.get_weights()[0], inflate(source[0], BAND_NAMES, bands))
        assert_same(own.get_weights()[1:], source[1:])
    assert len(lines) == 2


@pytest.mark.slow
def test_a_run_with_fusion_gives_no_single_encoder(trained_unet: Path, tmp_path: Path) -> None:
    fused = config(fusion="concat")
    run = tmp_path / "fused"
    _, record = RunFolder.open(trained_unet)
    folder = RunFolder.create(run, replace(record, config=fused))
    folder.save_model(build_model(ModelSpec.of(fused, SIZE), "float32", 1), "best")
    with pytest.raises(UsageError, match=r"--fusion=none, found optical_encoder and relief_encoder"):
        started({"pretrained": str(run)})
    model, _ = started({"fusion": "gated", "pretrained": str(run)})
    source = RunFolder.open(run)[0].load_model("best")
    for side in ("optical_encoder", "relief_encoder"):
        assert_same(model.get_layer(side).get_weights(), source.get_layer(side).get_weights())


def test_a_run_of_another_encoder_is_refused_by_the_names_of_both(trained_unet: Path) -> None:
    with pytest.raises(UsageError, match=r"a run of --encoder=mit_b0, found one of --encoder=plain"):
        started({"encoder": "mit_b0", "pretrained": str(trained_unet)})


def test_nothing_there_and_a_folder_that_is_no_run_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"--pretrained=.*nowhere: expected imagenet, a run folder or a file"
    ):
        started({"pretrained": str(tmp_path / "nowhere")})
    with pytest.raises(UsageError, match=r"--pretrained=.*: expected a run folder .* found no run\.json"):
        started({"pretrained": str(tmp_path)})


def test_training_starts_from_the_run_says_so_and_keeps_it_in_the_record(
    trained_unet: Path, built_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = config(data=str(built_data), run=str(tmp_path / "run"), pretrained=str(trained_unet))
    train(replace(asked, learning_rate=1e-9), "a test")
    assert f"\npretrained encoder: 50 variables from run {trained_unet}" in capsys.readouterr().out
    folder, record = RunFolder.open(tmp_path / "run")
    assert record.config.pretrained == str(trained_unet)
    source = RunFolder.open(trained_unet)[0].load_model("best").get_layer("encoder")
    for own, other in zip(
        folder.load_model("last").get_layer("encoder").trainable_variables,
        source.trainable_variables,
        strict=True,
    ):
        np.testing.assert_allclose(own.numpy(), other.numpy(), atol=1e-6)


def test_weights_that_cannot_be_had_stop_training_before_a_run_folder_is_made(
    built_data: Path, tmp_path: Path
) -> None:
    asked = config(data=str(built_data), run=str(tmp_path / "run"), pretrained="imagenet")
    with pytest.raises(UsageError, match="--pretrained=imagenet"):
        train(asked, "a test")
    assert not (tmp_path / "run").exists()
