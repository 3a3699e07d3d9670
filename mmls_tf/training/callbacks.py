"""What happens between epochs: checkpoints, a line on the screen, a stop when the loss is no number."""

from __future__ import annotations

import math
import time
from typing import Any

import keras

from mmls_tf.errors import MmlsError
from mmls_tf.training.run_folder import RunFolder


class TrainingError(MmlsError):
    """Training cannot go on."""

    exit_code = 2


class StopIfNotFinite(keras.callbacks.Callback):
    """Ends a run whose loss has become NaN or infinite, before a checkpoint keeps it."""

    def __init__(self, learning_rate: float) -> None:
        super().__init__()
        self._learning_rate = learning_rate

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Raises TrainingError where the mean loss of the epoch is not finite."""
        loss = (logs or {})["loss"]
        if not math.isfinite(loss):
            raise TrainingError(
                f"epoch {epoch + 1}: expected a finite loss, found {loss}; lower --learning_rate "
                f"(highest {self._learning_rate:g}) or use --precision=float32"
            )


class Checkpoints(keras.callbacks.Callback):
    """Saves the model after every epoch as `last`, and as `best` when validation mIoU has never been higher."""

    def __init__(self, folder: RunFolder) -> None:
        super().__init__()
        self._folder = folder
        self.best_miou = -1.0
        self.best_epoch = 0

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Saves; files appear whole or not at all."""
        miou = float((logs or {})["val_miou"])
        self._folder.save_model(self.model, "last")
        if miou > self.best_miou:
            self.best_miou, self.best_epoch = miou, epoch + 1
            self._folder.save_model(self.model, "best")


class EmaWeights(keras.callbacks.Callback):
    """Scores and saves, as `ema`, the moving average of the weights that the optimiser keeps; training goes on with
    the raw ones (Polyak and Juditsky 1992; Tarvainen and Valpola 2017, arXiv 1703.01780).

    Statistics of batch normalisation are those of the raw weights: with a momentum of 0.9 they follow within a few
    steps, and towards the end of a cosine schedule both kinds of weights hardly differ.
    """

    def __init__(self, folder: RunFolder, validation: Any) -> None:
        super().__init__()
        self._folder, self._validation = folder, validation

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Adds `ema_val_miou` to the logs, and saves; the file appears whole or not at all."""
        variables = self.model.trainable_variables
        raw = [keras.ops.convert_to_numpy(variable) for variable in variables]
        self.model.optimizer.finalize_variable_values(variables)
        try:
            scores = self.model.evaluate(self._validation, verbose=0, return_dict=True)
            self._folder.save_model(self.model, "ema")
        finally:
            for variable, value in zip(variables, raw, strict=True):
                variable.assign(value)
        if logs is not None:
            logs["ema_val_miou"] = scores["miou"]


class EpochLine(keras.callbacks.Callback):
    """Prints one line an epoch, with the rate of training and the time left."""

    def __init__(self, epochs: int, tiles_per_epoch: int, checkpoints: Checkpoints) -> None:
        super().__init__()
        self._epochs, self._tiles, self._checkpoints = epochs, tiles_per_epoch, checkpoints
        self._started = self._epoch_started = self._trained = 0.0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Starts the clock."""
        self._started = time.perf_counter()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Starts the clock of the epoch."""
        self._epoch_started = time.perf_counter()

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Validation begins where the training steps of the epoch have ended."""
        self._trained = time.perf_counter() - self._epoch_started

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Prints the line."""
        logs = logs or {}
        left = (time.perf_counter() - self._started) / (epoch + 1) * (self._epochs - epoch - 1)
        print(
            f"epoch {epoch + 1:>3}/{self._epochs}  loss {logs['loss']:.4f}  mIoU {logs['miou']:.4f}  "
            f"val loss {logs['val_loss']:.4f}  val mIoU {logs['val_miou']:.4f} "
            + (f"EMA {logs['ema_val_miou']:.4f} " if "ema_val_miou" in logs else "")
            + f"(best {self._checkpoints.best_miou:.4f} in epoch {self._checkpoints.best_epoch})  "
            f"{self._tiles / self._trained:.1f} tiles/s  {left / 60:.1f} min left",
            flush=True,
        )
