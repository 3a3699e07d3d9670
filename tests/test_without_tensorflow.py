"""Where TensorFlow is not installed, models, losses and metrics work under JAX."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import util
from pathlib import Path
from typing import Any

import pytest

if util.find_spec("jax") is None:
    pytest.skip("JAX is not installed", allow_module_level=True)

BLOCK = """
import sys

class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("tensorflow", "keras_cv"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NotInstalled())
"""
_PROGRAM = """
import json
import keras, numpy as np
from mmls_tf import losses, metrics
from mmls_tf.bands import BAND_NAMES
from mmls_tf.errors import UsageError
from mmls_tf.models.encoders.table import ENCODERS
from mmls_tf.models.registry import DECODERS, build_model
from mmls_tf.models.spec import ModelSpec

def spec(decoder, encoder="plain", **rest):
    return ModelSpec(decoder, encoder, 2, 32, BAND_NAMES, **rest)

model = build_model(spec("segformer"), "bfloat16", 0)
model.compile(
    optimizer=keras.optimizers.AdamW(0.01), loss=losses.BceDice(), metrics=[metrics.WatchedMiou()], jit_compile=True
)
rng = np.random.default_rng(0)
images = rng.normal(size=(2, 32, 32, len(BAND_NAMES))).astype("float32")
target = np.stack([images[..., 0] > 0, np.ones((2, 32, 32))], -1).astype("float32")
history = [[float(value) for value in model.train_on_batch(images, target)] for _ in range(5)]
decoders = {name: build_model(spec(name), "float32", 0).output_shape for name in DECODERS}
encoders = {}
for name in ("plain", "resnet50v2", "resnet18"):
    try:
        encoders[name] = build_model(spec("unet", name), "float32", 0).output_shape
    except UsageError as error:
        encoders[name] = str(error)
loaded = sorted({"tensorflow", "keras_cv"} & set(sys.modules))
sources = {name: ENCODERS[name].source for name in encoders}
from pathlib import Path
from mmls_tf.backend import start_backend
from mmls_tf.config import TrainConfig
from mmls_tf.evaluation.config import EvaluateConfig
from mmls_tf.evaluation.job import evaluate
from mmls_tf.training.trainer import train
start_backend("auto")
run = sys.argv[2]
config = TrainConfig(
    data=sys.argv[1], run=run, filters=2, epochs=2, batch=5, input="device", precision="float32", ema=0.5,
    augment="d4+optics+elevation+noise+crop+mosaic", model="segformer",
)
train(config, "a test")
score = evaluate(EvaluateConfig(run=run, split="test"), "a test")["labelled_pixels"]["miou"]
files = sorted(path.name for path in Path(run).iterdir())
loaded = sorted({"tensorflow", "keras_cv"} & set(sys.modules))
print(json.dumps({
    "score": score, "files": files, "history": history, "decoders": decoders, "encoders": encoders,
    "sources": sources, "loaded": loaded,
}))
"""


@pytest.fixture(scope="module")
def report(built_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a process without TensorFlow reports on itself."""
    run = tmp_path_factory.mktemp("alone") / "run"
    result = subprocess.run(
        [sys.executable, "-c", BLOCK + _PROGRAM, str(built_data), str(run)],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return dict(json.loads(result.stdout.splitlines()[-1]))


def test_the_block_holds() -> None:
    result = subprocess.run(
        [sys.executable, "-c", f"{BLOCK}\nimport tensorflow"], capture_output=True, text=True, check=False
    )
    assert "ModuleNotFoundError: No module named 'tensorflow'" in result.stderr


def test_training_steps_run_and_the_loss_falls(report: dict[str, Any]) -> None:
    losses = [loss for loss, _ in report["history"]]
    assert losses[-1] < losses[0]
    assert all(0 <= miou <= 1 for _, miou in report["history"])
    assert report["loaded"] == []


def test_a_whole_run_is_trained_from_the_devices_memory_and_scored(report: dict[str, Any]) -> None:
    assert 0 < report["score"] < 1
    assert {"best.keras", "ema.keras", "history.csv", "summary.json", "tensorboard"} <= set(report["files"])


def test_every_decoder_is_built(report: dict[str, Any]) -> None:
    from mmls_tf.models.registry import DECODERS

    assert report["decoders"] == {name: [None, 32, 32, 1] for name in DECODERS}


def test_encoders_are_built_and_one_of_kerascv_says_what_it_needs(report: dict[str, Any]) -> None:
    assert sorted(report["sources"].values()) == ["keras-cv", "keras.applications", "ours"]
    for name, source in report["sources"].items():
        if source == "keras-cv":
            assert "expected keras-cv and TensorFlow" in report["encoders"][name]
        else:
            assert report["encoders"][name] == [None, 32, 32, 1]
