"""Runs the epochs of a run, and writes what is left when they are done."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import keras

from mmls_tf.config import TrainConfig
from mmls_tf.training.board import Board
from mmls_tf.training.callbacks import Checkpoints, EmaWeights, StopIfNotFinite
from mmls_tf.training.checkpoint import Progress
from mmls_tf.training.feed import Feed
from mmls_tf.training.machine import describe_machine, find_commit
from mmls_tf.training.profile import Profile
from mmls_tf.training.progress import Screen
from mmls_tf.training.run_folder import RunFolder, RunRecord
from mmls_tf.training.step import TrainingStep
from mmls_tf.training.strategy import Strategy


def fit(
    model: TrainingStep,
    feed: Feed,
    config: TrainConfig,
    strategy: Strategy,
    steps: int,
    progress: Progress,
    folder: RunFolder,
    record: RunRecord,
) -> None:
    """Trains from `progress` to the end, and marks the run as finished.

    Args:
      steps: of an epoch.

    Raises:
      TrainingError: the loss has become no number.
    """
    checkpoints = Checkpoints(folder, progress, steps, config.patience, feed.waited)
    screen = Screen(config.epochs, steps, config.batch, checkpoints)
    board = Board(folder.tensorboard, checkpoints, feed.shown, max(1, config.epochs // 10))
    # In this order: the score of the average is part of the history, which the others read.
    callbacks: list[keras.callbacks.Callback] = [StopIfNotFinite(steps, feed.keys_of)]
    callbacks += [EmaWeights(folder, feed.validation)] if config.ema else []
    callbacks += [checkpoints, board, screen]
    callbacks += (
        [Profile(folder.root / "profile", min(progress.epoch + 1, config.epochs - 1))]
        if config.profile
        else []
    )
    try:
        if progress.epoch < config.epochs and not checkpoints.exhausted:
            model.fit(
                feed.batches,
                initial_epoch=progress.epoch,
                epochs=config.epochs,
                steps_per_epoch=steps,
                validation_data=feed.validation,
                shuffle=False,  # the input has shuffled; Keras would only warn that it cannot
                verbose=0,
                callbacks=callbacks,
            )
    finally:
        screen.close()
        board.close()
    summary = summarise(progress, config, record)
    folder.write_summary(summary)
    _say(summary, config, strategy)


def summarise(progress: Progress, config: TrainConfig, record: RunRecord) -> dict[str, Any]:
    """Returns what `summary.json` keeps of a run: small enough to be committed to a table of results."""
    last = progress.rows[-1]
    return {
        "config": dataclasses.asdict(config),
        "seed": config.seed,
        "fingerprint": record.fingerprint,
        "best_epoch": progress.best_epoch,
        "best_val_miou": progress.best_miou,
        "last_val_miou": last["val_miou"],
        "ema_val_miou": last.get("ema_val_miou"),
        "epochs": progress.epoch,
        "seconds": round(progress.seconds, 1),
        "input_share": None if math.isnan(last["input_share"]) else last["input_share"],
        "parameters": record.parameters,
        "precision": record.precision,
        "jit": record.jit,
        "backend": record.backend,
        "device": record.device,
        "machine": describe_machine(),
        "commit": find_commit(),
        "versions": record.versions,
    }


def _say(summary: dict[str, Any], config: TrainConfig, strategy: Strategy) -> None:
    early = f" of {config.epochs} (--patience={config.patience})" if summary["epochs"] < config.epochs else ""
    average = "" if summary["ema_val_miou"] is None else f", average of weights {summary['ema_val_miou']:.4f}"
    print(f"done       {summary['epochs']} epochs{early} in {summary['seconds'] / 60:.1f} min")
    print(
        f"val mIoU   {summary['last_val_miou']:.4f} after the last epoch{average}, {summary['best_val_miou']:.4f} in "
        f"epoch {summary['best_epoch']}, the best"
    )
