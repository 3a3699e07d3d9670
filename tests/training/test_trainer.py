"""A run, from a built data set to a run folder."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmls_tf.config import TrainConfig
from mmls_tf.data.dataset import open_dataset
from mmls_tf.errors import CompilationError, DatasetError, RunFolderError, UsageError
from mmls_tf.training.callbacks import TrainingError
from mmls_tf.training.device import Device, choose_jit, choose_precision, require_compiled
from mmls_tf.training.optimizer import compile_model, learning_rate_schedule
from mmls_tf.training.run_folder import RunFolder
from mmls_tf.training.trainer import train


def tiny(data: Path, run: Path, **changes: object) -> TrainConfig:
    config = TrainConfig(data=str(data), run=str(run), filters=4, epochs=1, batch=4, precision="float32")
    return replace(config, **changes)


def history(run: Path) -> list[dict[str, str]]:
    with (run / "history.csv").open() as file:
        return list(csv.DictReader(file))


def test_the_run_folder_is_a_complete_answer(trained_run: Path, built_data: Path) -> None:
    folder, record = RunFolder.open(trained_run)
    manifest = open_dataset(built_data).manifest
    assert record.fingerprint == manifest.fingerprint
    assert record.normalisation.mean == tuple(band.mean for band in manifest.statistics)
    assert record.normalisation.std == tuple(band.std for band in manifest.statistics)
    assert (record.precision, record.jit, record.tile_size) == ("float32", False, 32)
    assert record.parameters == folder.load_model("best").count_params()
    assert folder.finished
    assert [row["epoch"] for row in history(trained_run)] == ["0", "1", "2"]
    summary = json.loads((trained_run / "summary.json").read_text())
    scores = [float(row["val_miou"]) for row in history(trained_run)]
    assert summary["best_val_miou"] == pytest.approx(max(scores), abs=1e-6)
    assert summary["best_epoch"] == int(np.argmax(scores)) + 1
    assert not list(trained_run.glob(".*")), "no partial files are left"


def test_best_and_last_weights_score_on_val_what_the_history_says(
    trained_run: Path, built_data: Path
) -> None:
    from mmls_tf.evaluation.confusion import Confusion
    from mmls_tf.evaluation.counting import score_tile
    from mmls_tf.prediction.member import load_member
    from mmls_tf.prediction.tiles import predict_tiles

    scores = [float(row["val_miou"]) for row in history(trained_run)]
    for which, expected in (("best", max(scores)), ("last", scores[-1])):
        member = load_member(trained_run, which, "tensorflow")
        predictions = predict_tiles([member], open_dataset(built_data), "val", 4)
        counts = [score_tile(tile, probability > 0.5).labelled for tile, probability in predictions]
        assert sum(counts, Confusion()).miou == pytest.approx(expected, abs=1e-5)


def test_tensorboard_events_hold_the_curve_of_validation_miou(trained_run: Path) -> None:
    (events,) = (trained_run / "tensorboard" / "validation").glob("events.*")
    found = [
        (event.step, value.simple_value)
        for record in tf.data.TFRecordDataset(str(events)).as_numpy_iterator()
        for event in [tf.compat.v1.Event.FromString(record)]
        for value in event.summary.value
        if value.tag == "epoch_miou"
    ]
    expected = [(index, float(row["val_miou"])) for index, row in enumerate(history(trained_run))]
    assert [step for step, _ in found] == [step for step, _ in expected]
    np.testing.assert_allclose([v for _, v in found], [v for _, v in expected], atol=1e-6)


def test_the_saved_flags_describe_the_same_run(trained_run: Path) -> None:
    lines = (trained_run / "flags.txt").read_text().splitlines()
    saved = dict(line.removeprefix("--").split("=", 1) for line in lines)
    _, record = RunFolder.open(trained_run)
    assert saved == {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in asdict(record.config).items()
    }


@pytest.mark.usefixtures("small_network")
def test_the_same_seed_gives_the_same_history(trained_run: Path, tmp_path: Path) -> None:
    _, record = RunFolder.open(trained_run)
    train(replace(record.config, run=str(tmp_path / "again")), "a test")
    for one, other in zip(history(trained_run), history(tmp_path / "again"), strict=True):
        for name in one.keys() - {"train_seconds", "input_share"}:
            assert float(one[name]) == pytest.approx(float(other[name]), rel=1e-3, abs=1e-3)


@pytest.mark.usefixtures("small_network")
def test_training_needs_neither_test_nor_isolated(own_data: Path, tmp_path: Path) -> None:
    for split in ("test", "isolated"):
        shutil.rmtree(own_data / split)
    assert train(tiny(own_data, tmp_path / "run"), "a test").finished


def test_a_damaged_train_shard_stops_training_before_a_run_folder_is_made(
    own_data: Path, tmp_path: Path
) -> None:
    (shard,) = (own_data / "train").glob("*.tfrecord")
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(DatasetError, match="train-00000"):
        train(tiny(own_data, tmp_path / "run"), "a test")
    assert not (tmp_path / "run").exists()


def test_training_without_val_is_refused_with_the_reason(own_data: Path, tmp_path: Path) -> None:
    manifest = own_data / "dataset.json"
    fields = json.loads(manifest.read_text())
    fields["splits"] = [split for split in fields["splits"] if split["name"] != "val"]
    manifest.write_text(json.dumps(fields))
    with pytest.raises(DatasetError, match="expected a split 'val'"):
        train(tiny(own_data, tmp_path / "run"), "a test")


@pytest.mark.usefixtures("small_network")
def test_an_existing_run_is_replaced_only_on_request_and_a_foreign_folder_never(
    own_run: Path, built_data: Path, tmp_path: Path
) -> None:
    with pytest.raises(
        RunFolderError, match="a run is there already; give another --run, or --resume or --overwrite"
    ):
        train(tiny(built_data, own_run), "a test")
    train(tiny(built_data, own_run, overwrite=True), "a test")
    assert len(history(own_run)) == 1
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("years of work")
    with pytest.raises(RunFolderError, match="something else"):
        train(tiny(built_data, foreign, overwrite=True), "a test")
    assert (foreign / "thesis.tex").exists()


@pytest.mark.usefixtures("small_network")
@pytest.mark.parametrize("way", ["memory", "disk", "device"])
def test_a_loss_that_is_no_number_stops_the_run_at_its_step_and_no_checkpoint_keeps_it(
    built_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    from mmls_tf.training import trainer

    class Broken(keras.losses.Loss):
        def call(self, y_true: object, y_pred: object) -> object:
            return keras.ops.sum(y_pred) * float("nan")

    monkeypatch.setattr(trainer, "make_loss", lambda *_: Broken())
    said = r"epoch 1, step 1 of 2 \(step 0 of the run, learning rate 0.002\): expected a finite loss, found nan; lower"
    with pytest.raises(TrainingError, match=said) as failure:
        train(tiny(built_data, tmp_path / "run", input=way), "a test")
    keys = str(failure.value).partition("Tiles of this step: ")[2].split(", ")
    known = {tile.key for tile in open_dataset(built_data).manifest.tiles if tile.split == "train"}
    assert len(set(keys)) == 4
    assert set(keys) <= known
    assert not list((tmp_path / "run").glob("*.keras"))
    assert not (tmp_path / "run" / "checkpoint.npz").exists()


@pytest.mark.usefixtures("small_network")
def test_where_steps_run_together_the_error_names_all_of_them_and_their_tiles(
    built_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mmls_tf.training import trainer

    class Broken(keras.losses.Loss):
        def call(self, y_true: object, y_pred: object) -> object:
            return keras.ops.sum(y_pred) * float("nan")

    monkeypatch.setattr(trainer, "make_loss", lambda *_: Broken())
    said = r"epoch 1, one of the steps 1 to 2 of 2 \(steps 0 to 1 of the run, learning rate .*Tiles of these steps: "
    with pytest.raises(TrainingError, match=said) as failure:
        train(tiny(built_data, tmp_path / "run", steps_per_execution=2), "a test")
    keys = str(failure.value).partition("Tiles of these steps: ")[2].split(", ")
    assert len(set(keys)) == 8


@pytest.mark.usefixtures("small_network")
def test_weights_that_the_last_step_of_an_epoch_spoils_are_kept_nowhere(
    built_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mmls_tf.training.callbacks import StopIfNotFinite

    def spoil(callback: StopIfNotFinite, batch: int, logs: object = None) -> None:
        if batch == 1:
            callback.model.network.layers[-1].bias.assign([float("inf")])

    monkeypatch.setattr(StopIfNotFinite, "on_train_batch_end", spoil)
    said = r"epoch 1: expected a finite loss on val, found (inf|nan) after step 1 of the run \(learning rate .*Tiles of"
    with pytest.raises(TrainingError, match=said):
        train(tiny(built_data, tmp_path / "run"), "a test")
    assert not list((tmp_path / "run").glob("*.keras"))


def test_steps_that_do_not_fill_an_epoch_are_refused_with_those_that_do(
    built_data: Path, tmp_path: Path
) -> None:
    said = r"--steps_per_execution=4: expected a divisor of the 5 steps .*10 train tiles, --batch=2.*: one of 1, 5"
    with pytest.raises(UsageError, match=said):
        train(tiny(built_data, tmp_path / "run", batch=2, steps_per_execution=4), "a test")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow  # tests/models/test_xla.py reads what XLA compiled of such a run
def test_jit_on_trains_with_xla(built_data: Path, tmp_path: Path) -> None:
    train(tiny(built_data, tmp_path / "run", jit="on", epochs=1, precision="bfloat16"), "a test")
    _, record = RunFolder.open(tmp_path / "run")
    assert record.jit
    assert np.isfinite(float(history(tmp_path / "run")[0]["loss"]))


def test_a_model_that_xla_cannot_compile_is_an_error_that_names_the_layer() -> None:
    class Stubborn(keras.layers.Layer):
        def __init__(self) -> None:
            super().__init__(name="stubborn")
            self.supports_jit = False

        def call(self, x: object) -> object:
            return x

    image = keras.Input((8, 8, 1))
    model = keras.Model(image, keras.layers.Conv2D(1, 1)(Stubborn()(image)))
    with pytest.warns(UserWarning), pytest.raises(CompilationError, match=r"layers stubborn.*--jit=off"):
        compile_model(model, TrainConfig(), steps=1, jit=True)


def test_a_compiled_model_is_accepted() -> None:
    image = keras.Input((8, 8, 1))
    model = keras.Model(image, keras.layers.Conv2D(1, 1)(image))
    model.compile(loss="mse", jit_compile=True)
    require_compiled(model)


@pytest.mark.parametrize(
    ("kind", "fast", "jit", "precision"),
    [("CPU", False, False, "float32"), ("CPU", True, False, "bfloat16"), ("GPU", True, True, "bfloat16")],
)
def test_auto_follows_the_device(kind: str, fast: bool, jit: bool, precision: str) -> None:
    device = Device(kind, "name", "tensorflow", fast)
    assert choose_jit("auto", device)[0] is jit
    assert choose_precision("auto", device)[0] == precision


def test_what_is_asked_for_by_name_is_obeyed_on_any_device() -> None:
    device = Device("CPU", "name", "tensorflow", False)
    assert choose_jit("on", device)[0]
    assert not choose_jit("off", Device("GPU", "name", "tensorflow", True))[0]
    assert choose_precision("bfloat16", device)[0] == "bfloat16"


def test_the_learning_rate_rises_to_its_peak_and_falls_as_half_a_cosine() -> None:
    config = TrainConfig(epochs=10, learning_rate=0.01, warmup=0.2)
    rates = [float(learning_rate_schedule(config, 10)(step)) for step in range(101)]
    np.testing.assert_allclose(rates[:21], np.linspace(0, 0.01, 21), atol=1e-7)
    falling = 0.01 * (1 + np.cos(np.pi * np.arange(81) / 80)) / 2
    np.testing.assert_allclose(rates[20:], falling, atol=1e-7)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bands": "rgb+dme"}, "--bands=rgb.dme: .*found 'dme'"),
        ({"epochs": 0}, "--epochs=0: expected 1 or more"),
        ({"batch": -1}, "--batch=-1: expected 1 or more"),
        ({"filters": 0}, "--filters=0: expected 1 or more"),
        ({"learning_rate": 0.0}, "--learning_rate"),
        ({"learning_rate": float("nan")}, "--learning_rate"),
        ({"weight_decay": -1.0}, "--weight_decay"),
        ({"warmup": 1.0}, "--warmup"),
        ({"seed": -1}, "--seed"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_the_name_of_its_flag(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        replace(TrainConfig(), **changes)


@pytest.mark.slow  # tests/models/test_contract.py learns four by heart at every run of the tests
def test_ten_tiles_are_learnt_by_heart_in_sixty_steps(built_data: Path, tmp_path: Path) -> None:
    config = tiny(built_data, tmp_path / "run", filters=8, epochs=60, batch=10, augment="none")
    train(replace(config, learning_rate=1e-2), "a test")
    assert float(history(tmp_path / "run")[-1]["miou"]) > 0.9
