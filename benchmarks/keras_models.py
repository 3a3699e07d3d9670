"""Times a model of `mmls_tf` as training and evaluation run it: the other side of `benchmarks.torch_models`.

    python -m benchmarks.keras_models NETWORK PRECISION STEPS

NETWORK is unet (configs/unet.flags) or deeplabv3plus (over resnet34); PRECISION float32, bfloat16 or auto. Prints one
JSON object.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

import numpy as np

from mmls_tf.config import TrainConfig
from mmls_tf.quiet import load_tensorflow

CONFIGS = {"unet": TrainConfig(), "deeplabv3plus": TrainConfig(model="deeplabv3plus", encoder="resnet34")}
SIZE, WARM_UP = 128, 3


def measure(network: str, precision: str, steps: int) -> dict[str, float | str]:
    """Trains by `fit`, one epoch of `steps` after a short one, and infers by what scores tiles; on a batch of noise."""
    load_tensorflow()
    import keras
    import tensorflow as tf

    from mmls_tf.data.pipeline import static_options
    from mmls_tf.models.registry import build_model
    from mmls_tf.models.spec import ModelSpec
    from mmls_tf.prediction.member import predict_logits
    from mmls_tf.training.device import choose_jit, choose_precision, find_device
    from mmls_tf.training.optimizer import compile_model

    config, device = CONFIGS[network], find_device()
    jit, _ = choose_jit(config.jit, device)
    chosen, _ = choose_precision(precision, device, jit)
    model = build_model(ModelSpec.of(config, SIZE), chosen, config.seed)
    compile_model(model, config, steps, jit)
    random = np.random.default_rng(0)
    images = random.normal(size=(config.batch, SIZE, SIZE, 7)).astype(np.float32)
    masks = random.integers(0, 2, size=(config.batch, SIZE, SIZE, 1))
    target = np.concatenate([masks, np.ones_like(masks)], axis=-1).astype(np.float32)
    batches = (
        tf.data.Dataset.from_tensors((images, target)).repeat().prefetch(2).with_options(static_options())
    )

    def train(count: int) -> None:
        model.fit(batches, epochs=1, steps_per_epoch=count, shuffle=False, verbose=0)

    def infer(count: int) -> None:
        for _ in range(count):
            predict_logits(model, images)

    return {
        "parameters": sum(int(np.prod(variable.shape)) for variable in model.trainable_variables),
        "precision": chosen,
        "backend": keras.backend.backend(),
        "train": tiles_per_second(train, steps, config.batch),
        "infer": tiles_per_second(infer, 2 * steps, config.batch),
    }


def tiles_per_second(run: Callable[[int], None], steps: int, batch: int) -> float:
    """Times `steps` steps after a few that are not counted."""
    run(WARM_UP)
    started = time.perf_counter()
    run(steps)
    return batch * steps / (time.perf_counter() - started)


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
