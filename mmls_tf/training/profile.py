"""A trace of some steps, for TensorBoard's profiler or Perfetto."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

_FIRST, _LAST = 2, 12


class Profile(keras.callbacks.Callback):
    """Traces ten steps of one epoch, after those that compile."""

    def __init__(self, folder: Path, epoch: int) -> None:
        """Writes into `folder` what happens in the epoch of that number, from 0."""
        super().__init__()
        self._folder, self._epoch = folder, epoch
        self._here = self._running = False

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Sees whether this is the epoch."""
        self._here = epoch == self._epoch

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Starts the trace."""
        if self._here and not self._running and batch >= _FIRST:
            self._folder.mkdir(parents=True, exist_ok=True)
            _profiler()[0](str(self._folder))
            self._running = True

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Ends it after ten steps."""
        if batch >= _LAST:
            self._stop()

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Ends it where an epoch is shorter."""
        self._stop()

    def _stop(self) -> None:
        if self._running:
            _profiler()[1]()
            self._running = self._here = False


def _profiler() -> tuple[Any, Any]:
    if keras.config.backend() == "jax":
        import jax

        return jax.profiler.start_trace, jax.profiler.stop_trace
    import tensorflow as tf

    return tf.profiler.experimental.start, tf.profiler.experimental.stop
