"""One training run: a configuration goes in, a run folder comes out."""

from __future__ import annotations

import platform
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import keras

from mmls_tf import __version__
from mmls_tf.backend import choose_backend
from mmls_tf.bands import parse_bands
from mmls_tf.config import TrainConfig
from mmls_tf.data.dataset import Dataset, open_dataset, verify_splits
from mmls_tf.data.input import evaluation_input, training_input
from mmls_tf.data.normalise import Normalisation
from mmls_tf.data.pipeline import InputConfig
from mmls_tf.losses import make_loss
from mmls_tf.metrics import WatchedMiou
from mmls_tf.models.encoders.table import encoder_named
from mmls_tf.models.registry import build_model, decoder_named
from mmls_tf.models.spec import ModelSpec
from mmls_tf.schema import SCHEMA_VERSION, TRAINING_SPLITS
from mmls_tf.training.callbacks import Checkpoints, EmaWeights, EpochLine, StopIfNotFinite
from mmls_tf.training.compilation import require_lowering
from mmls_tf.training.device import choose_jit, choose_precision, find_device, require_compiled
from mmls_tf.training.run_folder import RunFolder, RunRecord
from mmls_tf.training.warm_start import warm_start

_GRADIENT_NORM = 1.0


def train(config: TrainConfig, command: str) -> RunFolder:
    """Trains what `config` describes; reads the train and val splits and no other.

    Raises:
      DatasetError: the data set is missing, unlabelled, or does not match its manifest.
      RunFolderError: the run folder is in use.
      UsageError: Keras runs on another backend than `config.backend`, or there is no such decoder or encoder.
      CompilationError: XLA was asked for and the model cannot be compiled.
    """
    choose_backend(config.backend)
    decoder_named(config.model), encoder_named(config.encoder)  # a slip is said before anything is read
    dataset = open_dataset(Path(config.data))
    for split in TRAINING_SPLITS:  # val decides which epoch was best, so it is needed, with masks
        dataset.labelled_split(split)
    verify_splits(dataset, TRAINING_SPLITS)
    normalisation = Normalisation.from_statistics(dataset.manifest.statistics, parse_bands(config.bands))
    device = find_device()
    jit, why_jit = choose_jit(config.jit, device)
    precision, why_precision = choose_precision(config.precision, device, jit)
    model = build_model(ModelSpec.of(config, dataset.manifest.tile_size), precision, config.seed)
    started_from = warm_start(model, config) if config.pretrained else []
    batches = training_input(dataset, normalisation, _input_config(config))
    steps = dataset.split("train").tiles // config.batch
    compile_model(model, config, steps, jit)
    if jit:
        require_lowering(model, config.batch)
    record = RunRecord(
        config=config,
        schema_version=SCHEMA_VERSION,
        fingerprint=dataset.manifest.fingerprint,
        scaling=dataset.manifest.scaling,
        tile_size=dataset.manifest.tile_size,
        normalisation=normalisation,
        precision=precision,
        jit=jit,
        backend=device.backend,
        device=str(device),
        parameters=model.count_params(),
        versions=_versions(device.backend),
        command=command,
    )
    folder = RunFolder.create(Path(config.run_folder), record, config.overwrite)
    print(f"device     {device}")
    print(f"XLA        {'on' if jit else 'off'} ({why_jit})")
    print(f"precision  {precision} ({why_precision})")
    print(
        f"model      {config.model} on {config.encoder}, {record.parameters:,} parameters, bands {config.bands}"
    )
    for line in started_from:
        print(f"pretrained {line}")
    print(
        f"data       {config.data}, {dataset.split('train').tiles} train and {dataset.split('val').tiles} val tiles"
    )
    _fit(model, batches, dataset, normalisation, config, steps, folder)
    return folder


def _input_config(config: TrainConfig) -> InputConfig:
    return InputConfig(
        batch=config.batch,
        seed=config.seed,
        augment=config.augment,
        band_dropout=config.band_dropout,
        dropped_together=config.dropped_together,
        context=config.context,
        context_from=config.context_from,
        windows=config.windows,
    )


def compile_model(model: keras.Model, config: TrainConfig, steps: int, jit: bool) -> None:
    """Gives a model its optimiser, loss and metric, compiled with XLA if `jit`."""
    optimizer = keras.optimizers.AdamW(
        learning_rate=learning_rate_schedule(config, steps),
        weight_decay=config.weight_decay,
        clipnorm=_GRADIENT_NORM,
        use_ema=config.ema > 0,
        ema_momentum=config.ema,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    model.compile(
        optimizer=optimizer,
        loss=make_loss(config.loss, config.label_smoothing, config.landslide_weight),
        metrics=[WatchedMiou()],
        jit_compile=jit,
    )
    if jit:
        require_compiled(model)


def learning_rate_schedule(
    config: TrainConfig, steps: int
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Returns a linear rise over the first `warmup` of all steps, then half a cosine down to zero."""
    total = config.epochs * steps
    warmup = min(round(config.warmup * total), total - 1)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else config.learning_rate,
        decay_steps=total - warmup,
        warmup_target=config.learning_rate if warmup else None,
        warmup_steps=warmup,
    )


def _fit(
    model: keras.Model,
    batches: Any,
    dataset: Dataset,
    normalisation: Normalisation,
    config: TrainConfig,
    steps: int,
    folder: RunFolder,
) -> None:
    validation = evaluation_input(
        dataset, "val", normalisation, config.batch, config.context, config.context_from
    )
    validation = validation.map(lambda tile: (tile["image"], tile["target"])).cache()
    checkpoints = Checkpoints(folder)
    started = time.perf_counter()
    model.fit(
        batches,
        epochs=config.epochs,
        steps_per_epoch=steps,
        validation_data=validation,
        shuffle=False,  # the pipeline has shuffled; Keras would only warn that it cannot
        verbose=0,
        callbacks=[
            StopIfNotFinite(config.learning_rate),
            checkpoints,
            *([EmaWeights(folder, validation)] if config.ema else []),
            keras.callbacks.CSVLogger(str(folder.history)),
            keras.callbacks.TensorBoard(str(folder.tensorboard), write_graph=False, profile_batch=0),
            EpochLine(config.epochs, steps * config.batch, checkpoints),
        ],
    )
    folder.write_summary(
        {
            "best_epoch": checkpoints.best_epoch,
            "best_val_miou": checkpoints.best_miou,
            "epochs": config.epochs,
            "seconds": round(time.perf_counter() - started, 1),
        }
    )


def _versions(backend: str) -> dict[str, str]:
    names = ("keras", "numpy", "tensorflow", *(("jax", "jaxlib") if backend == "jax" else ()))
    return {
        "mmls_tf": __version__,
        "python": platform.python_version(),
        **{n: metadata.version(n) for n in names},
    }
