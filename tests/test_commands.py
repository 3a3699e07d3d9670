"""The commands as users type them: every configuration file is run."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from absl import flags

from mmls_tf.config import TrainConfig
from mmls_tf.data.dataset import open_dataset
from mmls_tf.entry import config_from_flags, define_flags
from mmls_tf.evaluation.config import EvaluateConfig
from mmls_tf.evaluation.job import evaluate
from mmls_tf.models.listing import read_spec
from mmls_tf.models.registry import build_model
from mmls_tf.prediction.member import load_member
from mmls_tf.prediction.tiles import predict_tiles
from mmls_tf.training.trainer import train

Command = Callable[..., "subprocess.CompletedProcess[str]"]
FOLDER = Path(__file__).parents[1] / "configs"
CONFIGS = sorted(FOLDER.glob("*.flags"))
BASELINES = {"unet", "unetplusplus", "pspnet", "deeplabv3", "deeplabv3plus", "segformer"}
# Half a minute each; their decoders are trained in tests/models/test_contract.py at every run of the tests.
LARGE = {"unetplusplus", "pspnet", "deeplabv3"}
RECIPES = {"demo", "best", "neighbours", "transfer"}  # their training lines differ from the others'
MODEL_FLAGS = ("--run", "--model", "--encoder", "--filters", "--fusion", "--full_skip")


def test_a_configuration_is_trained_and_scored_by_command(
    own_data: Path, tmp_path: Path, command: Command
) -> None:
    run = tmp_path / "run"
    words = [f"--flagfile={FOLDER / 'unet.flags'}", f"--data={own_data}", f"--run={run}"]
    trained = command("mmls_tf.train", *words, "--filters=4", "--epochs=1", "--batch=5")
    assert trained.returncode == 0, trained.stderr
    assert "device     " in trained.stdout
    assert "precision  " in trained.stdout
    assert trained.stderr == ""
    scored = command("mmls_tf.evaluate", f"--run={run}", "--split=test")
    assert scored.returncode == 0, scored.stderr
    assert "IoU landslide" in scored.stdout
    assert (run / "evaluations" / "test.png").exists()
    assert json.loads((run / "run.json").read_text())["command"].startswith(
        "python -m mmls_tf.train --flagfile"
    )


@pytest.mark.parametrize(
    "config",
    [pytest.param(path, marks=pytest.mark.slow if path.stem in LARGE else []) for path in CONFIGS],
    ids=lambda path: path.name,
)
def test_every_configuration_trains_and_can_be_scored(
    config: Path, own_data: Path, tmp_path: Path, operation_by_operation: None
) -> None:
    """In this process: to start TensorFlow takes longer than to train."""
    changes = {"data": str(own_data), "run": str(tmp_path / "run"), "filters": 4, "epochs": 1, "batch": 5}
    asked = config_of(config)
    folder = train(dataclasses.replace(asked, **changes), "a test")
    assert folder.finished
    member = load_member(folder.root, "last", "tensorflow")
    assert member.record.config == dataclasses.replace(asked, **changes)
    predicted = list(predict_tiles([member], open_dataset(own_data), "test", 5))
    assert len(predicted) == 5
    assert all(0 <= probability.min() < probability.max() <= 1 for _, probability in predicted)


def config_of(path: Path) -> TrainConfig:
    """The configuration that absl makes of a file of flags."""
    values = flags.FlagValues()
    define_flags(TrainConfig, values)
    values(["train", f"--flagfile={path}"])
    return config_from_flags(TrainConfig, values)


def test_a_score_on_isolated_tells_the_gap_to_test(own_run: Path, own_data: Path, command: Command) -> None:
    evaluate(EvaluateConfig(run=str(own_run), data=str(own_data), split="test"), "a test")
    scored = command("mmls_tf.evaluate", f"--run={own_run}", f"--data={own_data}", "--split=isolated")
    assert scored.returncode == 0, scored.stderr
    for split in ("test", "isolated"):
        assert (own_run / "evaluations" / f"{split}.png").exists()
    assert "gap to test" in scored.stdout


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.name)
def test_every_configuration_says_what_it_is(config: Path) -> None:
    lines = config.read_text().splitlines()
    assert lines[0].startswith("# ")
    assert lines[1].startswith("# Expected: ")


def test_every_baseline_and_our_own_models_are_trained_alike() -> None:
    recipes = {
        config.stem: [
            line for line in config.read_text().splitlines() if not line.startswith(("#", *MODEL_FLAGS))
        ]
        for config in CONFIGS
        if config.stem not in RECIPES
    }
    assert recipes.keys() >= BASELINES | {"fusion", "light"}
    assert recipes["unet"] == ["--bands=all", "--epochs=60", "--batch=16"]
    assert {name for name, recipe in recipes.items() if recipe != recipes["unet"]} == set()


def test_every_configuration_writes_into_a_folder_of_its_name() -> None:
    for config in CONFIGS:
        if config.stem != "demo":
            assert f"--run=runs/{config.stem}" in config.read_text().splitlines()


def test_every_baseline_is_the_model_of_its_name() -> None:
    for config in CONFIGS:
        if config.stem in BASELINES:
            assert f"--model={config.stem}" in config.read_text().splitlines()


def test_the_light_configuration_has_fewer_than_a_million_parameters() -> None:
    light = next(config for config in CONFIGS if config.stem == "light")
    assert build_model(read_spec(light, 128), "float32", 0).count_params() < 1e6


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("mmls_tf.train", "--data=no/such/place"), "no/such/place: expected a data set with dataset.json"),
        (("mmls_tf.train", "--model=vgg"), "vgg"),
        (("mmls_tf.train", "--bands=rgb+xyz"), "--bands=rgb+xyz"),
        (("mmls_tf.train", "--flagfile=no.flags"), "no.flags"),
        (
            ("mmls_tf.train", "--epochs=3", f"--flagfile={FOLDER / 'unet.flags'}", "--run=no/run"),
            "--epochs=3: expected it after --flagfile",
        ),
        (("mmls_tf.evaluate", "--run=no/run", "--split=test"), "no/run: expected a run folder"),
        (("mmls_tf.evaluate", "--run=no/run"), "--split"),
        (("mmls_tf.evaluate", "--run=no/run", "--split=train"), "--split"),
    ],
)
def test_a_mistake_costs_exit_code_2_and_one_message_without_traceback(
    words: tuple[str, ...], message: str, command: Command
) -> None:
    result = command(*words)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_a_flag_that_no_flag_file_sets_may_stand_before_it(command: Command) -> None:
    result = command("mmls_tf.train", "--data=no/such/place", "--flagfile", str(FOLDER / "unet.flags"))
    assert result.returncode == 2
    assert "no/such/place: expected a data set" in result.stderr


def test_a_flag_turned_off_before_a_file_that_turns_it_on_is_refused(
    tmp_path: Path, command: Command
) -> None:
    (tmp_path / "own.flags").write_text("--deterministic\n")
    result = command("mmls_tf.train", "--nodeterministic", f"--flagfile={tmp_path / 'own.flags'}")
    assert result.returncode == 2
    assert "--nodeterministic: expected it after --flagfile" in result.stderr


def test_help_lists_the_flags_and_is_no_failure(command: Command) -> None:
    result = command("mmls_tf.train", "--help")
    assert result.returncode == 0
    for flag in (
        "--data",
        "--run",
        "--epochs",
        "--batch",
        "--seed",
        "--bands",
        "--model",
        "--jit",
        "--precision",
    ):
        assert flag in result.stdout.replace("--[no]", "--")
