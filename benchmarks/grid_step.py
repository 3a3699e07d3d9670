"""One step of one model for the grid: a seeded batch, a prediction, a step of training, and what XLA made of them.

A reference is what a model gives where nothing is compiled: TensorFlow, operation by operation. It travels as a file
of arrays, so that models under JAX are held against the same weights and results.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mmls_tf.bands import BAND_NAMES

Array = npt.NDArray[np.floating]
# What Keras's trainers call the functions that they compile.
STEPS = ("one_step_on_data", "train_step", "predict_step")


@dataclass(frozen=True)
class Cell:
    """One model of the grid, with the batch it is fed.

    Attributes:
      reference: under TensorFlow, a folder where references are left (empty: nowhere); under JAX, the one they are in.
      compiled: whether XLA's step is measured; otherwise the reference alone is made.
      limit: seconds of CPU time after which the process ends itself by SIGPROF; 0: never.
    """

    decoder: str = "unet"
    encoder: str = "plain"
    fusion: str = "none"
    full_skip: bool = False
    precision: str = "float32"
    filters: int = 4
    tile_size: int = 32
    batch: int = 4
    reference: str = ""
    compiled: bool = True
    limit: float = 0.0

    @property
    def file(self) -> Path:
        """Where the reference of this cell is."""
        return Path(self.reference, f"{self.decoder}-{self.fusion}-{self.encoder}-{self.precision}.npz")


@dataclass(frozen=True)
class Step:
    """What predictions and one step of gradient descent with rate 1 gave.

    Attributes:
      logits: [draw, batch, height, width, 1], of the seeded batch and of draws of it (`nearly_alike`).
      gradients: what the step took away from every variable.
    """

    logits: Array
    loss: float
    gradients: list[Array]
    statistics: list[Array]
    hlo: dict[str, dict[str, int]] = field(default_factory=dict)


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


def nearly_alike(images: Array) -> list[Array]:
    """Returns the images, and seven draws of them, changed by noise of 0.003.

    Of the rounding of bfloat16 one batch shows one draw: that of EfficientNetV2-B1's logits was .24 from float32 under
    JAX where TensorFlow's was .13, and on three other draws .11 to .16 where TensorFlow's was .11.
    """
    rng = np.random.default_rng(1)
    return [images, *(images + rng.normal(0, 0.003, images.shape).astype(np.float32) for _ in range(7))]


def new_model(cell: Cell, drawn: bool = True) -> Any:
    """Returns the model of a cell.

    Args:
      drawn: whether weights are drawn, always the same; otherwise they are zeros to be replaced. JAX compiles a
        program for every shape that it draws, which takes longer than all the rest.
    """
    import keras

    from mmls_tf.models.registry import build_model
    from mmls_tf.models.spec import ModelSpec

    spec = ModelSpec(
        cell.decoder, cell.encoder, cell.filters, cell.tile_size, BAND_NAMES, cell.fusion, cell.full_skip
    )
    with nullcontext() if drawn else keras.StatelessScope():  # variables wait for the end of such a scope
        model = build_model(spec, cell.precision, 0)
        for variable in [] if drawn else model.weights:
            variable._initializer = np.zeros
    return model


def settle(model: Any, cell: Cell) -> None:
    """Gives batch normalisation the statistics of the seeded batch, as training does in time.

    With means of 0 and variances of 1, what flows through a fresh network grows from layer to layer, and rounding with
    it: logits of an EfficientNetV2-S in float32, computed by TensorFlow operation by operation and by its own graph,
    differed by a quarter of their size.
    """
    norms = [layer for layer in model._flatten_layers() if hasattr(layer, "moving_variance")]
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0
    with _without_dropout(model):
        model(seeded_batch(cell)[0], training=True)
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum


def one_step(model: Any, cell: Cell, dump: Path | None = None) -> Step:
    """Predicts, and trains one step. Plain descent: AdamW would divide noise by itself. Weights are changed.

    Args:
      dump: where XLA writes what it compiles (`--xla_dump_to`). None: TensorFlow computes operation by operation.
    """
    import keras

    from mmls_tf.losses import BceDice
    from mmls_tf.training.device import require_compiled

    images, target = seeded_batch(cell)
    jit, hlo = dump is not None, {}
    with _without_dropout(model):
        model.compile(keras.optimizers.SGD(1.0), BceDice(), jit_compile=jit, run_eagerly=not jit)
        if jit:
            require_compiled(model)
        with _compiling(dump, "predict", hlo):
            logits = np.stack([model.predict_on_batch(draw) for draw in nearly_alike(images)]).astype(
                np.float32
            )
        before = _values(model.trainable_variables)
        with _compiling(dump, "train", hlo):
            loss = float(np.asarray(model.train_on_batch(images, target)).ravel()[0])
    after = _values(model.trainable_variables)
    gradients = [old - new for old, new in zip(before, after, strict=True)]
    return Step(logits, loss, gradients, _values(model.non_trainable_weights), hlo)


@contextmanager
def _without_dropout(model: Any) -> Iterator[None]:
    """TensorFlow draws other numbers with XLA than without."""
    import keras

    dropouts = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.Dropout)]
    rates = [layer.rate for layer in dropouts]
    for layer in dropouts:
        layer.rate = 0.0
    yield
    for layer, rate in zip(dropouts, rates, strict=True):
        layer.rate = rate


@contextmanager
def _compiling(dump: Path | None, step: str, hlo: dict[str, dict[str, int]]) -> Iterator[None]:
    """Counts what XLA writes to `dump` meanwhile, and clears it: every kernel of a step has files of its own."""
    yield
    if dump is not None:
        hlo[step] = count_hlo(dump.iterdir())
        for path in dump.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def save_reference(path: Path, weights: list[Array], step: Step) -> None:
    """Writes the weights that a step started from, and what it gave."""
    lists = {"weight": weights, "gradient": step.gradients, "statistic": step.statistics}
    arrays = {
        f"{name}-{i}": value.astype(np.float32)
        for name, values in lists.items()
        for i, value in enumerate(values)
    }
    np.savez(path, allow_pickle=False, logits=step.logits, loss=np.float64(step.loss), **arrays)


def load_reference(path: Path) -> tuple[list[Array], Step]:
    """Returns the weights and the step that `save_reference` wrote."""
    with np.load(path) as arrays:

        def listed(name: str) -> list[Array]:
            return [arrays[f"{name}-{i}"] for i in range(sum(key.startswith(f"{name}-") for key in arrays))]

        step = Step(arrays["logits"], float(arrays["loss"]), listed("gradient"), listed("statistic"))
        return listed("weight"), step


def count_hlo(dumped: Iterable[Path]) -> dict[str, int]:
    """Counts what the optimised HLO of a step holds; `dumped` are all files that XLA wrote meanwhile.

    Raises:
      RuntimeError: XLA did not compile exactly one step.
    """
    texts = [path.read_text() for path in dumped if path.name.endswith("after_optimizations.txt")]
    steps = [text for text in texts if any(name in text.partition("\n")[0] for name in STEPS)]
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


def _values(variables: Any) -> list[Array]:
    from keras import ops

    return [np.asarray(ops.convert_to_numpy(variable), np.float64) for variable in variables]
