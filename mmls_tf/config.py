"""The configuration of a training run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mmls_tf.bands import BAND_NAMES, BANDS, parse_bands
from mmls_tf.entry import option
from mmls_tf.errors import UsageError

PRECISIONS = ("float32", "bfloat16")
BACKENDS = ("tensorflow", "jax")
WEIGHTS = ("auto", "best", "last", "ema")
WEIGHTS_HELP = (
    "Weights: best by validation mIoU, those of the last epoch, or their moving average (ema). auto: the average where "
    "the run kept one, else best."
)
DERIVATIONS = ("relative_dem", "highpass_dem", "terrain", "robust")
AUGMENTATIONS = ("d4", "optics", "elevation", "noise", "crop", "mosaic")
INPUTS = ("memory", "disk", "device")
STRATEGIES = ("one", "mirrored", "workers", "tpu", "parallel")


@dataclass(frozen=True)
class TrainConfig:
    """What to train, on what, into which folder. Every field is a flag of `python -m mmls_tf.train`."""

    data: str = option("data", "Data set made by tfrecords_builder; only its train and val splits are read.")
    run: str = option("", "Run folder to write; empty: runs/MODEL.")
    model: str = option(
        "unet", "Decoder, by which an architecture is known; `python -m mmls_tf.models` lists them."
    )
    encoder: str = option("plain", "Encoder under it; `python -m mmls_tf.models` lists them.")
    filters: int = option(
        16,
        "Width: filters at full resolution, of which those of the plain encoder and all decoders are multiples.",
    )
    fusion: str = option(
        "none",
        "none: one encoder sees all bands; concat, gated: optical bands have an encoder of their own, fused with that "
        "of terrain and thermal bands at every level.",
        ("none", "concat", "gated"),
    )
    full_skip: bool = option(
        False, "Bring features at full resolution to decoders or encoders that start coarser."
    )
    pretrained: str = option(
        "",
        "Weights that the encoder starts from, adapted to the bands. imagenet: its library's download; the folder of a "
        "run with the same encoder; a .keras file of an encoder; a .h5 file of the library's weights. Empty: random.",
    )
    bands: str = option(
        "all", "Bands that the model sees: names and sets joined by '+', such as rgb+dem or all."
    )
    derive: str = option(
        "none",
        "What the model computes from its bands before it looks, joined by '+': relative_dem (elevation less its mean "
        "over the window) or highpass_dem (less that of 33 x 33 pixels) in the place of absolute elevation, terrain "
        "(curvature, roughness and aspect besides), robust (optical bands less their median over the window, in "
        "interquartile ranges); or none.",
    )
    epochs: int = option(60, "Passes over the train split.")
    batch: int = option(16, "Tiles a step.")
    seed: int = option(0, "Seed of weights, order and augmentation.")
    loss: str = option(
        "bce_dice",
        "bce, dice, bce_dice, focal_tversky, bce_lovasz, or boundary: bce_dice with more weight near boundaries.",
        ("bce", "dice", "bce_dice", "focal_tversky", "bce_lovasz", "boundary"),
    )
    label_smoothing: float = option(
        0.0, "How far cross-entropies move the labels 0 and 1 towards one half, in [0, 1)."
    )
    landslide_weight: float = option(
        1.0, "How much a landslide pixel counts in cross-entropies beside one of background."
    )
    auxiliary: float = option(
        0.0, "Weight of the loss of a second head on coarse features, in training alone; 0: no such head."
    )
    optimizer: str = option("adamw", "adamw, or sgd with a Nesterov momentum of 0.9.", ("adamw", "sgd"))
    learning_rate: float = option(
        2e-3,
        "Highest learning rate; it warms up to it, then falls as a cosine. For --batch as it is: never scaled.",
    )
    weight_decay: float = option(1e-4, "Decoupled weight decay.")
    clip: float = option(1.0, "Largest norm of the whole gradient; 0: no clipping.")
    warmup: float = option(0.05, "Share of all steps over which the learning rate rises from zero.")
    patience: int = option(
        0,
        "End when val mIoU (that of the average, with --ema) has not improved for so many epochs; 0: never. The "
        "learning rate still falls as if for --epochs.",
    )
    ema: float = option(
        0.0, "Momentum of a moving average of the weights, kept beside them and saved as ema.keras; 0: none."
    )
    augment: str = option(
        "d4",
        "Random changes of training tiles, joined by '+': d4 (symmetries of the square), optics (gain, bias and gamma "
        "of optical bands), elevation (all of it up or down), noise, crop (parts enlarged), mosaic (four tiles in "
        "one); or none.",
    )
    band_dropout: float = option(
        0.0,
        "Probability with which a training tile loses a part of its bands, so that bands may be missing later.",
    )
    dropped_together: str = option(
        "band",
        "What --band_dropout takes: single bands, or groups (optical, terrain, thermal).",
        ("band", "group"),
    )
    context: int = option(
        0, "Pixels of surroundings that the model sees on every side of a tile; 0 as published."
    )
    context_from: str = option(
        "split",
        "Whose images surround a tile: split, tiles of its own split; all, those of train, val and test (never their "
        "labels). The isolated region takes from itself only.",
        ("split", "all"),
    )
    context_masks: str = option(
        "none",
        "Whose masks the model is told of in the surroundings, beside images: none; train, those of train tiles, never "
        "that of the tile itself. For tiles among mapped ones; where nothing is mapped it sees none.",
        ("none", "train"),
    )
    windows: str = option(
        "tiles",
        "Where training windows lie: tiles, each on a train tile; anywhere, across their borders too.",
        ("tiles", "anywhere"),
    )
    folds: str = option(
        "",
        "Deal the tiles of train and val anew, for cross-validation: random:K, or blocks:K, contiguous and with a "
        "buffer of one tile around the block that is val. Empty: the splits of the data set.",
    )
    fold: int = option(0, "Which of the K folds is val, from 0.")
    input: str = option(
        "auto",
        "memory: tiles in main memory, made into batches by tf.data; disk: shards read anew each epoch by tf.data; "
        "device: tiles in the accelerator's memory, cut and augmented inside the compiled step. auto: device on GPU "
        "and TPU under JAX, else memory; disk where tiles do not fit.",
        ("auto", *INPUTS),
    )
    steps_per_execution: int = option(
        1,
        "Steps that run without coming back to Python, a divisor of the steps of an epoch: worth it where a step takes "
        "milliseconds.",
    )
    strategy: str = option(
        "auto",
        "one device; mirrored: all GPUs of this machine; workers: several machines, as TF_CONFIG says; tpu: a TPU "
        "under TensorFlow; parallel: all devices under JAX. auto: mirrored or parallel where there are several GPUs or "
        "TPU cores, else one. --batch is what all devices together take in a step.",
        ("auto", *STRATEGIES),
    )
    deterministic: bool = option(
        False, "The same bits on the same machine, also on a GPU, where it is slower; a CPU needs it seldom."
    )
    jit: str = option(
        "auto",
        "Compile with XLA. auto: on GPU and TPU and under --backend=jax, off on CPU, where it is slower; on: or fail.",
        ("auto", "on", "off"),
    )
    precision: str = option(
        "auto",
        "Arithmetic. bfloat16 is mixed: variables, loss and logits stay float32. auto: bfloat16 on GPU, TPU and "
        "CPUs with AVX512_BF16 or AMX, else float32.",
        ("auto", *PRECISIONS),
    )
    backend: str = option(
        "auto",
        "What Keras computes with. auto: what KERAS_BACKEND says, or else TensorFlow.",
        ("auto", *BACKENDS),
    )
    profile: bool = option(
        False, "Write a trace of ten steps of the second epoch for TensorBoard's profiler into RUN/profile."
    )
    overwrite: bool = option(False, "Replace a run at --run.")
    resume: bool = option(
        False,
        "Go on with an interrupted run at --run, from its last whole epoch; start it where there is none.",
    )

    def __post_init__(self) -> None:
        parse_bands(self.bands)
        parse_augment(self.augment)
        parse_derive(self.derive, [BAND_NAMES[index] for index in parse_bands(self.bands)])
        parse_folds(self.folds, self.fold)
        for name in ("filters", "epochs", "batch", "steps_per_execution"):
            if getattr(self, name) < 1:
                raise UsageError(f"--{name}={getattr(self, name)}: expected 1 or more")
        if not self.learning_rate > 0:
            raise UsageError(f"--learning_rate={self.learning_rate}: expected more than 0")
        if not 0 <= self.label_smoothing < 1:
            raise UsageError(f"--label_smoothing={self.label_smoothing}: expected a number in [0, 1)")
        if not self.landslide_weight > 0:
            raise UsageError(f"--landslide_weight={self.landslide_weight}: expected more than 0")
        if not self.weight_decay >= 0:
            raise UsageError(f"--weight_decay={self.weight_decay}: expected 0 or more")
        if not 0 <= self.warmup < 1:
            raise UsageError(f"--warmup={self.warmup}: expected a share in [0, 1)")
        if not 0 <= self.band_dropout < 1:
            raise UsageError(f"--band_dropout={self.band_dropout}: expected a probability in [0, 1)")
        if not 0 <= self.ema < 1:
            raise UsageError(f"--ema={self.ema}: expected a momentum in [0, 1), such as 0.99")
        for name in ("auxiliary", "clip", "patience"):
            if not getattr(self, name) >= 0:
                raise UsageError(f"--{name}={getattr(self, name)}: expected 0 or more")
        if self.overwrite and self.resume:
            raise UsageError(
                "--overwrite --resume: expected one of them; the one replaces a run, the other goes on"
            )
        if self.context < 0:
            raise UsageError(f"--context={self.context}: expected 0 or more pixels")
        if self.context_masks != "none" and (self.context == 0 or self.context_from != "all"):
            raise UsageError(
                f"--context_masks={self.context_masks}: expected surroundings with train tiles in them, --context=64 "
                f"--context_from=all, found --context={self.context} --context_from={self.context_from}"
            )
        if self.seed < 0:
            raise UsageError(f"--seed={self.seed}: expected 0 or more")

    @property
    def run_folder(self) -> str:
        """The run folder, by default named after the model."""
        return self.run or f"runs/{self.model}"

    @property
    def surroundings(self) -> dict[str, Any]:
        """Flags that say which pixels beside its tiles a run sees; none where it sees no others. Tables state them."""
        if self.context == 0 and self.windows == "tiles":
            return {}
        told = {"context_masks": self.context_masks} if self.context_masks != "none" else {}
        return {"context": self.context, "context_from": self.context_from, **told}


def chosen_weights(asked: str, config: TrainConfig) -> str:
    """Returns which weights of a run `--weights` means: best, last or ema."""
    if asked != "auto":
        return asked
    return "ema" if config.ema else "best"


def parse_augment(text: str) -> tuple[str, ...]:
    """Returns the augmentations that `--augment` names, in the order in which they are listed there.

    Raises:
      UsageError: a name is none of them.
    """
    names = () if text == "none" else tuple(text.split("+"))
    for name in names:
        if name not in AUGMENTATIONS:
            raise UsageError(
                f"--augment={text}: expected none, or names joined by '+' out of {', '.join(AUGMENTATIONS)}; "
                f"found {name!r}"
            )
    return tuple(name for name in AUGMENTATIONS if name in names)


def parse_derive(text: str, bands: Sequence[str]) -> tuple[str, ...]:
    """Returns what `--derive` names, in the order in which it is listed there.

    Args:
      bands: names of the bands that the model sees.

    Raises:
      UsageError: a name is none of them, or the bands that it needs are not there.
    """
    names = () if text == "none" else tuple(text.split("+"))
    for name in names:
        if name not in DERIVATIONS:
            raise UsageError(
                f"--derive={text}: expected none, or names joined by '+' out of {', '.join(DERIVATIONS)}; "
                f"found {name!r}"
            )
        needed = {band.name for band in BANDS if band.group == "optical"} if name == "robust" else {"dem"}
        if not needed & set(bands):
            raise UsageError(
                f"--derive={text}: expected {'an optical band' if name == 'robust' else 'dem'} in --bands for {name}, "
                f"found {', '.join(bands)}"
            )
    return tuple(name for name in DERIVATIONS if name in names)


def parse_folds(text: str, fold: int) -> tuple[str, int] | None:
    """Returns (random or blocks, number of folds), None for no folds.

    Raises:
      UsageError: the text is neither random:K nor blocks:K with K of 2 or more, or there is no such fold.
    """
    if not text:
        if fold:
            raise UsageError(f"--fold={fold}: expected --folds with it, such as --folds=random:5")
        return None
    way, _, count = text.partition(":")
    if way not in ("random", "blocks") or not count.isdecimal() or int(count) < 2:
        raise UsageError(f"--folds={text}: expected random:K or blocks:K, K being 2 or more")
    if not 0 <= fold < int(count):
        raise UsageError(f"--fold={fold}: expected a number from 0 to {int(count) - 1}, as --folds={text}")
    return way, int(count)
