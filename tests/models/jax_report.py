"""Run under KERAS_BACKEND=jax by the tests: what JAX makes of models that TensorFlow saved.

    python jax_report.py FOLDER

For every FOLDER/NAME.json, a model specification with FOLDER/NAME.keras beside it: writes the logits of the model for
FOLDER/images.npy as NAME.npy, saves the model anew with other weights as NAME-jax.keras and their logits as
NAME-jax.npy, and prints what a mixed bfloat16 training step lowers to, one line of JSON a model and platform.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmls_tf.backend import start_backend

start_backend("auto")

import keras  # noqa: E402
import numpy as np  # noqa: E402

from mmls_tf.config import TrainConfig  # noqa: E402
from mmls_tf.models.registry import build_model  # noqa: E402
from mmls_tf.models.spec import ModelSpec  # noqa: E402
from mmls_tf.training.lowering import lowered_train_step, obstacles  # noqa: E402
from mmls_tf.training.optimizer import compile_model  # noqa: E402

BATCH = 2


def exchange_weights(path: Path, images: np.ndarray) -> None:
    model = keras.saving.load_model(path, compile=False, safe_mode=True)
    model.compile()
    np.save(path.with_suffix(".npy"), model.predict_on_batch(images))
    model.set_weights([weights * 1.1 for weights in model.get_weights()])
    np.save(path.with_name(f"{path.stem}-jax.npy"), model.predict_on_batch(images))
    model.save(path.with_name(f"{path.stem}-jax.keras"))


def lower(spec: ModelSpec) -> Iterator[dict[str, Any]]:
    model = build_model(spec, "bfloat16", 0)
    compile_model(model, TrainConfig(), steps=10, jit=True)
    image = f"tensor<{BATCH}x{spec.tile_size}x{spec.tile_size}x{len(spec.bands)}xf32>"
    for platform, text in lowered_train_step(model, BATCH, ("tpu", "cuda")).items():
        convolutions = re.findall(r"stablehlo\.convolution\(.*", text)
        yield {
            "platform": platform,
            "obstacles": obstacles(text),
            "image": image in text,
            "weights": len(model.trainable_variables),
            "convolutions": len(convolutions),
            "in_bfloat16": sum("bf16" in line for line in convolutions),
            "outputs": len(re.findall(r"jax\.result_info", text)),
        }


def main() -> None:
    folder = Path(sys.argv[1])
    images = np.load(folder / "images.npy")
    for path in sorted(folder.glob("*.json")):
        fields = json.loads(path.read_text())
        spec = ModelSpec(**{**fields, "bands": tuple(fields["bands"])})
        exchange_weights(path.with_suffix(".keras"), images)
        for report in lower(spec):
            print(json.dumps({"name": path.stem, **report}), flush=True)


if __name__ == "__main__":
    main()
