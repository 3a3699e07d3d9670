"""The Keras backend of this process: chosen before Keras is imported, since afterwards it cannot change."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import util

from mmls_tf.config import BACKENDS
from mmls_tf.errors import UsageError
from mmls_tf.quiet import left_out, load_tensorflow

_VARIABLE = "KERAS_BACKEND"
# What Keras and TensorFlow Lite import where it is installed, for wrappers, galleries and conversions that no command
# makes: half the time of the start. Commands import later what they need of it.
_UNUSED = {"tensorflow": ("sklearn", "matplotlib.pyplot", "jax"), "jax": ("sklearn", "matplotlib.pyplot")}


def start_backend(option: str) -> str:
    """Chooses the backend, loads it and Keras quietly, and returns the choice.

    Raises:
      UsageError: as `choose_backend`.
    """
    backend = choose_backend(option)
    logging.getLogger("jax").setLevel(logging.WARNING)  # it reports every accelerator that it does not find
    with left_out(*_UNUSED[backend]):
        if backend == "tensorflow":
            load_tensorflow()
        import keras  # noqa: F401
    return backend


@contextmanager
def quick_compilation() -> Iterator[None]:
    """Lets JAX compile with little optimisation meanwhile, for what runs once; nothing under TensorFlow.

    To draw weights, it makes a program for every shape. Those of a U-Net with 21 convolutions take 45 seconds of a CPU
    otherwise, and 8 so.
    """
    if _loaded_backend() != "jax":
        yield
        return
    import jax

    name = "jax_disable_most_optimizations"
    before = jax.config.values[name]
    jax.config.update(name, True)
    try:
        yield
    finally:
        jax.config.update(name, before)


def choose_backend(option: str) -> str:
    """Returns the backend that Keras runs on, or will when it is imported.

    Args:
      option: tensorflow or jax, whatever the environment says; auto: KERAS_BACKEND, or else TensorFlow. What a
        user's `keras.json` says does not count: the same command does the same everywhere.

    Raises:
      UsageError: Keras runs on another backend already, the environment names one that is not supported, or JAX
        is not installed.
    """
    loaded = _loaded_backend()
    asked = f"--backend={option}"
    if option == "auto":
        option = loaded or os.environ.get(_VARIABLE) or "tensorflow"
        asked = f"{_VARIABLE}={option}"
    if option not in BACKENDS:
        raise UsageError(f"{asked}: expected one of {', '.join(BACKENDS)}; unset it, or give --backend")
    if loaded and loaded != option:
        raise UsageError(
            f"{asked}: expected that Keras is not loaded yet, found it running on {loaded}; a process has one "
            "backend, so start another one"
        )
    if option == "jax" and util.find_spec("jax") is None:
        raise UsageError(f'{asked}: expected JAX, found it not installed; get it with `pip install ".[jax]"`')
    os.environ[_VARIABLE] = option
    return option


def _loaded_backend() -> str | None:
    return sys.modules["keras"].config.backend() if "keras" in sys.modules else None
