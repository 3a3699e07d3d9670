"""What a run says on the screen: a live line within an epoch, one line for each epoch."""

from __future__ import annotations

import math
import sys
import time
from typing import Any

import keras
from tqdm import tqdm

from mmls_tf.training.callbacks import Checkpoints


class Screen(keras.callbacks.Callback):
    """Shows a bar with rate and time left while an epoch runs, on a terminal, and leaves a line when it has ended."""

    def __init__(self, epochs: int, steps: int, batch: int, checkpoints: Checkpoints) -> None:
        super().__init__()
        self._epochs, self._steps, self._batch, self._checkpoints = epochs, steps, batch, checkpoints
        self._bar: tqdm[Any] | None = None
        self._first = checkpoints.progress.epoch
        self._started = time.perf_counter()

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Starts the clock of the time left."""
        self._started = time.perf_counter()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Draws an empty bar; none where output goes to a file."""
        self._bar = tqdm(
            total=self._steps * self._batch,
            desc=f"epoch {epoch + 1}/{self._epochs}",
            unit="tile",
            leave=False,
            disable=not sys.stdout.isatty(),
            file=sys.stdout,
        )

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Moves the bar."""
        if self._bar is not None and not self._bar.disable:
            self._bar.update((batch + 1) * self._batch - self._bar.n)
            self._bar.set_postfix_str(f"loss {(logs or {})['loss']:.4f}", refresh=False)

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Takes the bar away: validation is short."""
        self.close()

    def close(self) -> None:
        """Takes the bar away, if there is one."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Prints the line."""
        progress = self._checkpoints.progress
        row = progress.rows[-1]
        done = epoch + 1 - self._first
        left = (time.perf_counter() - self._started) / done * (self._epochs - epoch - 1)
        rate = self._steps * self._batch / row["train_seconds"]
        share = row["input_share"]
        waiting = "" if math.isnan(share) else f"input {100 * share:.1f} %  "
        print(
            f"epoch {epoch + 1:>3}/{self._epochs}  loss {row['loss']:.4f}  mIoU {row['miou']:.4f}  "
            f"val loss {row['val_loss']:.4f}  val mIoU {row['val_miou']:.4f} "
            + (f"EMA {row['ema_val_miou']:.4f} " if "ema_val_miou" in row else "")
            + f"(best {progress.best_miou:.4f} in epoch {progress.best_epoch})  "
            f"{rate:.1f} tiles/s  {waiting}{left / 60:.1f} min left",
            flush=True,
        )
