"""Trains on an accelerator with JAX from packed tiles, where TensorFlow is not installed, and says how fast it is.

    python -m benchmarks.packing --data=data --out=tiles.npz                                   # where the data set is
    python -m benchmarks.gpu --tiles=tiles.npz --flagfile=configs/unet.flags --run=runs/gpu    # where the chip is

The second command needs JAX, Keras, absl-py, google-crc32c, Matplotlib, SciPy, TensorBoard and tqdm. It takes all flags
of `mmls_tf.train`, restores the data set to --data, and leaves an ordinary run folder, with `gpu.json` in it beside the
rest: tiles a second of the training step alone (cut and augmented on the device) and of whole epochs, validation left
out; and what share that is of the chip's peak in bf16, as the data sheet has it and as a large matrix product reaches
it. Where PyTorch is installed, the same network is timed under torch.compile first, while the chip is free.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.packing import packed_splits, restore
from mmls_tf.config import TrainConfig
from mmls_tf.data.dataset import Dataset
from mmls_tf.data.ground import lenders
from mmls_tf.entry import command_line, config_from_flags, define_flags, option, run
from mmls_tf.errors import UsageError
from mmls_tf.files import write_json

# Dense bf16 with float32 sums, in TFLOP/s, from the vendors' data sheets; by a part of the name that JAX gives.
PEAKS = {
    "H200": 989.0, "H100 PCIe": 756.0, "H100": 989.0, "A100": 312.0, "L40S": 362.0, "L4": 121.0, "A10G": 70.0,
    "TPU v5 lite": 197.0, "TPU v5e": 197.0, "TPU v4": 275.0, "TPU v6 lite": 918.0,
}  # fmt: skip
# Networks of `benchmarks.torch_models`, by --model and --encoder.
TWINS = {("unet", "plain"): "unet", ("deeplabv3plus", "resnet34"): "deeplabv3plus"}
_BACKWARD = 3  # a step multiplies three times as much as a forward pass: gradients of inputs and of weights


@dataclass(frozen=True)
class GpuConfig:
    """These are flags of `python -m benchmarks.gpu`, beside all of mmls_tf.train."""

    tiles: str = option(None, "File of tiles made by benchmarks.packing.")
    steps: int = option(200, "Steps that are timed.")
    torch_python: str = option("", "Python interpreter to time PyTorch with; empty: this one.")
    product: int = option(0, "Side of the matrices of the product; 0: 8192, or 1024 on a CPU.")

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise UsageError(f"--steps={self.steps}: expected 1 or more")


def settled(config: TrainConfig) -> TrainConfig:
    """Returns a training configuration for JAX from the device's memory.

    Raises:
      UsageError: it asks for something else.
    """
    backend = os.environ.get("KERAS_BACKEND", "jax") if config.backend == "auto" else config.backend
    if backend != "jax":
        raise UsageError(f"--backend={backend}: expected jax, which this benchmark is about")
    if config.input not in ("auto", "device"):
        raise UsageError(f"--input={config.input}: expected device; the other ways need TensorFlow")
    return dataclasses.replace(config, backend="jax", input="device")


def require_lenders(dataset: Dataset, config: TrainConfig, tiles: str) -> None:
    """Makes sure that all tiles are there from which training takes images.

    Raises:
      UsageError: a split was not packed.
    """
    there = packed_splits(dataset.root, dataset.manifest)
    missing = [
        name
        for split in ("train", "val")
        for name in (lenders(dataset, split, config.context_from) if config.context else (split,))
        if name not in there
    ]
    if missing:
        raise UsageError(
            f"--tiles={tiles}: expected tiles of {missing[0]} for --context_from={config.context_from}, found none; "
            "pack them with benchmarks.packing --splits=train,val,test"
        )


def time_torch(own: GpuConfig, config: TrainConfig, size: int) -> dict[str, Any] | str:
    """Returns what `benchmarks.torch_compiled` measures in a process of its own, or why there is nothing."""
    network = TWINS.get((config.model, config.encoder))
    if network is None or config.bands != "all" or config.fusion != "none" or config.full_skip:
        return "not measured: there is no such network in PyTorch here"
    python = own.torch_python or sys.executable
    if subprocess.run([python, "-c", "import torch"], capture_output=True, check=False).returncode:
        return "not measured: PyTorch is not installed"
    numbers = (config.filters, size, config.batch, own.steps)
    words = [python, "-m", "benchmarks.torch_compiled", network, *map(str, numbers)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        return f"failed: {done.stderr.strip().splitlines()[-1]}"
    return dict(json.loads(done.stdout.splitlines()[-1]))


def time_step(config: TrainConfig, dataset: Dataset, steps: int) -> dict[str, float]:
    """Returns tiles a second of the training step alone, and multiply-accumulates of a forward pass of one tile.

    One batch of draws is used again and again: nothing comes from the host, which waits for the last step alone.
    """
    import keras

    from mmls_tf.bands import parse_bands
    from mmls_tf.data.folds import train_statistics
    from mmls_tf.data.normalise import Normalisation
    from mmls_tf.models.cost import model_cost
    from mmls_tf.training.device import choose_jit, choose_precision, find_device
    from mmls_tf.training.feed import make_feed
    from mmls_tf.training.optimizer import compile_model
    from mmls_tf.training.strategy import choose_strategy
    from mmls_tf.training.trainer import build_step

    device = find_device()
    jit, _ = choose_jit(config.jit, device)
    precision, _ = choose_precision(config.precision, device, jit)
    strategy = choose_strategy(config.strategy, device, config.batch)
    normalisation = Normalisation.from_statistics(train_statistics(dataset), parse_bands(config.bands))
    feed = make_feed(config, dataset, normalisation, device, strategy, 0, steps)
    model, _ = build_step(config, dataset, normalisation, feed, precision, strategy)
    compile_model(model, config, steps, jit)

    counted = -(-steps // config.steps_per_execution) * config.steps_per_execution
    clock: list[float] = []

    class Same(keras.utils.PyDataset):
        """The same draws for every step."""

        def __len__(self) -> int:
            return counted

        def __getitem__(self, index: int) -> tuple[Any]:
            return (feed.example,)

    class Clock(keras.callbacks.Callback):
        """Looks at the clock when an epoch ends: all of its steps have ended then."""

        def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
            clock.append(time.perf_counter())

    # The first epoch compiles. A second `fit` would fail with --ema under JAX: Keras ends the first by giving weights
    # and their averages the same arrays.
    model.fit(Same(), epochs=2, shuffle=False, verbose=0, callbacks=[Clock()])
    tiles = counted * config.batch
    return {
        "tiles_per_second": tiles / (clock[1] - clock[0]),
        "macs": model_cost(model.network).macs,
    }


def time_product(side: int) -> float:
    """Returns the TFLOP/s of a product of two bf16 matrices, the best of three."""
    import jax
    import jax.numpy as jnp

    one, other = jax.random.normal(jax.random.key(0), (2, side, side), jnp.bfloat16)
    product = jax.jit(lambda a, b: jnp.matmul(a, b, preferred_element_type=jnp.bfloat16))
    product(one, other).block_until_ready()
    best = 0.0
    for _ in range(3):
        started = time.perf_counter()
        result = one
        for _ in range(10):
            result = product(one, other)
        result.block_until_ready()
        best = max(best, 10 * 2 * side**3 / (time.perf_counter() - started) / 1e12)
    return best


def training_speed(history: Path, tiles: int) -> float | None:
    """Returns tiles a second of the epochs after the first, which compiles; None where there is only that."""
    with history.open(encoding="utf-8") as file:
        seconds = [float(row["train_seconds"]) for row in csv.DictReader(file)][1:]
    return len(seconds) * tiles / sum(seconds) if seconds else None


def data_sheet_peak(name: str) -> float | None:
    """Returns the bf16 peak of a device in TFLOP/s, None where it is not known."""
    return next((peak for part, peak in PEAKS.items() if part in name), None)


def report(found: dict[str, Any]) -> str:
    """Returns the figures as lines of text."""
    achieved = found["tflops"]
    lines = [
        f"step       {found['step']:.0f} tiles/s alone, {achieved:.2f} TFLOP/s ({found['gmacs_per_tile']:.2f} "
        "GMACs a tile forward, three times that in training)"
    ]
    if found["training"] is not None:
        share = found["training"] / found["step"]
        lines.append(
            f"training   {found['training']:.0f} tiles/s in whole epochs, {100 * share:.0f} % of the step"
        )
    sheet = found["peak_tflops"]
    lines.append(
        f"peak       {100 * achieved / found['product_tflops']:.1f} % of a bf16 matrix product "
        f"({found['product_tflops']:.1f} TFLOP/s)"
        + (
            ""
            if sheet is None
            else f", {100 * achieved / sheet:.1f} % of the data sheet's {sheet:.0f} TFLOP/s"
        )
    )
    torch = found["torch_compile"]
    if isinstance(torch, str):
        return "\n".join([*lines, f"PyTorch    {torch}"])
    rate = torch["tiles_per_second"]
    lines.append(
        f"PyTorch    {rate:.0f} tiles/s under torch.compile; ours / PyTorch {found['step'] / rate:.2f}"
    )
    return "\n".join(lines)


def main() -> None:
    """Restores, trains, measures and prints."""
    own, config = config_from_flags(GpuConfig), settled(config_from_flags(TrainConfig))
    dataset = restore(Path(own.tiles), Path(config.data))
    require_lenders(dataset, config, own.tiles)
    size = dataset.manifest.tile_size
    torch = time_torch(own, config, size + 2 * config.context)
    from mmls_tf.backend import start_backend

    start_backend("jax")
    import jax

    from mmls_tf.training.trainer import open_splits, train

    folder = train(config, command_line())
    dataset = open_splits(config)
    step = time_step(config, dataset, own.steps)
    device = jax.devices()[0]
    tiles = dataset.tiles("train") // config.batch * config.batch
    found = {
        "device": device.device_kind,
        "step": step["tiles_per_second"],
        "training": training_speed(folder.history, tiles),
        "gmacs_per_tile": step["macs"] / 1e9,
        "tflops": 2 * _BACKWARD * step["macs"] * step["tiles_per_second"] / 1e12,
        "product_tflops": time_product(own.product or (1024 if device.platform == "cpu" else 8192)),
        "peak_tflops": data_sheet_peak(device.device_kind),
        "torch_compile": torch,
        "command": command_line(),
    }
    write_json(folder.root / "gpu.json", found)
    print(report(found))
    print(f"run        {folder.root}")


if __name__ == "__main__":
    define_flags(TrainConfig)
    define_flags(GpuConfig)
    run(main)
