"""Times training on real tiles: the step alone, training as a whole by each way of input, and the start.

    python -m benchmarks.training --data=data [--rounds=3] [--epochs=3] [--out=docs/results/training.json]

A round runs U-Net and DeepLabv3+ by memory and by device, each as a process of its own. `step`: the same batch again
and again; `training`: epochs after the first, validation left out; both in tiles a second. `share` is training / step,
`input_share` what steps have waited for input, `first_step_s` the seconds from the start of the process to the end of
the first step. Writes one JSON object.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmls_tf.entry import command_line, config_from_flags, define_flags, option, run
from mmls_tf.errors import UsageError
from mmls_tf.files import write_json

NETWORKS = {
    "unet": {"model": "unet", "encoder": "plain", "filters": 16},
    "deeplabv3plus": {"model": "deeplabv3plus", "encoder": "resnet34", "filters": 16},
}
WAYS = ("memory", "device")
FIGURES = ("step", "training", "share", "input_share", "first_step_s")
_STEPS, _WARM_UP = 15, 3
AUGMENT = "d4+optics+elevation+noise+crop+mosaic"


@dataclass(frozen=True)
class BenchmarkConfig:
    """What to train on, how often."""

    data: str = option("data", "Data set made by tfrecords_builder.")
    rounds: int = option(3, "Rounds of all networks and ways in turn.")
    epochs: int = option(3, "Epochs a run; the first, which compiles, is not counted.")
    out: str = option("", "JSON file to write; empty: it is printed alone.")

    def __post_init__(self) -> None:
        for name, least in (("rounds", 1), ("epochs", 2)):
            if getattr(self, name) < least:
                raise UsageError(f"--{name}={getattr(self, name)}: expected {least} or more")


def measure(network: str, way: str, data: str, epochs: int, started: float) -> dict[str, float]:
    """Trains once in this process, which was started at `started` by the system's clock."""
    from mmls_tf.backend import start_backend
    from mmls_tf.config import TrainConfig

    start_backend("auto")
    from mmls_tf.training import fit, trainer
    from mmls_tf.training.callbacks import Checkpoints

    found: dict[str, float] = {}

    class Watch(Checkpoints):
        """Looks on, beside what it does in every run."""

        def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
            found.setdefault("first_step_s", time.time() - started)

        def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
            if "step" not in found:  # `step_alone` trains too
                found["step"] = 0.0
                found["step"] = step_alone(self.model, config.batch)

    fit.Checkpoints = Watch  # type: ignore[misc]
    with tempfile.TemporaryDirectory() as folder:
        config = TrainConfig(
            data=data, run=f"{folder}/run", epochs=epochs, input=way, augment=AUGMENT, **NETWORKS[network]
        )
        with contextlib.redirect_stdout(io.StringIO()):
            trained = trainer.train(config, "a benchmark")
        with trained.history.open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))[1:]
        tiles = trainer.open_splits(config).tiles("train") // config.batch * config.batch
    seconds = sum(float(row["train_seconds"]) for row in rows)
    found["training"] = len(rows) * tiles / seconds
    found["share"] = found["training"] / found["step"]
    waited = sum(float(row["input_share"]) * float(row["train_seconds"]) for row in rows)
    return {**found, "input_share": waited / seconds}


def step_alone(model: Any, batch: int) -> float:
    """Returns the tiles a second of steps on one batch of noise, without any input."""
    import numpy as np
    import tensorflow as tf

    from mmls_tf.data.pipeline import static_options

    shape = (batch, *model.network.input_shape[1:])
    random = np.random.default_rng(0)
    image = random.normal(size=shape).astype(np.float32)
    target = np.stack([random.integers(0, 2, shape[:-1]), np.ones(shape[:-1])], -1).astype(np.float32)
    same = tf.data.Dataset.from_tensors({"image": image, "target": target}).repeat()
    same = same.prefetch(2).with_options(static_options())
    for steps in (_WARM_UP, _STEPS):
        started = time.perf_counter()
        model.fit(same, steps_per_epoch=steps, epochs=1, shuffle=False, verbose=0)
    return batch * _STEPS / (time.perf_counter() - started)


def race(config: BenchmarkConfig) -> dict[str, Any]:
    """Runs all networks and ways in turn, and returns medians and all values.

    Raises:
      UsageError: a run failed.
    """
    runs: dict[str, list[dict[str, float]]] = {}
    for _ in range(config.rounds):
        for network in NETWORKS:
            for way in WAYS:
                words = [network, way, config.data, str(config.epochs), str(time.time())]
                done = subprocess.run(
                    [sys.executable, "-m", "benchmarks.training", "--child", *words],
                    capture_output=True,
                    text=True,
                    check=False,
                )
                if done.returncode:
                    raise UsageError(f"--data={config.data}: a run failed:\n{done.stderr[-2000:]}")
                runs.setdefault(f"{network} {way}", []).append(json.loads(done.stdout.splitlines()[-1]))
                print(f"{network} {way}: {runs[f'{network} {way}'][-1]}", file=sys.stderr)
    return {
        name: {
            figure: {
                "median": round(statistics.median(one[figure] for one in found), 4),
                "rounds": [round(one[figure], 4) for one in found],
            }
            for figure in FIGURES
        }
        for name, found in runs.items()
    }


def main() -> None:
    """Prints the result."""
    config = config_from_flags(BenchmarkConfig)
    result = {"command": command_line(), "cores": os.cpu_count(), "epochs": config.epochs, **race(config)}
    if config.out:
        write_json(Path(config.out), result)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        network, way, data, epochs, started = sys.argv[2:]
        print(json.dumps(measure(network, way, data, int(epochs), float(started))))
    else:
        define_flags(BenchmarkConfig)
        run(main)
