"""The backend: how it is chosen, and that the commands do the same under either."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from mmls_tf import backend
from mmls_tf.backend import choose_backend, quick_compilation
from mmls_tf.bands import BAND_NAMES
from mmls_tf.config import TrainConfig
from mmls_tf.data.dataset import open_dataset
from mmls_tf.data.scoring_input import ScoringInput
from mmls_tf.errors import UsageError
from mmls_tf.evaluation.config import EvaluateConfig
from mmls_tf.evaluation.job import evaluate
from mmls_tf.models import registry
from mmls_tf.models.registry import build_model
from mmls_tf.models.spec import ModelSpec
from mmls_tf.quiet import load_tensorflow
from mmls_tf.training.device import Device, choose_jit, choose_precision
from mmls_tf.training.run_folder import RunFolder
from mmls_tf.training.trainer import train

Command = Callable[..., "subprocess.CompletedProcess[str]"]
# Machine code of little optimisation takes a fifth of the time to compile; XLA's own passes are the same.
QUICK = os.environ["XLA_FLAGS"]
needs_jax = pytest.mark.skipif(util.find_spec("jax") is None, reason="JAX is not installed")


@pytest.fixture
def keras_not_loaded(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The state of a process that has just started."""
    monkeypatch.delitem(sys.modules, "keras")
    monkeypatch.setenv("KERAS_BACKEND", "")  # so that what is chosen is forgotten after the test
    return monkeypatch


def test_without_flag_and_variable_it_is_tensorflow(keras_not_loaded: pytest.MonkeyPatch) -> None:
    assert choose_backend("auto") == "tensorflow"
    assert os.environ["KERAS_BACKEND"] == "tensorflow"


@needs_jax
def test_the_variable_counts_where_there_is_no_flag(keras_not_loaded: pytest.MonkeyPatch) -> None:
    keras_not_loaded.setenv("KERAS_BACKEND", "jax")
    assert choose_backend("auto") == "jax"


@needs_jax
@pytest.mark.parametrize(("variable", "flag"), [("tensorflow", "jax"), ("jax", "tensorflow")])
def test_the_flag_wins_over_the_variable(
    keras_not_loaded: pytest.MonkeyPatch, variable: str, flag: str
) -> None:
    keras_not_loaded.setenv("KERAS_BACKEND", variable)
    assert choose_backend(flag) == flag
    assert os.environ["KERAS_BACKEND"] == flag


def test_a_backend_that_is_not_supported_is_refused_by_the_name_of_the_variable(
    keras_not_loaded: pytest.MonkeyPatch,
) -> None:
    keras_not_loaded.setenv("KERAS_BACKEND", "torch")
    with pytest.raises(UsageError, match="KERAS_BACKEND=torch: expected one of tensorflow, jax"):
        choose_backend("auto")


@needs_jax
def test_jax_optimises_little_while_weights_are_drawn_and_as_before_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import jax

    def little() -> bool:
        return bool(jax.config.values["jax_disable_most_optimizations"])

    def draw() -> None:
        with quick_compilation():
            seen.append(little())
            raise ValueError

    seen: list[bool] = []
    for loaded in ("jax", "tensorflow"):
        monkeypatch.setattr(backend, "_loaded_backend", lambda loaded=loaded: loaded)
        with pytest.raises(ValueError):
            draw()
        assert not little()
    assert seen == [True, False]


