"""Pre-training by hidden squares: what is hidden, what counts, and that a run starts from what comes out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from mmls_tf.bands import BAND_NAMES
from mmls_tf.config import TrainConfig
from mmls_tf.data.dataset import open_dataset
from mmls_tf.data.draws import InputConfig
from mmls_tf.data.normalise import Normalisation
from mmls_tf.errors import UsageError
from mmls_tf.evaluation.config import EvaluateConfig
from mmls_tf.evaluation.job import evaluate
from mmls_tf.models.registry import build_model
from mmls_tf.models.spec import ModelSpec
from mmls_tf.pretraining.config import PretrainConfig
from mmls_tf.pretraining.hidden import draw_hidden, hidden_error
from mmls_tf.pretraining.images import HiddenBatches
from mmls_tf.pretraining.job import pretrain
from mmls_tf.schema import UNKNOWN_LABEL
from mmls_tf.training.run_folder import RunFolder
from mmls_tf.training.trainer import train
from mmls_tf.training.warm_start import images_seen, warm_start

DERIVED = "relative_dem+terrain"


def config(data: Path, out: Path, **flags: Any) -> PretrainConfig:
    return PretrainConfig(
        **{
            **{"data": str(data), "out": str(out), "filters": 4, "epochs": 20, "batch": 11, "patch": 8},
            **{"derive": DERIVED, "precision": "float32", "learning_rate": 5e-3},
            **flags,
        }
    )


def test_a_share_of_the_squares_of_every_tile_is_hidden_and_others_in_every_step() -> None:
    first, again, second = (draw_hidden(0, step, 3, 33, 8, 0.6) for step in (0, 0, 1))
    assert first.shape == (3, 5, 5)
    np.testing.assert_array_equal(first.sum(axis=(1, 2)), [15, 15, 15])
    np.testing.assert_array_equal(first, again)
    assert (first != second).any()
    assert (first[0] != first[1]).any()


def test_the_error_is_that_of_hidden_pixels_with_data() -> None:
    rng = np.random.default_rng(0)
    image, found = (rng.normal(size=(2, 4, 4, 3)).astype(np.float32) for _ in range(2))
    weight = (rng.random((2, 4, 4, 1)) < 0.4).astype(np.float32)
    expected = np.abs(found - image)[weight[..., 0] > 0].mean()
    assert float(hidden_error(image, found, weight)) == pytest.approx(expected, rel=1e-5)
    assert float(hidden_error(image, found, 0 * weight)) == 0.0


def test_a_run_starts_from_the_encoder_that_images_alone_have_taught(
    built_data: Path, tmp_path: Path
) -> None:
    data = Path(shutil.copytree(built_data, tmp_path / "data"))
    result = pretrain(config(data, tmp_path / "taught"), "a test")
    assert result["losses"][-1] < 0.97 * result["losses"][0]
    assert result["images"] == {"train": 10, "val": 3, "test": 5, "isolated": 4}
    (line,) = (data / "isolated" / "ledger.jsonl").read_text().splitlines()
    assert (json.loads(line)["kind"], json.loads(line)["column"]) == ("adaptation", "transductive")

    taught = keras.saving.load_model(tmp_path / "taught" / "encoder.keras", compile=False)
    asked = TrainConfig(filters=4, derive=DERIVED, pretrained=str(tmp_path / "taught" / "encoder.keras"))
    normalisation = Normalisation.from_statistics(
        open_dataset(data).manifest.statistics, range(len(BAND_NAMES))
    )
    model = build_model(ModelSpec.of(asked, 32, normalisation), "float32", 1)
    warm_start(model, asked)
    for old, new in zip(taught.get_weights(), model.get_layer("encoder").get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert images_seen(asked.pretrained) == {open_dataset(data).manifest.fingerprint: list(result["images"])}


@pytest.mark.usefixtures("operation_by_operation")
def test_runs_that_start_from_such_an_encoder_say_whose_images_taught_it(
    trained_unet: Path, own_data: Path, tmp_path: Path
) -> None:
    encoder = tmp_path / "taught" / "encoder.keras"
    encoder.parent.mkdir()
    _, before = RunFolder.open(trained_unet)
    RunFolder(trained_unet).load_model("best").get_layer("encoder").save(encoder)
    seen = {"data_fingerprint": before.fingerprint, "images": {"train": 10, "isolated": 4}}
    (encoder.parent / "pretrain.json").write_text(json.dumps(seen))
    kept = {name: getattr(before.config, name) for name in ("model", "filters", "bands", "precision")}
    flags = {**kept, "data": str(own_data), "epochs": 1, "batch": 5}
    first = train(TrainConfig(**flags, run=str(tmp_path / "a"), pretrained=str(encoder)), "a test")
    second = train(TrainConfig(**flags, run=str(tmp_path / "b"), pretrained=str(first.root)), "a test")
    for folder in (first, second):
        _, record = RunFolder.open(folder.root)
        columns = [record.column(before.fingerprint, split) for split in ("test", "isolated")]
        assert columns == ["source only", "transductive"]
        assert record.column("of other tiles", "isolated") == "source only"
    scored = evaluate(EvaluateConfig(run=str(second.root), split="isolated"), "a test")
    assert scored["adapted"] == "transductive"
    assert images_seen(str(shutil.move(encoder, tmp_path / "encoder.keras"))) == {}


def test_no_mask_is_known_of_any_tile(built_data: Path) -> None:
    dataset = open_dataset(built_data)
    normalisation = Normalisation.from_statistics(dataset.manifest.statistics, range(len(BAND_NAMES)))
    batches = HiddenBatches(dataset, ["train", "test"], normalisation, InputConfig(batch=15), 8, 0.5)
    (batch,) = batches[0]
    assert (batch["target"][..., 0] == UNKNOWN_LABEL).all()
    seen = batch["image"].sum(axis=(1, 2, 3))
    assert len(np.unique(seen)) == 15, "every tile of both splits once"
    valid = batch["target"][..., 1] > 0
    np.testing.assert_allclose(batch["image"][~valid], 0.0)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"splits": "train+all"}, r"--splits=train\+all: expected names joined by .* found 'all'"),
        ({"hidden": 1.0}, r"--hidden=1.0: expected a share in \(0, 1\)"),
        ({"patch": 0}, "--patch=0: expected more than 0"),
        ({"derive": "terrain", "bands": "rgb"}, "--derive=terrain: expected dem"),
        ({"seed": -1}, "--seed=-1"),
    ],
)
def test_what_cannot_be_done_is_refused_by_the_name_of_its_flag(
    flags: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        config(tmp_path, tmp_path, **flags)


def test_an_existing_folder_is_left_alone(built_data: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected a new folder, found something there"):
        pretrain(config(built_data, tmp_path), "a test")
