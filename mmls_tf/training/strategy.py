"""Several devices: which of them train together, and what each takes of a batch.

A batch is what all devices together take in a step. Regions in losses (Dice and the like) and statistics of batch
normalisation are those of a device's part of the batch; gradients are averaged over devices.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import keras

from mmls_tf.errors import UsageError
from mmls_tf.training.device import Device


@dataclass(frozen=True)
class Strategy:
    """How devices train together.

    Attributes:
      kind: one, mirrored, workers, tpu or parallel.
      why: the reason for it.
      replicas: devices that share a batch.
      worker: number of this process; 0 writes the run folder, others one beside it.
      scope: a context in which models are built and trained.
      native: TensorFlow's object, None where there is none.
    """

    kind: str
    why: str
    replicas: int
    worker: int
    scope: Callable[[], AbstractContextManager[Any]]
    native: Any = None

    def __str__(self) -> str:
        devices = "one device" if self.replicas == 1 else f"{self.replicas} devices"
        return f"{self.kind}, {devices} ({self.why})"


def choose_strategy(option: str, device: Device, batch: int) -> Strategy:
    """Returns the strategy that `--strategy` asks for, or the one that the devices suggest.

    Raises:
      UsageError: the backend cannot do it, or the devices cannot share the batch evenly.
    """
    count = _accelerators(device)
    why = f"--strategy={option}"
    if option == "auto" and device.backend == "tensorflow" and "TF_CONFIG" in os.environ:
        option, why = "workers", "auto: TF_CONFIG is set"
    elif option == "auto" and count > 1:
        option = "parallel" if device.backend == "jax" else "mirrored"
        why = f"auto: {count} devices"
    elif option == "auto":
        option, why = "one", f"auto: one {device.kind}"
    needed = {"mirrored": "tensorflow", "workers": "tensorflow", "tpu": "tensorflow", "parallel": "jax"}
    if needed.get(option, device.backend) != device.backend:
        raise UsageError(
            f"--strategy={option}: expected --backend={needed[option]}, found Keras on {device.backend}"
        )
    strategy = _MAKERS[option](why)
    if batch % strategy.replicas:
        raise UsageError(
            f"--batch={batch}: expected a multiple of the {strategy.replicas} devices that share it (--strategy="
            f"{strategy.kind})"
        )
    return strategy


def worker_number() -> int:
    """Returns the number of this process among several workers, 0 where there is only one.

    Raises:
      UsageError: TF_CONFIG is not as TensorFlow describes it.
    """
    text = os.environ.get("TF_CONFIG")
    if not text:
        return 0
    try:
        cluster, task = (json.loads(text)[name] for name in ("cluster", "task"))
        return int(task["index"]) + (1 if "chief" in cluster and task["type"] == "worker" else 0)
    except (KeyError, ValueError, TypeError) as error:
        raise UsageError(
            f"TF_CONFIG={text}: expected cluster and task as TensorFlow describes them, found {error!r}"
        ) from error


def require_together(strategy: Strategy, epoch: int) -> None:
    """Makes sure that all workers go on from the same epoch.

    Raises:
      UsageError: they do not.
    """
    if strategy.kind != "workers":
        return
    import tensorflow as tf

    mean = float(strategy.native.reduce(tf.distribute.ReduceOp.MEAN, tf.constant(float(epoch)), axis=None))
    if mean != epoch:
        raise UsageError(
            f"--resume: expected that all workers go on from the same epoch, found {epoch} here and {mean:g} on "
            "average; copy checkpoint.npz of worker 0 into the run folders of the others"
        )


def distribute(strategy: Strategy, batches: Any) -> Any:
    """Returns batches as `fit` wants them: each of several workers makes its part of every batch."""
    if strategy.kind != "workers":
        return batches

    def part(context: Any) -> Any:
        replicas = context.num_replicas_in_sync // context.num_input_pipelines

        def cut(batch: Any) -> Any:
            size = next(iter(batch.values())).shape[0] // context.num_input_pipelines
            start = context.input_pipeline_id * size
            return {name: value[start : start + size] for name, value in batch.items()}

        mine = batches.map(cut)
        size = next(iter(mine.element_spec.values())).shape[0] // replicas
        return mine if replicas == 1 else mine.unbatch().batch(size, drop_remainder=True)

    return strategy.native.distribute_datasets_from_function(part)


def _one(why: str) -> Strategy:
    return Strategy("one", why, 1, 0, nullcontext)


def _mirrored(why: str) -> Strategy:
    import tensorflow as tf

    kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    devices = [device.name for device in tf.config.list_logical_devices(kind)]
    # NCCL, the default, is for GPUs.
    across = None if kind == "GPU" else tf.distribute.ReductionToOneDevice()
    native = tf.distribute.MirroredStrategy(devices, cross_device_ops=across)
    return Strategy("mirrored", why, native.num_replicas_in_sync, 0, native.scope, native)


def _workers(why: str) -> Strategy:
    import tensorflow as tf

    if "TF_CONFIG" not in os.environ:
        raise UsageError(
            "--strategy=workers: expected the variable TF_CONFIG to name the workers (cluster and task), found none"
        )
    native = tf.distribute.MultiWorkerMirroredStrategy()
    return Strategy("workers", why, native.num_replicas_in_sync, worker_number(), native.scope, native)


def _tpu(why: str) -> Strategy:
    import tensorflow as tf

    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver.connect()
    except (ValueError, tf.errors.OpError) as error:
        raise UsageError(
            f"--strategy=tpu: expected a TPU, found none ({str(error).splitlines()[0]})"
        ) from error
    native = tf.distribute.TPUStrategy(resolver)
    return Strategy("tpu", why, native.num_replicas_in_sync, 0, native.scope, native)


def _parallel(why: str) -> Strategy:
    import jax

    keras.distribution.set_distribution(keras.distribution.DataParallel())
    return Strategy("parallel", why, len(jax.devices()), jax.process_index(), nullcontext)


_MAKERS: dict[str, Callable[[str], Strategy]] = {
    "one": _one,
    "mirrored": _mirrored,
    "workers": _workers,
    "tpu": _tpu,
    "parallel": _parallel,
}


def _accelerators(device: Device) -> int:
    if device.kind == "CPU":
        return 1
    if device.backend == "jax":
        import jax

        return len(jax.devices())
    import tensorflow as tf

    return len(tf.config.list_logical_devices(device.kind))
