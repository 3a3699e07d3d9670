"""What happens between steps and epochs: a stop when the loss is no number, averages, checkpoints, an early end."""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Callable
from typing import Any

import keras

from mmls_tf.errors import MmlsError
from mmls_tf.files import write_text
from mmls_tf.training.checkpoint import Progress, save_checkpoint
from mmls_tf.training.run_folder import RunFolder


class TrainingError(MmlsError):
    """Training cannot go on."""

    exit_code = 2


def learning_rate_at(model: keras.Model, step: int) -> float:
    """Returns the learning rate of a step of the run, counted from 0."""
    return float(model.optimizer._learning_rate(step))


class StopIfNotFinite(keras.callbacks.Callback):
    """Ends a run whose loss has become NaN or infinite, before a checkpoint keeps it."""

    def __init__(self, steps: int, keys_of: Callable[[int], list[str]]) -> None:
        """Prepares for epochs of `steps` steps; `keys_of` gives the tiles of a step of the run."""
        super().__init__()
        self._steps, self._keys_of, self._epoch, self._first = steps, keys_of, 0, 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Takes the number of the epoch."""
        self._epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Takes the number of the first step of those that run together (`--steps_per_execution`)."""
        self._first = batch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Raises TrainingError where the mean loss of the epoch so far is not finite."""
        loss = (logs or {})["loss"]
        if math.isfinite(loss):
            return
        before = self._epoch * self._steps
        steps = range(before + self._first, before + batch + 1)
        rate = learning_rate_at(self.model, steps[-1])
        within, of_run, these = (
            (f"step {batch + 1}", f"step {steps[-1]}", "this step")
            if len(steps) == 1
            else (
                f"one of the steps {self._first + 1} to {batch + 1}",
                f"steps {steps[0]} to {steps[-1]}",
                "these steps",
            )
        )
        raise TrainingError(
            f"epoch {self._epoch + 1}, {within} of {self._steps} ({of_run} of the run, learning rate "
            f"{rate:.3g}): expected a finite loss, found {loss}; lower --learning_rate or use --precision=float32. "
            f"Tiles of {these}: {', '.join(key for step in steps for key in self._keys_of(step))}"
        )

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Raises TrainingError where the last step of the epoch has spoilt the weights: no later one would show it."""
        loss = (logs or {}).get("val_loss", 0.0)
        if math.isfinite(loss):
            return
        step = (epoch + 1) * self._steps - 1
        raise TrainingError(
            f"epoch {epoch + 1}: expected a finite loss on val, found {loss} after step {step} of the run (learning "
            f"rate {learning_rate_at(self.model, step):.3g}); lower --learning_rate or use --precision=float32. "
            f"Tiles of this step: {', '.join(self._keys_of(step))}"
        )


class EmaWeights(keras.callbacks.Callback):
    """Scores and saves, as `ema`, the moving average of the weights that the optimiser keeps; training goes on with
    the raw ones (Polyak and Juditsky 1992; Tarvainen and Valpola 2017, arXiv 1703.01780).

    Statistics of batch normalisation are averaged likewise (`TrainingStep.average_statistics`).
    """

    def __init__(self, folder: RunFolder, validation: Any) -> None:
        super().__init__()
        self._folder, self._validation = folder, validation

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Adds `ema_val_miou` to the logs, and saves; the file appears whole or not at all."""
        variables = self.model.trainable_variables
        kept = [*variables, *self.model.statistics]
        raw = [keras.ops.convert_to_numpy(variable).copy() for variable in kept]
        self.model.optimizer.finalize_variable_values(variables)
        averages = [*variables, *self.model.average_statistics]
        # Copies: under JAX two variables would share one array, which goes when the model's variables are handed on.
        values = [keras.ops.convert_to_numpy(variable).copy() for variable in averages]
        for variable, value in zip(kept, values, strict=True):
            variable.assign(value)
        try:
            scores = self.model.evaluate(self._validation, verbose=0, return_dict=True)
            self._folder.save_model(self.model.network, "ema")
        finally:
            for variable, value in zip(kept, raw, strict=True):
                variable.assign(value)
        if logs is not None:
            logs["ema_val_miou"] = scores["miou"]


class Checkpoints(keras.callbacks.Callback):
    """Saves after every epoch the model as `last`, as `best` when validation mIoU has never been higher, the history,
    and at last what the run needs to go on: killed before that, the epoch is done again.
    """

    def __init__(
        self,
        folder: RunFolder,
        progress: Progress,
        steps: int,
        patience: int,
        waited: Callable[[], float],
    ) -> None:
        """Goes on from `progress`, and keeps it up to date.

        Args:
          steps: of an epoch.
          patience: epochs without improvement after which training ends; 0: never.
          waited: seconds since the start of the epoch in which steps waited for input.
        """
        super().__init__()
        self.progress = progress
        self._folder, self._steps, self._patience, self._waited = folder, steps, patience, waited
        self._started = self._trained = 0.0
        self._waited_before = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Starts the clock."""
        self._started, self._trained = time.perf_counter(), 0.0
        self._waited_before = self._waited()

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Validation begins where the training steps of the epoch have ended."""
        self._trained = self._trained or time.perf_counter() - self._started

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Saves everything; files appear whole or not at all."""
        logs = logs or {}
        progress = self.progress
        miou = float(logs["val_miou"])
        self._folder.save_model(self.model.network, "last")
        if miou > progress.best_miou:
            progress.best_miou, progress.best_epoch = miou, epoch + 1
            self._folder.save_model(self.model.network, "best")
        waited = self._waited() - self._waited_before
        progress.seconds += time.perf_counter() - self._started
        progress.epoch = epoch + 1
        progress.rows.append(
            {
                "epoch": epoch,
                **{name: float(value) for name, value in logs.items()},
                "learning_rate": learning_rate_at(self.model, progress.epoch * self._steps),
                "train_seconds": self._trained,
                "input_share": waited / self._trained,
            }
        )
        write_text(self._folder.history, _as_csv(progress.rows))
        save_checkpoint(self._folder.checkpoint, self.model, progress)
        if self.exhausted:
            self.model.stop_training = True

    @property
    def exhausted(self) -> bool:
        """Whether patience has ended the run: one that goes on is at its end then."""
        rows = self.progress.rows
        return bool(rows and self._patience and len(rows) - self._best_watched() >= self._patience)

    def _best_watched(self) -> int:
        """Returns the epoch, from 1, in which what decides about an early end was best."""
        rows = self.progress.rows
        name = "ema_val_miou" if "ema_val_miou" in rows[-1] else "val_miou"
        values = [row[name] for row in rows]
        return values.index(max(values)) + 1


def _as_csv(rows: list[dict[str, float]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
