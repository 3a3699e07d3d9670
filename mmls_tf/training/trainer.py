"""One training run: a configuration goes in, a run folder comes out."""

from __future__ import annotations

import dataclasses
import platform
from importlib import metadata
from pathlib import Path

from mmls_tf import __version__
from mmls_tf.backend import choose_backend
from mmls_tf.bands import parse_bands
from mmls_tf.config import TrainConfig, parse_folds
from mmls_tf.data.augment import Augmentation
from mmls_tf.data.dataset import Dataset, open_dataset, verify_splits
from mmls_tf.data.folds import train_statistics, with_folds
from mmls_tf.data.normalise import Normalisation
from mmls_tf.errors import RunFolderError, UsageError
from mmls_tf.losses import make_loss
from mmls_tf.models.encoders.table import encoder_named
from mmls_tf.models.registry import build_with_auxiliary, decoder_named
from mmls_tf.models.spec import ModelSpec
from mmls_tf.schema import SCHEMA_VERSION, TRAINING_SPLITS
from mmls_tf.training.checkpoint import Progress, load_variables, read_progress
from mmls_tf.training.compilation import require_lowering
from mmls_tf.training.device import choose_jit, choose_precision, find_device, make_deterministic
from mmls_tf.training.feed import Feed, make_feed
from mmls_tf.training.fit import fit
from mmls_tf.training.optimizer import compile_model
from mmls_tf.training.run_folder import RunFolder, RunRecord, locked, require_free
from mmls_tf.training.step import TrainingStep, TrainingStepOfWorkers
from mmls_tf.training.strategy import Strategy, choose_strategy, require_together, worker_number
from mmls_tf.training.warm_start import images_seen, warm_start

_NOT_OF_THE_RUN = ("run", "overwrite", "resume", "profile")  # flags that may differ when a run goes on


def train(config: TrainConfig, command: str) -> RunFolder:
    """Trains what `config` describes; of test tiles it reads images alone, and those only with --context_from=all.

    Raises:
      DatasetError: the data set is missing, unlabelled, or does not match its manifest.
      RunFolderError: the run folder is in use, or holds another run than the one to be resumed.
      UsageError: Keras runs on another backend than `config.backend`, there is no such decoder or encoder, or flags
        do not go together.
      CompilationError: XLA was asked for and the model cannot be compiled.
      TrainingError: the loss has become no number.
    """
    choose_backend(config.backend)
    decoder_named(config.model), encoder_named(config.encoder)  # a slip is said before anything is read
    root = Path(config.run_folder + (f".worker{number}" if (number := worker_number()) else ""))
    if not (config.resume and RunFolder(root).started):
        require_free(root, config.overwrite)
    with locked(root):
        if config.resume and RunFolder(root).started:
            folder, record = RunFolder.open(root)
            _require_same(root, config, record.config)
            _require_data(root, config, record)
            if folder.finished:
                print(f"run        {root} is finished already")
                return folder
        return _train(config, root, command)


def _train(config: TrainConfig, root: Path, command: str) -> RunFolder:
    if config.deterministic:
        make_deterministic()
    dataset = open_splits(config)
    normalisation = Normalisation.from_statistics(train_statistics(dataset), parse_bands(config.bands))
    device = find_device()
    jit, why_jit = choose_jit(config.jit, device)
    precision, why_precision = choose_precision(config.precision, device, jit)
    strategy = choose_strategy(config.strategy, device, config.batch)
    steps = _steps(config, dataset.tiles("train"))
    going_on = config.resume and RunFolder(root).checkpoint.is_file()
    progress = read_progress(RunFolder(root).checkpoint) if going_on else Progress()
    with strategy.scope():
        feed = make_feed(config, dataset, normalisation, device, strategy, progress.epoch * steps, steps)
        model, started_from = build_step(config, dataset, normalisation, feed, precision, strategy)
        compile_model(model, config, steps, jit)
        if jit:
            require_lowering(model, (feed.example,))
        if going_on or strategy.native:
            model._symbolic_build(data_batch=(feed.example,))  # optimiser and metrics get their variables
        if going_on:
            load_variables(RunFolder(root).checkpoint, model)
        require_together(strategy, progress.epoch)
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
        parameters=model.network.count_params(),
        versions=_versions(device.backend),
        command=command,
        images_seen=images_seen(config.pretrained) if config.pretrained else {},
    )
    folder = RunFolder(root) if going_on else RunFolder.create(root, record)
    print(f"device     {device}")
    print(f"strategy   {strategy}; {_shares(config, strategy)}")
    print(f"XLA        {'on' if jit else 'off'} ({why_jit})")
    print(f"precision  {precision} ({why_precision})")
    print(f"input      {feed.way} ({feed.why})")
    print(
        f"model      {config.model} on {config.encoder}, {record.parameters:,} parameters, bands {config.bands}"
    )
    for line in started_from:
        print(f"pretrained {line}")
    print(f"data       {config.data}, {dataset.tiles('train')} train and {dataset.tiles('val')} val tiles")
    if going_on:
        print(f"resumed    after epoch {progress.epoch} of {config.epochs}")
    fit(model, feed, config, strategy, steps, progress, folder, record)
    return folder


