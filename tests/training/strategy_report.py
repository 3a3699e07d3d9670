"""A short run by a strategy, as a process of its own: prints the history and what was said. No test by itself.

python -m tests.training.strategy_report DATA RUN STRATEGY DEVICES
"""

from __future__ import annotations

import csv
import json
import os
import sys
from pathlib import Path
from typing import Any

data, run, strategy, devices = sys.argv[1:]
os.environ["XLA_FLAGS"] = (
    f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
)

from mmls_tf.backend import start_backend  # noqa: E402
from mmls_tf.config import TrainConfig  # noqa: E402

backend = start_backend("auto")
if backend == "tensorflow" and strategy == "mirrored":
    import tensorflow as tf

    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * int(devices))

import keras  # noqa: E402

from mmls_tf.training import trainer  # noqa: E402


def network(spec: Any, precision: str, seed: int) -> tuple[keras.Model, keras.Model]:
    """No batch normalisation: its statistics are those of a device's part of the batch."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((spec.tile_size, spec.tile_size, len(spec.bands)))
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu")(image)
    model = keras.Model(image, keras.layers.Conv2D(1, 3, padding="same", name="logits")(x))
    return model, model


trainer.build_with_auxiliary = network  # type: ignore[assignment]
config = TrainConfig(
    data=data, run=run, epochs=3, batch=4, precision="float32", loss="bce", strategy=strategy, ema=0.5
)
trainer.train(config, "a test")
if Path(run, "history.csv").exists():
    with Path(run, "history.csv").open() as file:
        print(
            json.dumps([{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)])
        )
