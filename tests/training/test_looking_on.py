"""What a run shows of itself: the screen, TensorBoard, a trace, its summary."""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from matplotlib.image import imread
from tensorflow.python.framework.config import disable_op_determinism

from mmls_tf.config import TrainConfig
from mmls_tf.data.dataset import open_dataset
from mmls_tf.errors import UsageError
from mmls_tf.training import progress
from mmls_tf.training.device import Device
from mmls_tf.training.feed import choose_input
from mmls_tf.training.machine import find_commit
from mmls_tf.training.run_folder import RunFolder
from mmls_tf.training.trainer import train

pytestmark = pytest.mark.usefixtures("small_network")


def config(data: Path, run: Path, **changes: Any) -> TrainConfig:
    options = {"filters": 2, "epochs": 3, "batch": 2, "precision": "float32", **changes}
    return TrainConfig(data=str(data), run=str(run), **options)


def pictures(run: Path) -> list[np.ndarray]:
    (events,) = (run / "tensorboard" / "validation").glob("events.*")
    return [
        imread(io.BytesIO(value.image.encoded_image_string), format="png")
        for record in tf.data.TFRecordDataset(str(events)).as_numpy_iterator()
        for value in tf.compat.v1.Event.FromString(record).summary.value
        if value.tag == "tiles"
    ]


def test_tensorboard_has_pictures_of_the_same_validation_tiles(built_data: Path, tmp_path: Path) -> None:
    run = train(config(built_data, tmp_path / "run"), "a test").root
    shown = pictures(run)
    assert len(shown) == 3, "one an epoch where there are few"
    height, width = shown[0].shape[:2]
    assert (height, width) == (2 * 32, 3 * 32), "a line a tile: band, truth, probability"
    for picture in shown[1:]:
        np.testing.assert_array_equal(picture[:, :64], shown[0][:, :64])
        assert not np.array_equal(picture[:, 64:], shown[0][:, 64:])
    truth = shown[0][:32, 32:64, 0]
    assert set(np.unique(truth.round(2))) <= {0.0, 0.5, 1.0}
    assert (truth == 1).any(), "tiles with landslides come first"


def test_a_line_an_epoch_tells_rate_and_time_left_and_the_end_is_summed_up(
    built_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(config(built_data, tmp_path / "run", ema=0.5), "a test")
    lines = capsys.readouterr().out.splitlines()
    epochs = [line for line in lines if line.startswith("epoch")]
    assert len(epochs) == 3
    for line in epochs:
        for word in ("loss", "val mIoU", "EMA", "tiles/s", "input", "min left"):
            assert word in line
    assert lines[-2].startswith("done       3 epochs in ")
    assert "average of weights" in lines[-1]


def test_on_a_terminal_a_bar_runs_through_the_epoch(
    built_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(progress.sys, "stdout", terminal)
    monkeypatch.setattr(progress, "tqdm", partial(progress.tqdm, mininterval=0))  # the epoch is a moment long
    train(config(built_data, tmp_path / "run", epochs=1), "a test")
    assert "epoch 1/1" in terminal.getvalue()
    assert "tile/s" in terminal.getvalue()
    assert "10/10" in terminal.getvalue()


def test_a_trace_is_written_when_asked_for(built_data: Path, tmp_path: Path) -> None:
    run = train(config(built_data, tmp_path / "run", epochs=2, profile=True), "a test").root
    assert list((run / "profile").rglob("*.xplane.pb"))
    other = train(config(built_data, tmp_path / "other", epochs=1), "a test").root
    assert not (other / "profile").exists()


def test_the_summary_is_small_and_says_what_the_result_was_got_with(built_data: Path, tmp_path: Path) -> None:
    asked = config(built_data, tmp_path / "run", ema=0.5, seed=3)
    folder = train(asked, "a test")
    summary = folder.read_summary()
    assert summary["config"] == asdict(asked)
    assert summary["fingerprint"] == open_dataset(built_data).manifest.fingerprint
    assert summary["seed"] == 3
    assert summary["machine"]["cores"] >= 1
    assert summary["commit"] == find_commit()
    assert summary["seconds"] > 0
    assert 0 <= summary["input_share"] < 1
    for name in ("best_val_miou", "last_val_miou", "ema_val_miou"):
        assert 0 < summary[name] < 1
    assert len(json.dumps(summary)) < 5000


def test_a_second_head_is_trained_and_not_saved(built_data: Path, tmp_path: Path) -> None:
    plain = train(config(built_data, tmp_path / "plain"), "a test")
    helped = train(config(built_data, tmp_path / "helped", auxiliary=0.4), "a test")
    one, other = (folder.load_model("last") for folder in (plain, helped))
    assert [type(layer) for layer in one.layers] == [type(layer) for layer in other.layers]
    assert "auxiliary_logits" not in {layer.name for layer in other.layers}
    differing = [not np.allclose(a, b) for a, b in zip(one.get_weights(), other.get_weights(), strict=True)]
    assert any(differing), "its loss reaches the layers that both heads stand on"


def test_sgd_and_several_steps_an_execution_train_too(built_data: Path, tmp_path: Path) -> None:
    folder = train(
        config(built_data, tmp_path / "run", optimizer="sgd", steps_per_execution=5, learning_rate=0.01),
        "a test",
    )
    assert folder.finished
    assert RunFolder.open(folder.root)[1].config.steps_per_execution == 5


def test_deterministic_runs_agree_to_the_last_bit(built_data: Path, tmp_path: Path) -> None:
    runs = []
    try:
        for name in ("one", "other"):
            asked = config(built_data, tmp_path / name, deterministic=True, augment="d4+noise+mosaic")
            runs.append(train(asked, "a test").load_model("last").get_weights())
    finally:
        disable_op_determinism()
    for one, other in zip(*runs, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("kind", "backend", "way"),
    [
        ("CPU", "tensorflow", "memory"),
        ("GPU", "tensorflow", "memory"),
        ("CPU", "jax", "memory"),
        ("GPU", "jax", "device"),
    ],
)
def test_the_way_of_input_follows_the_device(built_data: Path, kind: str, backend: str, way: str) -> None:
    device = Device(kind, "name", backend, True)
    assert choose_input(TrainConfig(), open_dataset(built_data), device)[0] == way


@pytest.mark.parametrize(
    "changes", [{"context": 8}, {"windows": "anywhere"}, {"folds": "random:3"}], ids=lambda c: next(iter(c))
)
def test_what_needs_tiles_in_memory_is_refused_from_disk(built_data: Path, changes: dict[str, Any]) -> None:
    (name,) = changes
    with pytest.raises(UsageError, match=rf"--input=disk .*: expected tiles in memory for --{name}="):
        choose_input(
            TrainConfig(input="disk", **changes),
            open_dataset(built_data),
            Device("CPU", "", "tensorflow", False),
        )
