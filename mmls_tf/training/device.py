"""What the machine has, and what follows for XLA and for precision."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

import keras

from mmls_tf.errors import CompilationError

_BFLOAT16_CPU_FLAGS = {"avx512_bf16", "amx_bf16"}


@dataclass(frozen=True)
class Device:
    """The device that computes: kind is CPU, GPU or TPU."""

    kind: str
    name: str
    backend: str
    fast_bfloat16: bool

    def __str__(self) -> str:
        return f"{self.kind} ({self.name}), Keras on {self.backend}"


def find_device() -> Device:
    """Returns the best device that the Keras backend sees."""
    backend = keras.backend.backend()
    kind, name = _jax_device() if backend == "jax" else _tensorflow_device()
    fast = kind != "CPU" or bool(_BFLOAT16_CPU_FLAGS & _cpu_flags())
    return Device(kind, name or cpu_name(), backend, fast)


def choose_jit(option: str, device: Device) -> tuple[bool, str]:
    """Returns whether to compile with XLA, and why. `option` is auto, on or off."""
    if option == "off" and device.backend == "jax":
        return False, "--jit=off: JAX runs one operation at a time, which is slow"
    if option != "auto":
        return option == "on", f"--jit={option}"
    if device.backend == "jax":
        return True, "auto: JAX is made for it, and slow without"
    if device.kind == "CPU":
        return False, "auto: on a CPU it is slower"
    return True, f"auto: on a {device.kind} it is faster"


def choose_precision(option: str, device: Device, jit: bool = False) -> tuple[str, str]:
    """Returns float32 or bfloat16, and why, for a model that XLA compiles or does not. `option` may be auto."""
    if option != "auto":
        return option, f"--precision={option}"
    if device.kind == "CPU" and jit:
        return "float32", "auto: XLA gains nothing from bfloat16 on a CPU"
    if device.fast_bfloat16:
        return "bfloat16", f"auto: this {device.kind} computes in it"
    return "float32", "auto: this CPU has neither AVX512_BF16 nor AMX"


def require_compiled(model: keras.Model) -> None:
    """Makes sure that Keras has kept `jit_compile=True`: it drops it with a mere warning.

    Raises:
      CompilationError: names the layers that cannot be compiled.
    """
    if model.jit_compile is True:
        return
    layers = [layer.name for layer in model._flatten_layers() if not getattr(layer, "supports_jit", True)]
    reason = f"layers {', '.join(layers)} do not support it" if layers else "Keras turned it off"
    raise CompilationError(
        f"--jit=on: expected a model that XLA compiles, found that {reason}; use --jit=off"
    )


def _tensorflow_device() -> tuple[str, str]:
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return "CPU", ""
    return "GPU", str(tf.config.experimental.get_device_details(gpus[0]).get("device_name", gpus[0].name))


def _jax_device() -> tuple[str, str]:
    import jax

    device = jax.devices()[0]
    kind = {"cpu": "CPU", "tpu": "TPU"}.get(device.platform, "GPU")
    return kind, "" if kind == "CPU" else str(device.device_kind)


def _cpu_info(field: str) -> str:
    path = Path(
        "/proc/cpuinfo"
    )  # Linux only: elsewhere neither name nor flags are known, and float32 is safe
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(field)), "")


def _cpu_flags() -> set[str]:
    return set(_cpu_info("flags").split())


def make_deterministic() -> None:
    """Makes operations give the same bits every time, before any has run.

    A GPU then does without its fastest kernels; an operation that has no other raises an error.
    """
    if keras.backend.backend() == "jax":
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_gpu_deterministic_ops=true".strip()
        return
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()


def cpu_name() -> str:
    """Returns the name of the processor."""
    return _cpu_info("model name") or platform.processor() or platform.machine()
