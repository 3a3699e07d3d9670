"""Starts TensorFlow and Keras quietly and without what nobody here needs of them.

TensorFlow 2.20 and later print several lines before their log level is read, so no variable silences them.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_start() -> Iterator[None]:
    """Holds back what native code writes to standard error; an exception lets it out."""
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(saved, held.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)


@contextmanager
def left_out(*names: str) -> Iterator[None]:
    """Makes imports of packages fail meanwhile that are not there yet, as if they were not installed."""
    absent = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # None: Python's own way to say so
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


def load_tensorflow() -> None:
    """Imports TensorFlow and lets it look for devices, quietly.

    Under KERAS_BACKEND=jax it only reads data and stays on the CPU: an accelerator has room for one of the two.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # Left alone, TensorFlow takes oneDNN's kernels only where a CPU has AVX512_VNNI or better. They train a U-Net about
    # twice as fast on one that has AVX2 alone.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    with quiet_start():
        import tensorflow as tf

        if os.environ.get("KERAS_BACKEND") == "jax":
            for kind in ("GPU", "TPU"):
                tf.config.set_visible_devices([], kind)
        tf.config.list_physical_devices()