def _steps(config: TrainConfig, tiles: int) -> int:
    """Returns the steps of an epoch."""
    steps = tiles // config.batch
    if not steps:
        raise UsageError(f"--batch={config.batch}: expected at most {tiles}, the number of train tiles")
    if steps % config.steps_per_execution:
        # Keras would run the last execution in full: epochs would be longer than the schedule of the learning rate and
        # a run that goes on believe.
        divisors = [number for number in range(1, steps + 1) if steps % number == 0]
        raise UsageError(
            f"--steps_per_execution={config.steps_per_execution}: expected a divisor of the {steps} steps of an epoch "
            f"({tiles} train tiles, --batch={config.batch}): one of {', '.join(map(str, divisors))}"
        )
    return steps


def open_splits(config: TrainConfig) -> Dataset:
    """Opens and checks the data set of a run, its train and val tiles dealt anew where --folds asks for it.

    Raises:
      DatasetError: it is missing, has no masks, or does not match its manifest.
    """
    dataset = open_dataset(Path(config.data))
    for split in TRAINING_SPLITS:  # val decides which epoch was best, so it is needed, with masks
        dataset.labelled_split(split)
    verify_splits(dataset, TRAINING_SPLITS)
    folds = parse_folds(config.folds, config.fold)
    return with_folds(dataset, folds, config.fold) if folds else dataset


def build_step(
    config: TrainConfig,
    dataset: Dataset,
    normalisation: Normalisation,
    feed: Feed,
    precision: str,
    strategy: Strategy,
) -> tuple[TrainingStep, list[str]]:
    """Returns the training step around a new model, not compiled yet, and lines that say what its weights started from.

    Raises:
      UsageError: flags of the model do not go together, or weights to start from cannot be had.
    """
    spec = ModelSpec.of(config, dataset.manifest.tile_size, normalisation)
    network, with_second_head = build_with_auxiliary(spec, precision, config.seed)
    started_from = warm_start(network, config) if config.pretrained else []
    kind = TrainingStepOfWorkers if strategy.kind == "workers" else TrainingStep
    step = kind(
        network,
        Augmentation(normalisation, spec.tile_size),
        make_loss(config.loss, config.label_smoothing, config.landslide_weight),
        feed.ground,
        with_second_head if config.auxiliary else None,
        config.auxiliary,
        config.context,
        config.ema,
    )
    return step, started_from


def _require_same(root: Path, asked: TrainConfig, found: TrainConfig) -> None:
    before, now = dataclasses.asdict(found), dataclasses.asdict(asked)
    differing = [name for name in now if name not in _NOT_OF_THE_RUN and now[name] != before[name]]
    if differing:
        raise RunFolderError(
            f"--run={root} --resume: expected the flags that the run was started with, found "
            + ", ".join(f"--{name}={now[name]} instead of {before[name]}" for name in differing)
        )


def _require_data(root: Path, config: TrainConfig, record: RunRecord) -> None:
    found = open_dataset(Path(config.data)).manifest.fingerprint
    if found != record.fingerprint:
        raise RunFolderError(
            f"--run={root} --resume: expected the data set that the run was started on (fingerprint "
            f"{record.fingerprint[:12]}...), found another at {config.data} ({found[:12]}...)"
        )


def _shares(config: TrainConfig, strategy: Strategy) -> str:
    if strategy.replicas == 1:
        return f"batch {config.batch}"
    return (
        f"batch {config.batch}, {config.batch // strategy.replicas} on each device; --learning_rate is for the whole "
        "batch and is not scaled"
    )


def _versions(backend: str) -> dict[str, str]:
    names = ("keras", "numpy", *(("jax", "jaxlib") if backend == "jax" else ("tensorflow",)))
    return {
        "mmls_tf": __version__,
        "python": platform.python_version(),
        **{n: metadata.version(n) for n in names},
    }
