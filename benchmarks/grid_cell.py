"""One process of the model grid: a training step and a prediction of each model, with XLA and without, compared.

    KERAS_BACKEND=tensorflow python -m benchmarks.grid_cell '{"decoder": "unet", "precision": "bfloat16"}' ...

Prints one JSON object a model, on a line of its own. What XLA made is read from the dump that it writes of
everything it compiles (`--xla_dump_to`): a module that is not there was not compiled. Under JAX, the step without XLA
is TensorFlow's from the same weights, which a process of TensorFlow has left in the folder that the cell names.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.grid_step import (
    STEPS,
    Array,
    Cell,
    Step,
    load_reference,
    new_model,
    one_step,
    save_reference,
    seeded_batch,
    settle,
)
from mmls_tf.backend import start_backend

_ACCELERATORS = ("tpu", "cuda")
# Logits are of the size of 1; TensorFlow's own graph of U-Net on EfficientNetV2-S is 1.6e-5 from what it computes
# operation by operation. Fifty layers of batch normalisation magnify the rounding of the first a thousandfold, and
# under some decoders more: logits of SegFormer and DeepLabv3+ on that encoder change by 2.5e-4 to 4.2e-4 if half of
# the weights move to the next number of float32, and TensorFlow's graph is 6e-5 and 1.4e-4 from its operations. No
# program can be nearer than its inputs are known, so that change is allowed too. In bfloat16 the gradient of a fresh
# network is mostly rounding: XLA's is asked to be about as near to that of float32 as the uncompiled one is, and so
# are its logits.
_TOLERANCES = {
    "float32": {
        "logit_error": 5e-5,
        "loss_difference": 1e-4,
        "statistics_error": 1e-3,
        "gradient_error": 5e-2,
    },
    "bfloat16": {"loss_difference": 5e-2, "statistics_error": 3e-1},
}
_MOST = 1e-3  # of the logits' size, whatever rounding does
_RATIO, _SLACK = 1.3, 0.02
# Beyond this share of the logits' size, bfloat16 loses those of a fresh deep network whoever computes: after forty
# blocks, EfficientNetV2-S is .35 from float32 in TensorFlow, operation by operation, and draws of that noise differ
# by a factor of two. They are said to be noise then, and neither they nor the loss that is made of them are judged.
_NOISE = 0.25


@lru_cache(maxsize=2)
def reference(cell: Cell) -> tuple[Any, list[Array], Step]:
    """Returns a model of TensorFlow, the weights that it started with, and its step, compiled by nothing.

    In bfloat16 it starts with the statistics of float32. Those of its own activations would make up for its own
    rounding, and for no other: EfficientNetV2-S came to .03 from float32, and XLA, which rounds elsewhere, to .55.
    """
    model = new_model(cell)
    if cell.precision == "float32":
        settle(model, cell)
    else:
        model.set_weights(reference(dataclasses.replace(cell, precision="float32"))[1])
    weights = model.get_weights()
    step = one_step(model, cell)
    if cell.reference:
        save_reference(cell.file, weights, step)
    return model, weights, step


def measure(cell: Cell, dump: Path) -> dict[str, Any]:
    """Compares a step with XLA to TensorFlow's without, from the same weights, and reads what XLA compiled.

    Errors are differences to the uncompiled step in the L2 norm: of all logits (as a root mean square, over all
    draws of the images), of the whole gradient (relative), of the variable where its gradient or its moving statistic
    is worst (relative). In bfloat16, whose rounding differs wherever operations are fused, logits and gradients of
    both are compared with float32's.
    """
    import keras

    exact_cell = dataclasses.replace(cell, precision="float32")
    started = time.process_time()
    if keras.backend.backend() == "jax":
        model = new_model(cell, drawn=False)
        exact = load_reference(exact_cell.file)[1]
        weights, plain = load_reference(cell.file)
    else:
        exact = reference(exact_cell)[2]
        model, weights, plain = reference(cell)
    if not cell.compiled:
        return {}
    seconds = {"uncompiled": round(time.process_time() - started, 1)}
    started = time.process_time()
    model.set_weights(weights)
    compiled = one_step(model, cell, dump)
    seconds["xla"] = round(time.process_time() - started, 1)
    result: dict[str, Any] = {
        "backend": keras.backend.backend(),
        "parameters": model.count_params(),
        "loss": round(plain.loss, 6),
        "loss_difference": abs(plain.loss - compiled.loss),
        "draws": len(plain.logits),
        "logit_size": root_mean_square(plain.logits),
        "logit_error": root_mean_square(compiled.logits - plain.logits),
        "statistics_error": worst_distance(compiled.statistics, plain.statistics),
        "gradient_error": distance(_flat(compiled.gradients), _flat(plain.gradients)),
        "worst_gradient_error": worst_distance(compiled.gradients, plain.gradients),
        "finite": bool(np.isfinite(_flat(compiled.gradients)).all() and np.isfinite(compiled.logits).all()),
        "cpu_seconds": seconds,
        "hlo": compiled.hlo,
    }
    if cell.precision == "float32":
        result["logit_sensitivity"] = change_by_rounding(model, cell, weights)
    else:
        result["logit_error_to_float32"] = {
            "uncompiled": root_mean_square(plain.logits - exact.logits),
            "xla": root_mean_square(compiled.logits - exact.logits),
        }
        result["gradient_error_to_float32"] = {
            "uncompiled": distance(_flat(plain.gradients), _flat(exact.gradients)),
            "xla": distance(_flat(compiled.gradients), _flat(exact.gradients)),
        }
        if keras.backend.backend() == "jax":
            result["lowered"] = lower(model, cell.batch)
    return result


def change_by_rounding(model: Any, cell: Cell, weights: list[Array]) -> float:
    """Returns by how much logits change, as a root mean square, if half of the weights move to the next float32."""
    images, rng = seeded_batch(cell)[0], np.random.default_rng(0)
    logits = []
    for share in (0.0, 0.5):
        exact = [np.asarray(value, np.float32) for value in weights]
        model.set_weights(
            [np.where(rng.random(w.shape) < share, np.nextafter(w, np.float32(np.inf)), w) for w in exact]
        )
        logits.append(np.asarray(model.predict_on_batch(images), np.float32))
    return root_mean_square(logits[1] - logits[0])


def problems(result: dict[str, Any]) -> list[str]:
    """Returns what is wrong with a measured cell: beyond the tolerances, not finite, not lowered."""
    tolerances = dict(_TOLERANCES[result["precision"]])
    if noisy(result):
        del tolerances["loss_difference"]
    if "logit_sensitivity" in result:
        rounding = min(result["logit_sensitivity"], _MOST * result["logit_size"])
        tolerances["logit_error"] = max(tolerances["logit_error"], rounding)
    found = [f"{name} {result[name]:.1e}" for name, most in tolerances.items() if not result[name] <= most]
    if not result["finite"]:
        found.append("logits or gradients that are not finite")
    for name in ("gradient",) if noisy(result) else ("gradient", "logits"):
        if to_float32 := result.get(f"{name.removesuffix('s')}_error_to_float32"):
            most = _RATIO * to_float32["uncompiled"] + _SLACK
            if not to_float32["xla"] <= most:
                found.append(
                    f"{name} {to_float32['xla']:.2f} from float32, uncompiled {to_float32['uncompiled']:.2f}"
                )
    for platform, module in result.get("lowered", {}).items():
        found += [f"{platform}: {obstacle}" for obstacle in module["obstacles"]]
    return found


def noisy(result: dict[str, Any]) -> bool:
    """Whether bfloat16 without XLA is already so far from float32 that logits cannot be compared."""
    if "logit_error_to_float32" not in result:
        return False
    return bool(result["logit_error_to_float32"]["uncompiled"] > _NOISE * result["logit_size"])


def lower(model: Any, batch: int) -> dict[str, Any]:
    """Lowers the training step, with the optimiser of training, for accelerators that need not be here."""
    from mmls_tf.config import TrainConfig
    from mmls_tf.training.lowering import lowered_train_step, obstacles
    from mmls_tf.training.optimizer import compile_model

    compile_model(model, TrainConfig(), steps=10, jit=True)
    modules = lowered_train_step(model, batch, _ACCELERATORS)
    return {
        platform: {"bytes": len(text), "obstacles": obstacles(text)} for platform, text in modules.items()
    }


def root_mean_square(values: Array) -> float:
    """Returns the root of the mean of the squares."""
    return float(np.sqrt(np.mean(np.square(values))))


def distance(value: Array, reference: Array) -> float:
    """Returns |value - reference| / |reference| in the L2 norm."""
    return float(np.linalg.norm(value - reference) / max(np.linalg.norm(reference), 1e-12))


def worst_distance(values: list[Array], references: list[Array]) -> float:
    """Returns the greatest distance of a variable; norms under a thousandth of the largest count as that."""
    floor = 1e-3 * max((float(np.linalg.norm(value)) for value in references), default=0.0)
    return max(
        (
            float(np.linalg.norm(value - reference)) / max(float(np.linalg.norm(reference)), floor, 1e-12)
            for value, reference in zip(values, references, strict=True)
        ),
        default=0.0,
    )


def _flat(values: list[Array]) -> Array:
    return np.concatenate([value.ravel() for value in values])


def main() -> None:
    """Measures every cell given on the command line; one that fails is a line with the error."""
    with tempfile.TemporaryDirectory() as dump:
        # Read when XLA is first used, so before the backend starts.
        flags = f"--xla_dump_to={dump} --xla_dump_hlo_as_text --xla_dump_hlo_module_re={'|'.join(STEPS)}"
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flags}"
        start_backend("auto")
        for text in sys.argv[1:]:
            cell = Cell(**json.loads(text))
            signal.setitimer(signal.ITIMER_PROF, cell.limit)  # of the process, not of a busy machine
            try:
                result = measure(cell, Path(dump))
            except Exception as error:  # whatever it is, the other cells are measured
                traceback.print_exc()
                result = {"error": f"{type(error).__name__}: {error}"[:300]}
            print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
