"""Curves and pictures for TensorBoard, written without TensorFlow."""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from mmls_tf.training.callbacks import Checkpoints

_SHOWN = 4
_SHARE = 0.3  # of landslides, as far as there are such tiles: all or nothing shows little
_VALIDATION = {"val_loss": "epoch_loss", "val_miou": "epoch_miou", "ema_val_miou": "epoch_ema_miou"}
_TRAINING = {"loss": "epoch_loss", "miou": "epoch_miou", "learning_rate": "epoch_learning_rate"}


class Board(keras.callbacks.Callback):
    """Writes a point an epoch of every curve, and what the model says of the same few validation tiles."""

    def __init__(
        self, folder: Path, checkpoints: Checkpoints, shown: dict[str, npt.NDArray[Any]], every: int
    ) -> None:
        """Writes into `folder`.

        Args:
          shown: image and target of a batch of validation tiles, of which a few with landslides are drawn.
          every: epochs between two pictures.
        """
        super().__init__()
        self._folder, self._checkpoints, self._every = folder, checkpoints, every
        share = (shown["target"][..., 0] == 1).mean(axis=(1, 2))
        order = np.argsort(np.abs(share - _SHARE), kind="stable")[:_SHOWN]
        self._batch, self._order = shown, order
        self._writers: dict[str, Any] = {}

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes the points of the epoch, and a picture when it is time."""
        row = self._checkpoints.progress.rows[-1]
        values = {tag: {"simple_value": row[name]} for name, tag in _VALIDATION.items() if name in row}
        if epoch % self._every == 0:
            values["tiles"] = {"image": self._picture()}
        self._write("validation", epoch, values)
        self._write("train", epoch, {tag: {"simple_value": row[name]} for name, tag in _TRAINING.items()})

    def _write(self, name: str, epoch: int, values: dict[str, Any]) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        if name not in self._writers:
            self._writers[name] = EventFileWriter(str(self._folder / name))
        summary = Summary(value=[Summary.Value(tag=tag, **value) for tag, value in values.items()])
        self._writers[name].add_event(Event(wall_time=time.time(), step=epoch, summary=summary))
        self._writers[name].flush()

    def close(self) -> None:
        """Closes the files."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def _picture(self) -> Any:
        from matplotlib.image import imsave
        from tensorboard.compat.proto.summary_pb2 import Summary

        network = self.model.network
        logits = np.asarray(network(self._batch["image"], training=False), np.float32)[self._order, ..., 0]
        image, target = (self._batch[name][self._order] for name in ("image", "target"))
        first = image[..., 0]
        low, high = np.percentile(first, (1, 99), axis=(1, 2), keepdims=True)
        columns = [
            np.clip((first - low) / np.maximum(high - low, 1e-6), 0, 1),
            np.where(target[..., 0] == 255, 0.5, target[..., 0]),
            1.0 / (1.0 + np.exp(-logits)),
        ]
        rows = np.concatenate(columns, axis=2).reshape(-1, 3 * image.shape[2])
        png = io.BytesIO()
        imsave(png, rows, cmap="gray", vmin=0, vmax=1, format="png")
        return Summary.Image(
            height=rows.shape[0], width=rows.shape[1], colorspace=4, encoded_image_string=png.getvalue()
        )
