"""JAX: TensorFlow's weights give the same logits, and every training step lowers for devices that are not here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from importlib import util
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from mmls_tf.bands import BAND_NAMES
from mmls_tf.models.registry import DECODERS, build_model
from mmls_tf.models.spec import ModelSpec

if util.find_spec("jax") is None:
    pytest.skip("JAX is not installed", allow_module_level=True)

MODELS = {
    **{name: ModelSpec(name, "plain", 3, 32, BAND_NAMES) for name in DECODERS},
    **{
        f"unet-{fusion}": ModelSpec("unet", "plain", 3, 32, BAND_NAMES, fusion)
        for fusion in ("concat", "gated")
    },
    "unet-gated-derived": ModelSpec(
        *("unet", "plain", 3, 32, BAND_NAMES, "gated"),
        derive="relative_dem+highpass_dem+terrain+robust",
        elevation_m=3000.0,
    ),
}
# Each kind of layer at every run of the tests; the others are left to `make test-all`.
QUICK = {"deeplabv3plus", "segformer", "unet-gated-derived"}
every_model = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in MODELS]
)
JAX = {
    **os.environ,
    "KERAS_BACKEND": "jax",
    "CUDA_VISIBLE_DEVICES": "-1",
}


def used_model(spec: ModelSpec) -> keras.Model:
    """A model whose weights and moving statistics are no longer those of the initialisers."""
    model = build_model(spec, "float32", 0)
    rng = np.random.default_rng(0)
    model.set_weights([w + rng.uniform(0, 0.2, w.shape).astype(w.dtype) for w in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def folder(wanted: set[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models saved by TensorFlow, and what one JAX process wrote beside them: those of the tests that are run."""
    root = tmp_path_factory.mktemp("exchange")
    images = np.random.default_rng(1).normal(size=(2, 32, 32, len(BAND_NAMES))).astype(np.float32)
    np.save(root / "images.npy", images)
    for name, spec in MODELS.items():
        if name not in wanted:
            continue
        model = used_model(spec)
        model.save(root / f"{name}.keras")
        np.save(root / f"{name}-tensorflow.npy", model(images, training=False))
        (root / f"{name}.json").write_text(json.dumps(asdict(spec)))
    script = Path(__file__).with_name("jax_report.py")
    result = subprocess.run(
        [sys.executable, str(script), str(root)], env=JAX, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr[-3000:]
    (root / "report.txt").write_text(result.stdout)
    return root


def lowered(folder: Path, name: str, platform: str) -> dict[str, Any]:
    lines = [json.loads(line) for line in (folder / "report.txt").read_text().splitlines()]
    (found,) = [line for line in lines if (line["name"], line["platform"]) == (name, platform)]
    return found


@every_model
def test_weights_saved_by_tensorflow_give_the_same_logits_under_jax(folder: Path, name: str) -> None:
    expected = np.load(folder / f"{name}-tensorflow.npy")
    assert np.ptp(expected) > 0.1, "logits that do not vary would tell nothing"
    np.testing.assert_allclose(np.load(folder / f"{name}.npy"), expected, rtol=1e-4, atol=1e-4)


@every_model
def test_weights_saved_by_jax_give_the_same_logits_under_tensorflow(folder: Path, name: str) -> None:
    model = keras.saving.load_model(folder / f"{name}-jax.keras", compile=False, safe_mode=True)
    logits = model(np.load(folder / "images.npy"), training=False)
    np.testing.assert_allclose(logits, np.load(folder / f"{name}-jax.npy"), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
@every_model
def test_a_bfloat16_training_step_lowers_with_static_shapes_and_without_the_host(
    folder: Path, name: str, platform: str
) -> None:
    found = lowered(folder, name, platform)
    assert found["obstacles"] == []
    assert found["image"], "the batch has the shape that was asked for"
    # Forward, by weights and, but for the first layer, by features: the head alone is in float32.
    assert found["in_bfloat16"] >= found["convolutions"] - 3 > 20
    # Weights with two moments each, moving statistics, loss and metric come out.
    assert found["outputs"] > 3 * found["weights"]


def test_callbacks_and_dynamic_shapes_are_seen_where_there_are_any() -> None:
    program = (
        "import jax, numpy as np\n"
        "from mmls_tf.training.lowering import obstacles\n"
        "spec = jax.ShapeDtypeStruct((2,), np.float32)\n"
        "on_host = jax.jit(lambda x: jax.pure_callback(np.sin, spec, x))\n"
        "print(obstacles(on_host.lower(spec).as_text()))\n"
        "(size,) = jax.export.symbolic_shape('n')\n"
        "free = jax.ShapeDtypeStruct((size,), np.float32)\n"
        "print(obstacles(jax.export.export(jax.jit(lambda x: x + 1))(free).mlir_module()))\n"
        "print(obstacles(jax.jit(lambda x: x + 1).lower(spec).as_text()))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], env=JAX, capture_output=True, text=True, check=True
    )
    callback, dynamic, clean = result.stdout.splitlines()
    assert "callback" in callback
    assert "tensor<?xf32>" in dynamic
    assert clean == "[]"
