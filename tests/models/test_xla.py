"""XLA compiles every model, and what it makes computes the same; `benchmarks/grid_cell.py` says what is compared.

Tolerances are relative, in the L2 norm. float32: 1e-5 for logits, 1e-3 for gradients and moving statistics (measured:
1e-6 and 1e-4; batch normalisation of few values magnifies rounding). bfloat16: the gradient of a fresh network is
mostly rounding, so XLA's is asked to be about as near to that of float32 as the uncompiled one is, and so are its
logits.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmls_tf.bands import BAND_NAMES
from mmls_tf.config import TrainConfig
from mmls_tf.errors import CompilationError
from mmls_tf.models.registry import DECODERS, build_model
from mmls_tf.models.spec import ModelSpec
from mmls_tf.training import trainer
from mmls_tf.training.compilation import compiled_hlo, require_lowering, tile_batch
from mmls_tf.training.optimizer import compile_model

ROOT = Path(__file__).parents[2]
Result = dict[str, Any]
MODELS = {
    **{name: {"decoder": name} for name in DECODERS},
    **{f"unet-{fusion}": {"decoder": "unet", "fusion": fusion} for fusion in ("concat", "gated")},
}
CELLS = {
    f"{name}-{precision}": {**model, "precision": precision, "filters": 3}
    for name, model in MODELS.items()
    for precision in ("float32", "bfloat16")
}
# A quarter of a minute each. That training steps lower is tested by `test_lowering.py`, much sooner.
QUICK = {"unet-gated-float32"}
every_cell = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in CELLS]
)


def measure(cells: list[dict[str, Any]]) -> list[Result]:
    """Compares all cells in one process."""
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks.grid_cell", *map(json.dumps, cells)],
        cwd=ROOT,
        env={
            **os.environ,
            "KERAS_BACKEND": "tensorflow",
            "CUDA_VISIBLE_DEVICES": "-1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture(scope="module")
def results(wanted: set[str]) -> dict[str, Result]:
    """The cells of the tests that are about to run, measured by two processes."""
    names = [name for name in CELLS if name in wanted]
    halves = [names[::2], names[1::2]]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(measure, [[CELLS[name] for name in half] for half in halves if half]))
    return {
        name: result
        for half, rows in zip(halves, found, strict=False)
        for name, result in zip(half, rows, strict=True)
    }


@every_cell
def test_the_compiled_hlo_of_forward_pass_and_training_step_holds_the_network(
    results: dict[str, Result], name: str
) -> None:
    hlo = results[name]["hlo"]
    assert hlo["predict"]["convolutions"] > 5, "those of 1 x 1 may have become products of matrices"
    # By features and by weights, but for the first layer.
    assert hlo["train"]["convolutions"] > 2.5 * hlo["predict"]["convolutions"]
    assert hlo["train"]["fusions"] > hlo["predict"]["fusions"] > 10


@every_cell
def test_logits_and_loss_are_those_of_the_uncompiled_model(results: dict[str, Result], name: str) -> None:
    result, exact = results[name], name.endswith("float32")
    assert result["finite"]
    if exact:
        assert result["logit_error"] < 1e-5
    else:
        error = result["logit_error_to_float32"]
        assert error["xla"] < 1.3 * error["uncompiled"] + 0.02
    assert result["loss_difference"] < (1e-5 if exact else 2e-2)
    assert result["statistics_error"] < (1e-3 if exact else 5e-2)


@every_cell
def test_gradients_are_those_of_the_uncompiled_model(results: dict[str, Result], name: str) -> None:
    result = results[name]
    if name.endswith("float32"):
        assert result["worst_gradient_error"] < 1e-3
    else:
        error = result["gradient_error_to_float32"]
        assert error["xla"] < 1.3 * error["uncompiled"] + 0.02


def tiny_unet() -> keras.Model:
    model = build_model(ModelSpec("unet", "plain", 2, 16, BAND_NAMES), "float32", 0)
    compile_model(model, TrainConfig(), steps=10, jit=True)
    return model


def test_the_hlo_of_a_model_can_be_had_without_running_it() -> None:
    model = tiny_unet()
    before = model.get_weights()
    hlo = compiled_hlo(model, tile_batch(model, 2), step="predict")
    assert hlo.startswith("HloModule")
    assert "f32[2,16,16,7]" in hlo.partition("\n")[0], "the shapes are those of the batch"
    assert hlo.count(" convolution(") >= 18, "two a block, five blocks down, four up"
    assert " fusion(" in hlo
    require_lowering(model, tile_batch(model, 2))
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


class Bicubic(keras.layers.Layer):
    """TensorFlow has this resize for CPU and GPU, and XLA does not have it."""

    def call(self, x: Any) -> Any:
        return keras.ops.image.resize(x, x.shape[1:3], interpolation="bicubic")


class OnHost(keras.layers.Layer):
    """Python that runs in the middle of a step."""

    def call(self, x: Any) -> Any:
        return tf.ensure_shape(tf.numpy_function(lambda value: value, [x], x.dtype), x.shape)


def stubborn_model(layer: keras.layers.Layer, size: int = 16) -> keras.Model:
    inside = keras.Input((size, size, 1))
    encoder = keras.Model(inside, layer(keras.layers.Conv2D(1, 1)(inside)), name="encoder")
    image = keras.Input((size, size, 7))
    return keras.Model(image, keras.layers.Conv2D(1, 1)(encoder(keras.layers.Conv2D(1, 1)(image))))


@pytest.mark.parametrize(
    ("layer", "operation"), [(Bicubic(name="sharpen_3"), "ResizeBicubic"), (OnHost(name="ask"), "PyFunc")]
)
@pytest.mark.parametrize("step", ["train", "predict"])
def test_an_operation_that_xla_does_not_know_is_an_error_that_names_its_layer(
    layer: keras.layers.Layer, operation: str, step: str
) -> None:
    model = stubborn_model(layer)
    compile_model(model, TrainConfig(), steps=10, jit=True)
    message = rf"layer {layer.name} \({type(layer).__name__}\) does not: operation {operation}; use --jit=off"
    with pytest.raises(CompilationError, match=message):
        compiled_hlo(model, tile_batch(model, 2), step=step)


def test_training_with_xla_finds_such_a_layer_before_it_makes_a_run_folder(
    built_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = stubborn_model(Bicubic(name="sharpen"), size=32)
    monkeypatch.setattr(trainer, "build_with_auxiliary", lambda *_: (model, model))
    config = TrainConfig(data=str(built_data), run=str(tmp_path / "run"), batch=2, jit="on")
    with pytest.raises(CompilationError, match="layer sharpen"):
        trainer.train(config, "a test")
    assert not (tmp_path / "run").exists()


def dumped_steps(dump: Path, *words: str) -> list[str]:
    """Runs a command, and returns the HLO of all steps that XLA compiled meanwhile."""
    flags = f"{os.environ['XLA_FLAGS']} --xla_dump_to={dump} --xla_dump_hlo_as_text"
    subprocess.run(
        [sys.executable, "-m", *words],
        env={**os.environ, "XLA_FLAGS": flags, "KERAS_BACKEND": "", "CUDA_VISIBLE_DEVICES": "-1"},
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return [path.read_text() for path in dump.glob("*one_step_on_data*after_optimizations.txt")]


def trained_steps(data: Path, folder: Path, jit: str) -> list[str]:
    words = f"--data={data} --run={folder / 'run'} --filters=2 --epochs=1 --batch=5 --jit={jit}".split()
    return dumped_steps(folder / "training", "mmls_tf.train", *words)


def test_a_run_with_jit_on_is_compiled_by_xla(built_data: Path, tmp_path: Path) -> None:
    modules = trained_steps(built_data, tmp_path, "on")
    training = max(modules, key=len)
    assert "f32[5,32,32,7]" in training.partition("\n")[0]
    assert training.count(" convolution(") >= 2.5 * 18
    assert " fusion(" in training


@pytest.mark.slow
def test_a_run_with_jit_off_is_not(built_data: Path, tmp_path: Path) -> None:
    assert trained_steps(built_data, tmp_path, "off") == []


@pytest.mark.slow
def test_a_run_with_jit_on_predicts_by_what_xla_compiled_too(built_data: Path, tmp_path: Path) -> None:
    trained_steps(built_data, tmp_path, "on")
    modules = dumped_steps(
        tmp_path / "scoring", "mmls_tf.evaluate", f"--run={tmp_path / 'run'}", "--split=test"
    )
    assert modules
    assert all(module.count(" convolution(") >= 18 for module in modules)