def test_models_are_built_where_jax_optimises_little(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def watched() -> Iterator[None]:
        seen.append("begin")
        yield
        seen.append("end")

    def build(spec: ModelSpec) -> Any:
        seen.append("built")
        return inner(spec)

    inner, seen = registry._build, list[str]()
    monkeypatch.setattr(registry, "quick_compilation", watched)
    monkeypatch.setattr(registry, "_build", build)
    build_model(ModelSpec("unet", "plain", 2, 32, BAND_NAMES), "float32", 0)
    assert seen == ["begin", "built", "end"]


def test_jax_that_is_not_installed_is_an_error_that_says_how_to_get_it(
    keras_not_loaded: pytest.MonkeyPatch,
) -> None:
    keras_not_loaded.setattr(util, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r'--backend=jax: expected JAX.*pip install "\.\[jax\]"'):
        choose_backend("jax")
    assert os.environ["KERAS_BACKEND"] == ""


def test_a_backend_is_not_changed_once_keras_runs_on_another(built_data: Path, tmp_path: Path) -> None:
    assert choose_backend("auto") == choose_backend("tensorflow") == "tensorflow"
    config = TrainConfig(data=str(built_data), run=str(tmp_path / "run"), backend="jax")
    message = "--backend=jax: expected that Keras is not loaded yet, found it running on tensorflow"
    with pytest.raises(UsageError, match=message):
        train(config, "a test")
    assert not (tmp_path / "run").exists()
    with pytest.raises(UsageError, match=message):
        evaluate(EvaluateConfig(run="no/run", split="test", backend="jax"), "a test")


@pytest.mark.parametrize(("backend", "hidden"), [("jax", {"GPU", "TPU"}), ("tensorflow", set())])
def test_under_jax_tensorflow_leaves_accelerators_alone(
    monkeypatch: pytest.MonkeyPatch, backend: str, hidden: set[str]
) -> None:
    seen: dict[str, list[object]] = {}
    monkeypatch.setattr(tf.config, "set_visible_devices", lambda devices, kind: seen.update({kind: devices}))
    monkeypatch.setenv("KERAS_BACKEND", backend)
    load_tensorflow()
    assert seen == {kind: [] for kind in hidden}


def test_jax_is_compiled_on_any_device_unless_that_is_refused() -> None:
    device = Device("CPU", "name", "jax", fast_bfloat16=True)
    assert choose_jit("auto", device)[0]
    assert choose_jit("on", device)[0]
    jit, why = choose_jit("off", device)
    assert not jit
    assert "one operation at a time" in why


def test_bfloat16_is_not_chosen_where_xla_computes_on_a_cpu() -> None:
    device = Device("CPU", "name", "jax", fast_bfloat16=True)
    assert choose_precision("auto", device, jit=True)[0] == "float32"
    assert choose_precision("auto", device, jit=False)[0] == "bfloat16"
    assert choose_precision("auto", Device("TPU", "name", "jax", True), jit=True)[0] == "bfloat16"


@pytest.fixture(scope="module")
def jax_run(built_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run trained by the command under JAX, with what XLA compiled dumped beside it."""
    root = tmp_path_factory.mktemp("jax")
    words = f"--data={built_data} --run={root / 'run'} --filters=3 --epochs=2 --batch=5 --backend=jax".split()
    flags = (
        f"--xla_dump_to={root / 'dump'} --xla_dump_hlo_as_text --xla_dump_hlo_module_re=train_step {QUICK}"
    )
    result = subprocess.run(
        [sys.executable, "-m", "mmls_tf.train", *words],
        env={**os.environ, "KERAS_BACKEND": "tensorflow", "XLA_FLAGS": flags, "CUDA_VISIBLE_DEVICES": "-1"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    (root / "stdout").write_text(result.stdout)
    return root / "run"


@needs_jax
def test_the_train_command_runs_on_jax_and_the_run_says_so(jax_run: Path) -> None:
    _, record = RunFolder.open(jax_run)
    assert (record.backend, record.jit, record.precision) == ("jax", True, "float32")
    assert record.device.endswith("Keras on jax")
    assert {"jax", "jaxlib"} <= set(record.versions)
    stdout = (jax_run.parent / "stdout").read_text()
    assert "Keras on jax" in stdout
    assert "XLA        on (auto: JAX is made for it" in stdout
    assert "--backend=jax" in (jax_run / "flags.txt").read_text()


@needs_jax
def test_curves_and_checkpoints_are_written_under_jax(jax_run: Path) -> None:
    with (jax_run / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2
    (events,) = (jax_run / "tensorboard" / "validation").glob("events.*")
    curve = [
        value.simple_value
        for record in tf.data.TFRecordDataset(str(events)).as_numpy_iterator()
        for value in tf.compat.v1.Event.FromString(record).summary.value
        if value.tag == "epoch_miou"
    ]
    np.testing.assert_allclose(curve, [float(row["val_miou"]) for row in rows], atol=1e-6)
    assert (jax_run / "best.keras").exists()
    assert (jax_run / "last.keras").exists()


@needs_jax
def test_what_jax_trained_was_compiled_by_xla(jax_run: Path) -> None:
    (module,) = (jax_run.parent / "dump").glob("*train_step*after_optimizations.txt")
    text = module.read_text()
    assert text.startswith("HloModule jit_train_step")
    assert " convolution(" in text
    assert " fusion(" in text


@needs_jax
def test_a_run_trained_under_jax_scores_the_same_under_either_backend(
    jax_run: Path, built_data: Path, command: Command
) -> None:
    here = evaluate(EvaluateConfig(run=str(jax_run), data=str(built_data), split="test"), "a test")
    assert here["device"].endswith("Keras on tensorflow")
    words = [f"--run={jax_run}", f"--data={built_data}", "--split=test", "--backend=jax"]
    result = command("mmls_tf.evaluate", *words)
    assert (result.returncode, result.stderr) == (0, "")
    there = json.loads((jax_run / "evaluations" / "test.json").read_text())
    assert there["device"].endswith("Keras on jax")
    for name in ("true_positive", "false_positive", "false_negative", "true_negative"):
        # Logits differ in the sixth digit: a pixel on the edge may fall either way.
        assert abs(here["labelled_pixels"][name] - there["labelled_pixels"][name]) <= 3


@needs_jax
@pytest.mark.slow
def test_weights_trained_under_tensorflow_give_the_same_logits_under_jax(
    trained_unet: Path, built_data: Path, tmp_path: Path
) -> None:
    folder, record = RunFolder.open(trained_unet)
    (batch,) = ScoringInput(open_dataset(built_data), "val", record.normalisation, 3)
    np.save(tmp_path / "images.npy", batch["image"])
    program = (
        "import sys, numpy as np\n"
        "from pathlib import Path\n"
        "from mmls_tf.training.run_folder import RunFolder\n"
        "model = RunFolder(Path(sys.argv[1])).load_model('best')\n"
        "model.compile()\n"
        "np.save('logits.npy', model.predict_on_batch(np.load('images.npy')))\n"
    )
    subprocess.run(
        [sys.executable, "-c", program, str(trained_unet)],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    expected = folder.load_model("best")(batch["image"], training=False)
    np.testing.assert_allclose(np.load(tmp_path / "logits.npy"), expected, rtol=1e-4, atol=1e-4)


@needs_jax
def test_averages_of_weights_and_statistics_follow_the_recurrence_under_jax_too() -> None:
    program = """
import json, keras, numpy as np
from mmls_tf.config import TrainConfig
from mmls_tf.data.augment import Augmentation
from mmls_tf.data.normalise import Normalisation
from mmls_tf.losses import BceDice
from mmls_tf.training.optimizer import compile_model
from mmls_tf.training.step import TrainingStep
image = keras.Input((8, 8, 2))
x = keras.layers.BatchNormalization(momentum=0.5)(keras.layers.Conv2D(3, 3, padding="same")(image))
network = keras.Model(image, keras.layers.Conv2D(1, 1)(x))
step = TrainingStep(network, Augmentation(Normalisation((0, 1), (0.0,) * 2, (1.0,) * 2), 8), BceDice(), ema=0.8)
compile_model(step, TrainConfig(ema=0.8, learning_rate=0.05, epochs=2), steps=4, jit=True)
random = np.random.default_rng(0)
expected = []
for _ in range(6):
    images = random.normal(1.0, 2.0, (4, 8, 8, 2)).astype("float32")
    target = np.stack([random.integers(0, 2, (4, 8, 8)), np.ones((4, 8, 8))], -1).astype("float32")
    step.train_on_batch({"image": images, "target": target})
    raw = [np.array(value) for value in (*network.trainable_variables, *step.statistics)]
    expected = [0.8 * a + 0.2 * w for a, w in zip(expected, raw, strict=True)] if expected else raw
found = [np.array(value) for value in step.average_statistics]
weights = [np.array(value) for value in step.optimizer._model_variables_moving_average]
apart = [float(abs(a - b).max()) for a, b in zip([*weights, *found], expected, strict=True)]
print(json.dumps({"apart": apart, "statistics": len(found), "raw": float(abs(raw[-1] - expected[-1]).max())}))
"""
    result = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    found = json.loads(result.stdout.splitlines()[-1])
    assert found["statistics"] == 2
    assert max(found["apart"]) < 1e-5
    assert found["raw"] > 1e-2, "an average that followed the last step would pass for one otherwise"
