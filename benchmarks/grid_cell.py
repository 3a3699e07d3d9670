"""One process of the model grid: a training step and a prediction of each model, with XLA and without, compared.

    KERAS_BACKEND=tensorflow python -m benchmarks.grid_cell '{"decoder": "unet", "precision": "bfloat16"}' ...

Prints one JSON object a model, on a line of its own. What XLA made is read from the dump that it writes of
everything it compiles (`--xla_dump_to`): a module that is not there was not compiled.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mmls_tf.backend import start_backend
from mmls_tf.bands import BAND_NAMES

Array = npt.NDArray[np.floating]
# What Keras's trainers call the functions that they compile.
_STEPS = ("one_step_on_data", "train_step", "predict_step")
_ACCELERATORS = ("tpu", "cuda")
# Fifty layers of batch normalisation magnify the rounding of the first a thousandfold. In bfloat16 the gradient of a
# fresh network is mostly rounding: XLA's is asked to be about as near to that of float32 as the uncompiled one is.
_TOLERANCES = {
    "float32": {
        "logit_error": 1e-5,
        "loss_difference": 1e-4,
        "statistics_error": 1e-3,
        "gradient_error": 5e-2,
    },
    "bfloat16": {"logit_error": 1e-1, "loss_difference": 5e-2, "statistics_error": 3e-1},
}
_GRADIENT_RATIO, _GRADIENT_SLACK = 1.3, 0.02


@dataclass(frozen=True)
class Cell:
    """One model of the grid, with the batch it is fed."""

    decoder: str = "unet"
    encoder: str = "plain"
    fusion: str = "none"
    full_skip: bool = False
    precision: str = "float32"
    filters: int = 4
    tile_size: int = 32
    batch: int = 4


@dataclass(frozen=True)
class Step:
    """What a prediction and one step of gradient descent with rate 1 gave; `gradients` are what it took away."""

    logits: Array
    loss: float
    gradients: list[Array]
    statistics: list[Array]
    hlo: dict[str, dict[str, int]]
    seconds: float
    parameters: int


def seeded_batch(cell: Cell) -> tuple[Array, Array]:
    """Returns images and a target that has to do with them, some labels unknown and some pixels invalid.

    Smooth images and a learnable target: the gradient of noise is mostly cancellation, which bfloat16 cannot hold.
    """
    size, rng = cell.tile_size, np.random.default_rng(0)
    y, x = np.mgrid[:size, :size] / size
    waves = rng.uniform(-2, 2, (4, cell.batch, 1, 1, len(BAND_NAMES), 3)) * np.pi
    images = sum(
        np.sin(wave[..., 0] + wave[..., 1] * x[..., None] + wave[..., 2] * y[..., None]) for wave in waves
    )
    images = (images / 2 + rng.normal(0, 0.1, images.shape)).astype(np.float32)
    mask = (images[..., :1] > 0).astype(np.float32)
    mask[:, : size // 8] = 255
    valid = np.ones_like(mask)
    valid[:, :, : size // 8] = 0
    return images, np.concatenate([mask, valid], axis=-1)


def new_model(cell: Cell) -> Any:
    """Returns the model of a cell, always with the same weights."""
    from mmls_tf.models.registry import build_model
    from mmls_tf.models.spec import ModelSpec

    spec = ModelSpec(
        cell.decoder, cell.encoder, cell.filters, cell.tile_size, BAND_NAMES, cell.fusion, cell.full_skip
    )
    return build_model(spec, cell.precision, 0)


@lru_cache(maxsize=4)
def one_step(cell: Cell, jit: bool, dump: Path) -> Step:
    """Builds the model anew, predicts, and trains one step. Plain descent: AdamW would divide noise by itself."""
    import keras

    from mmls_tf.losses import BceDice
    from mmls_tf.training.device import require_compiled

    images, target = seeded_batch(cell)
    model = new_model(cell)
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0  # TensorFlow draws other numbers with XLA than without
    model.compile(optimizer=keras.optimizers.SGD(1.0), loss=BceDice(), jit_compile=jit)
    if jit:
        require_compiled(model)
    started = time.perf_counter()
    seen = [set(dump.iterdir())]
    logits = np.asarray(model.predict_on_batch(images), np.float32)
    seen.append(set(dump.iterdir()))
    before = _values(model.trainable_variables)
    loss = float(np.asarray(model.train_on_batch(images, target)).ravel()[0])
    after = _values(model.trainable_variables)
    return Step(
        logits,
        loss,
        [old - new for old, new in zip(before, after, strict=True)],
        _values(model.non_trainable_variables),
        {
            "predict": count_hlo(seen[1] - seen[0]),
            "train": count_hlo(set(dump.iterdir()) - seen[1]),
        }
        if jit
        else {},
        time.perf_counter() - started,
        model.count_params(),
    )


def measure(cell: Cell, dump: Path) -> dict[str, Any]:
    """Compares a step with XLA to one without, and reads what XLA compiled.

    Errors are differences to the uncompiled step in the L2 norm: of all logits (as a root mean square), of the whole
    gradient (relative), of the variable where its gradient or its moving statistic is worst (relative). In bfloat16,
    whose rounding differs wherever operations are fused, both gradients are compared with that of float32 besides.
    """
    import keras

    plain, compiled = one_step(cell, False, dump), one_step(cell, True, dump)
    result: dict[str, Any] = {
        **dataclasses.asdict(cell),
        "backend": keras.backend.backend(),
        "parameters": plain.parameters,
        "loss": round(plain.loss, 6),
        "loss_difference": abs(plain.loss - compiled.loss),
        "logit_error": float(np.sqrt(np.mean((compiled.logits - plain.logits) ** 2))),
        "statistics_error": worst_distance(compiled.statistics, plain.statistics),
        "gradient_error": distance(_flat(compiled.gradients), _flat(plain.gradients)),
        "worst_gradient_error": worst_distance(compiled.gradients, plain.gradients),
        "finite": bool(np.isfinite(_flat(compiled.gradients)).all() and np.isfinite(compiled.logits).all()),
        "seconds": {"uncompiled": round(plain.seconds, 1), "xla": round(compiled.seconds, 1)},
        "hlo": compiled.hlo,
    }
    if cell.precision != "float32":
        exact = _flat(one_step(dataclasses.replace(cell, precision="float32"), False, dump).gradients)
        result["gradient_error_to_float32"] = {
            "uncompiled": distance(_flat(plain.gradients), exact),
            "xla": distance(_flat(compiled.gradients), exact),
        }
    if keras.backend.backend() == "jax":
        result["lowered"] = lower(cell)
    return result


def problems(result: dict[str, Any]) -> list[str]:
    """Returns what is wrong with a measured cell: beyond the tolerances, not finite, not lowered."""
    tolerances = _TOLERANCES[result["precision"]]
    found = [f"{name} {result[name]:.1e}" for name, most in tolerances.items() if not result[name] <= most]
    if not result["finite"]:
        found.append("logits or gradients that are not finite")
    if to_float32 := result.get("gradient_error_to_float32"):
        most = _GRADIENT_RATIO * to_float32["uncompiled"] + _GRADIENT_SLACK
        if not to_float32["xla"] <= most:
            found.append(
                f"gradient {to_float32['xla']:.2f} from that of float32, uncompiled {to_float32['uncompiled']:.2f}"
            )
    for platform, module in result.get("lowered", {}).items():
        found += [f"{platform}: {obstacle}" for obstacle in module["obstacles"]]
    return found


def lower(cell: Cell) -> dict[str, Any]:
    """Lowers the training step, with the optimiser of training, for accelerators that need not be here."""
    from mmls_tf.config import TrainConfig
    from mmls_tf.training.lowering import lowered_train_step, obstacles
    from mmls_tf.training.optimizer import compile_model

    model = new_model(cell)
    compile_model(model, TrainConfig(), steps=10, jit=True)
    modules = lowered_train_step(model, cell.batch, _ACCELERATORS)
    return {
        platform: {"bytes": len(text), "obstacles": obstacles(text)} for platform, text in modules.items()
    }


def count_hlo(dumped: Iterable[Path]) -> dict[str, int]:
    """Counts what the optimised HLO of a step holds; `dumped` are all files that XLA wrote meanwhile.

    Raises:
      RuntimeError: XLA did not compile exactly one step.
    """
    texts = [path.read_text() for path in dumped if path.name.endswith("after_optimizations.txt")]
    steps = [text for text in texts if any(name in text.partition("\n")[0] for name in _STEPS)]
    if len(steps) != 1:
        raise RuntimeError(f"expected the HLO of one step, found {len(steps)} among {len(texts)} modules")
    instructions = re.findall(r"^\s+(?:ROOT )?%?[\w.-]+ = .*?([a-z][\w-]*)\(", steps[0], re.MULTILINE)
    library_convolutions = len(re.findall(r'custom_call_target="[^"]*\$conv', steps[0]))
    return {
        "bytes": len(steps[0]),
        "instructions": len(instructions),
        "convolutions": instructions.count("convolution") + library_convolutions,
        "fusions": instructions.count("fusion"),
    }


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


def _values(variables: Any) -> list[Array]:
    from keras import ops

    return [np.asarray(ops.convert_to_numpy(variable), np.float64) for variable in variables]


def _flat(values: list[Array]) -> Array:
    return np.concatenate([value.ravel() for value in values])


def main() -> None:
    """Measures every cell given on the command line."""
    with tempfile.TemporaryDirectory() as dump:
        # Read when XLA is first used, so before the backend starts.
        flags = f"--xla_dump_to={dump} --xla_dump_hlo_as_text --xla_dump_hlo_module_re={'|'.join(_STEPS)}"
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flags}"
        start_backend("auto")
        for text in sys.argv[1:]:
            print(json.dumps(measure(Cell(**json.loads(text)), Path(dump))), flush=True)


if __name__ == "__main__":
    main()
