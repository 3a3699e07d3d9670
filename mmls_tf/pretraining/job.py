"""One pre-training: images go in, the weights of an encoder come out."""

from __future__ import annotations

import dataclasses
import datetime
import math
import shutil
import time
from pathlib import Path
from typing import Any

import keras

from mmls_tf.backend import choose_backend
from mmls_tf.bands import parse_bands
from mmls_tf.config import parse_augment
from mmls_tf.data.augment import Augmentation
from mmls_tf.data.dataset import Dataset, open_dataset, verify_splits
from mmls_tf.data.draws import InputConfig
from mmls_tf.data.normalise import Normalisation
from mmls_tf.errors import UsageError
from mmls_tf.evaluation import ledger
from mmls_tf.files import write_json
from mmls_tf.models.encoders.table import encoder_named
from mmls_tf.models.spec import ModelSpec
from mmls_tf.pretraining.config import PretrainConfig, parse_splits
from mmls_tf.pretraining.hidden import HiddenStep, reconstruction_model
from mmls_tf.pretraining.images import HiddenBatches
from mmls_tf.schema import LEDGER_NAME
from mmls_tf.training.callbacks import TrainingError
from mmls_tf.training.device import choose_jit, choose_precision, find_device
from mmls_tf.training.optimizer import make_optimizer


def pretrain(config: PretrainConfig, command: str) -> dict[str, Any]:
    """Trains an encoder to fill in hidden squares, writes it, and returns what `pretrain.json` beside it says.

    Raises:
      DatasetError: the data set is missing or does not match its manifest.
      UsageError: something is at --out, or there is no such encoder.
      TrainingError: the loss has become no number.
    """
    choose_backend(config.backend)
    encoder_named(config.encoder)
    out = Path(config.out)
    if out.exists():
        raise UsageError(
            f"--out={out}: expected a new folder, found something there; give another, or remove it"
        )
    dataset, splits = open_dataset(Path(config.data)), parse_splits(config.splits)
    verify_splits(dataset, splits)
    beside = [dataset.root / "isolated" / LEDGER_NAME] if "isolated" in splits else []
    ledger.require_writable(beside)
    network, losses, seconds = _train(config, dataset, splits)
    result = {
        "config": dataclasses.asdict(config),
        "data_fingerprint": dataset.manifest.fingerprint,
        "images": {split: dataset.tiles(split) for split in splits},
        "losses": losses,
        "seconds": seconds,
        "command": command,
    }
    _write(out, network, result)
    if beside:
        ledger.enter(beside, _ledger_entry(config, result))
    return result


def _train(
    config: PretrainConfig, dataset: Dataset, splits: tuple[str, ...]
) -> tuple[keras.Model, list[float], float]:
    size, recipe = dataset.manifest.tile_size, config.recipe
    normalisation = Normalisation.from_statistics(dataset.manifest.statistics, parse_bands(config.bands))
    device = find_device()
    jit, _ = choose_jit(config.jit, device)
    precision, _ = choose_precision(config.precision, device, jit)
    network = reconstruction_model(ModelSpec.of(recipe, size, normalisation), precision, config.seed)
    drawn = InputConfig(batch=config.batch, seed=config.seed, augment=parse_augment(config.augment))
    batches = HiddenBatches(dataset, splits, normalisation, drawn, config.patch, config.hidden)
    step = HiddenStep(network, Augmentation(normalisation, size), config.patch)
    step.compile(optimizer=make_optimizer(recipe, len(batches)), jit_compile=jit)
    step.optimizer.build(step.trainable_variables)  # or TensorFlow traces the step twice
    began = time.perf_counter()
    history = step.fit(batches, epochs=config.epochs, shuffle=False, verbose=0).history
    losses = [round(float(value), 5) for value in history["loss"]]
    if not math.isfinite(losses[-1]):
        raise TrainingError(
            f"--learning_rate={config.learning_rate}: expected a finite loss, found {losses[-1]}; lower it"
        )
    return network, losses, round(time.perf_counter() - began, 1)


def _write(out: Path, network: keras.Model, result: dict[str, Any]) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir()
        network.get_layer("encoder").save(partial / "encoder.keras")
        write_json(partial / "pretrain.json", result)
        partial.rename(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _ledger_entry(config: PretrainConfig, result: dict[str, Any]) -> dict[str, Any]:
    return {
        "kind": "adaptation",  # of images alone, as by `mmls_tf.adapt`: no evaluation
        "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "run": config.out,
        "methods": ["pretraining"],
        "column": "transductive",
        "images": result["images"]["isolated"],
        "labels_of": [],
        "data": config.data,
        "data_fingerprint": result["data_fingerprint"],
        "command": result["command"],
    }
