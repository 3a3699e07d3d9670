"""A small seeded world: generated terrain, the data set built from it, a run trained on that."""

from __future__ import annotations

import csv
import dataclasses
import gc
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mmls_tf.quiet import load_tensorflow

load_tensorflow()

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

from tests.small_networks import small_networks  # noqa: E402

# Networks of tests run a few steps: to rewrite their graphs first takes longer than it saves.
tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})

# Millions of objects stay for good once these two are loaded; to look through them for cycles while graphs are traced
# takes a tenth of the time.
gc.freeze()
gc.set_threshold(50_000, 20, 50)

# Machine code of little optimisation, by the emitters that are quickest: it takes a fifth of the time to compile, and
# XLA's own passes over the network are the same. Commands that tests start inherit it.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false")

# Files that take a minute and more, which two processes must not leave for the end.
LONGEST = (
    *("test_commands", "test_lowering", "test_encoders", "test_trainer", "test_job", "test_interrupted_runs"),
    *("test_notebook", "test_pretrained", "test_sweep_commands", "test_strategy", "test_without_tensorflow"),
)

TILE = 32
COUNTS = {"train": 10, "val": 3, "test": 5, "isolated": 4}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the longest files first; `--no-loadscope-reorder` lets several processes keep that order."""
    rank = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))


@pytest.fixture(autouse=True)
def seeded_weights() -> None:
    """Layers that a test builds without a seed start alike every time, whichever tests ran before."""
    keras.utils.set_random_seed(0)


@pytest.fixture(scope="session")
def raw_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generated GeoTIFFs of 32 x 32 pixels, all four splits labelled."""
    from tfrecords_builder.sample.config import SampleConfig
    from tfrecords_builder.sample.write import write_sample

    out = tmp_path_factory.mktemp("sample") / "raw"
    write_sample(SampleConfig(out=str(out), seed=3, tile_size=TILE, **COUNTS))
    return out


@pytest.fixture(scope="session")
def built_data(raw_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The data set built from `raw_folder`; not to be changed by tests."""
    from tfrecords_builder.build import build
    from tfrecords_builder.config import BuildConfig

    out = tmp_path_factory.mktemp("built") / "data"
    build(BuildConfig(src=str(raw_folder), out=str(out), tile_size=TILE), "a test")
    before = set(out.rglob("*"))
    yield out
    changed = set(out.rglob("*")) ^ before
    assert not changed, f"a test has written into the data set that all share: {changed}"


@pytest.fixture
def own_data(built_data: Path, tmp_path: Path) -> Path:
    """A copy of `built_data` that a test may damage."""
    return Path(shutil.copytree(built_data, tmp_path / "data"))


@pytest.fixture
def small_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trains `small_networks` in the place of any model."""
    monkeypatch.setattr("mmls_tf.training.trainer.build_with_auxiliary", small_networks)


@pytest.fixture(scope="module")
def operation_by_operation() -> Iterator[None]:
    """TensorFlow traces no function: for two steps of a deep network that takes several times as long as they do."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="session")
def trained_unet(built_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of three epochs, of a U-Net; not to be changed by tests."""
    return _trained(built_data, tmp_path_factory.mktemp("runs") / "unet")


@pytest.fixture(scope="session")
def trained_run(built_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of three epochs, of the network of `small_networks`; not to be changed by tests.

    For tests of what is done with a run, whatever network is in it: a U-Net is traced for seconds in each of them.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mmls_tf.training.trainer.build_with_auxiliary", small_networks)
        out = tmp_path_factory.mktemp("runs") / "small"
        run = _trained(built_data, out, learning_rate=0.02, batch=2, seed=5)
    scores = [float(row["val_miou"]) for row in csv.DictReader((run / "history.csv").open())]
    assert max(scores) > scores[-1], "tests tell the best weights of a run from the last ones"
    return run


def _trained(data: Path, run: Path, **changes: object) -> Path:
    from mmls_tf.config import TrainConfig
    from mmls_tf.training.trainer import train

    config = TrainConfig(data=str(data), run=str(run), filters=4, epochs=3, batch=4, precision="float32")
    train(dataclasses.replace(config, **changes), "a test")  # type: ignore[arg-type]
    return run


@pytest.fixture
def own_run(trained_run: Path, tmp_path: Path) -> Path:
    """A copy of `trained_run` that a test may change."""
    return Path(shutil.copytree(trained_run, tmp_path / "run"))


@pytest.fixture
def command() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `python -m WORDS...` from the repository root and returns what came of it."""

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", *map(str, words)],
            capture_output=True,
            text=True,
            cwd=Path(__file__).parents[1],
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
            timeout=600,
            check=False,
        )

    return run
