"""The exported SavedModel gives what the run gives, without any code of ours."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from mmls_tf.config import TrainConfig
from mmls_tf.data.dataset import open_dataset
from mmls_tf.data.scoring_input import ScoringInput
from mmls_tf.data.tiles import read_tiles
from mmls_tf.errors import RunFolderError, UsageError
from mmls_tf.exporting import saved_model
from mmls_tf.exporting.config import ExportConfig
from mmls_tf.exporting.saved_model import ExportError, export
from mmls_tf.models.registry import build_model
from mmls_tf.models.spec import ModelSpec
from mmls_tf.training.run_folder import RunFolder
from mmls_tf.training.trainer import train


@pytest.fixture(scope="module")
def exported(trained_unet: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(ExportConfig(run=str(trained_unet), out=str(tmp_path_factory.mktemp("export") / "model")))


def val_tiles(data: Path) -> tuple[np.ndarray, np.ndarray]:
    tiles = list(read_tiles(open_dataset(data), "val"))
    return np.stack([tile.image for tile in tiles]), np.stack([tile.valid for tile in tiles])


def serve(exported: Path, image: np.ndarray, valid: np.ndarray) -> dict[str, np.ndarray]:
    loaded = tf.saved_model.load(str(exported))
    return {name: value.numpy() for name, value in loaded.serve(image, valid).items()}


def expected_logits(run: Path, data: Path) -> np.ndarray:
    """What the input pipeline and the loaded model give for the val split."""
    folder, record = RunFolder.open(run)
    model = folder.load_model("best")
    (batch,) = ScoringInput(open_dataset(data), "val", record.normalisation, 3)
    return model(batch["image"], training=False).numpy()


def test_canonical_tiles_give_the_logits_of_pipeline_and_model(
    exported: Path, trained_unet: Path, built_data: Path
) -> None:
    found = serve(exported, *val_tiles(built_data))
    expected = expected_logits(trained_unet, built_data)
    np.testing.assert_allclose(found["logits"], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found["probability"], 1 / (1 + np.exp(-expected)), atol=1e-5)


def test_the_signature_has_names_types_and_a_free_batch_size(exported: Path, built_data: Path) -> None:
    loaded = tf.saved_model.load(str(exported))
    signature = loaded.signatures["serving_default"]
    inputs = signature.structured_input_signature[1]
    assert {name: (spec.dtype, spec.shape.as_list()) for name, spec in inputs.items()} == {
        "image": (tf.float32, [None, 32, 32, 7]),
        "valid": (tf.uint8, [None, 32, 32]),
    }
    assert set(signature.structured_outputs) == {"logits", "probability"}
    image, valid = val_tiles(built_data)
    whole = signature(image=tf.constant(image), valid=tf.constant(valid))["logits"]
    for index in range(len(image)):
        one = slice(index, index + 1)
        alone = signature(image=tf.constant(image[one]), valid=tf.constant(valid[one]))["logits"]
        np.testing.assert_allclose(alone, whole[one], rtol=1e-4, atol=1e-5)


def test_what_invalid_pixels_hold_does_not_matter(exported: Path, built_data: Path) -> None:
    image, valid = val_tiles(built_data)
    valid[:, 5:9] = 0
    clean = serve(exported, image, valid)["logits"]
    image[:, 5:9] = np.nan
    np.testing.assert_array_equal(serve(exported, image, valid)["logits"], clean)


def test_it_serves_in_a_process_without_this_package(
    exported: Path, trained_unet: Path, built_data: Path, tmp_path: Path
) -> None:
    image, valid = val_tiles(built_data)
    np.savez(tmp_path / "tiles.npz", image=image, valid=valid)
    program = (
        "import sys, numpy as np, tensorflow as tf\n"
        "tiles = np.load('tiles.npz')\n"
        "model = tf.saved_model.load(sys.argv[1])\n"
        "logits = model.serve(tiles['image'], tiles['valid'])['logits']\n"
        "np.save('logits.npy', logits)\n"
        "assert 'mmls_tf' not in sys.modules\n"
    )
    words = [sys.executable, "-c", program, str(exported)]
    subprocess.run(words, cwd=tmp_path, check=True, capture_output=True)
    expected = expected_logits(trained_unet, built_data)
    np.testing.assert_allclose(np.load(tmp_path / "logits.npy"), expected, rtol=1e-4, atol=1e-5)


def test_the_description_says_what_to_feed(exported: Path, trained_unet: Path) -> None:
    description = json.loads((exported / "assets.extra" / "mmls.json").read_text())
    _, record = RunFolder.open(trained_unet)
    assert description["size"] == 32
    assert [band["name"] for band in description["bands"]][3:5] == ["dem", "slope"]
    assert description["bands"][3]["offset"] == -5834.0
    assert description["normalisation"]["mean"] == list(record.normalisation.mean)


@pytest.fixture(scope="module")
def bfloat16_run(built_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("bfloat16") / "run"
    flags = {"filters": 3, "epochs": 1, "batch": 5, "bands": "dem+thermal", "precision": "bfloat16"}
    train(TrainConfig(data=str(built_data), run=str(run), **flags), "a test")
    return run


def test_a_run_on_some_bands_in_bfloat16_takes_all_canonical_bands(
    bfloat16_run: Path, built_data: Path, tmp_path: Path
) -> None:
    out = export(ExportConfig(run=str(bfloat16_run), out=str(tmp_path / "new" / "model"), weights="last"))
    found = serve(out, *val_tiles(built_data))["logits"]
    folder, record = RunFolder.open(bfloat16_run)
    (batch,) = ScoringInput(open_dataset(built_data), "val", record.normalisation, 3)
    model = folder.load_model("last")
    exact = build_model(ModelSpec.of(record.config, 32, record.normalisation), "float32", 0)
    exact.set_weights(model.get_weights())
    expected = exact(batch["image"], training=False).numpy()
    rounding = np.abs(model(batch["image"], training=False).numpy() - expected).max()
    assert 0 < rounding < 0.2 * expected.std()
    np.testing.assert_allclose(found, expected, atol=2 * rounding)


def test_an_unfinished_run_is_refused(own_run: Path, tmp_path: Path) -> None:
    (own_run / "summary.json").unlink()
    with pytest.raises(RunFolderError, match=r"expected a finished run, found no summary\.json"):
        export(ExportConfig(run=str(own_run), out=str(tmp_path / "model")))
    assert not (tmp_path / "model").exists()


def test_an_existing_target_is_left_alone(trained_unet: Path, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    with pytest.raises(UsageError, match=r"--out=.*expected a new folder"):
        export(ExportConfig(run=str(trained_unet), out=str(tmp_path / "model")))
    assert not list((tmp_path / "model").iterdir())


@pytest.mark.parametrize("run", ["trained_unet", pytest.param("bfloat16_run", marks=pytest.mark.slow)])
def test_a_model_that_does_not_give_the_same_is_never_put_in_place(
    run: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = saved_model._write
    folder = request.getfixturevalue(run)

    def damaged(model: object, normalisation: object, path: Path) -> None:
        model.get_layer("logits").bias.assign([1.0])
        write(model, normalisation, path)
        model.get_layer("logits").bias.assign([0.0])

    monkeypatch.setattr(saved_model, "_write", damaged)
    with pytest.raises(ExportError, match=r"within .* of the model's in float32, found a difference of 0\."):
        export(ExportConfig(run=str(folder), out=str(tmp_path / "model")))
    assert not list(tmp_path.iterdir()), "nothing is left behind"


def test_what_an_interrupted_export_left_is_no_obstacle(trained_unet: Path, tmp_path: Path) -> None:
    (tmp_path / ".model.partial" / "variables").mkdir(parents=True)
    out = export(ExportConfig(run=str(trained_unet), out=str(tmp_path / "model")))
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


def test_the_command_exports_with_tensorflow_whatever_the_environment_says(
    own_run: Path,
    tmp_path: Path,
    built_data: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    expected = expected_logits(own_run, built_data)
    result = command("mmls_tf.export", f"--run={own_run}", f"--out={tmp_path / 'model'}")
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert "serve(image, valid)" in result.stdout
    shutil.rmtree(own_run)
    found = serve(tmp_path / "model", *val_tiles(built_data))["logits"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
