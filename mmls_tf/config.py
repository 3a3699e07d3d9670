"""The configuration of a training run."""

from __future__ import annotations

from dataclasses import dataclass

from mmls_tf.bands import parse_bands
from mmls_tf.entry import option
from mmls_tf.errors import UsageError

PRECISIONS = ("float32", "bfloat16")
BACKENDS = ("tensorflow", "jax")


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
    learning_rate: float = option(
        2e-3, "Highest learning rate of AdamW; it warms up to it, then falls as a cosine."
    )
    weight_decay: float = option(1e-4, "Weight decay of AdamW.")
    warmup: float = option(0.05, "Share of all steps over which the learning rate rises from zero.")
    ema: float = option(
        0.0, "Momentum of a moving average of the weights, kept beside them and saved as ema.keras; 0: none."
    )
    augment: str = option(
        "d4", "d4: one of the eight symmetries of the square for each tile; none.", ("d4", "none")
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
    windows: str = option(
        "tiles",
        "Where training windows lie: tiles, each on a train tile; anywhere, across their borders too.",
        ("tiles", "anywhere"),
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
        "What Keras computes with; data is read by TensorFlow under either. auto: what KERAS_BACKEND says, or "
        "else TensorFlow.",
        ("auto", *BACKENDS),
    )
    overwrite: bool = option(False, "Replace a run at --run.")

    def __post_init__(self) -> None:
        parse_bands(self.bands)
        for name in ("filters", "epochs", "batch"):
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
        if self.context < 0:
            raise UsageError(f"--context={self.context}: expected 0 or more pixels")
        if self.seed < 0:
            raise UsageError(f"--seed={self.seed}: expected 0 or more")

    @property
    def run_folder(self) -> str:
        """The run folder, by default named after the model."""
        return self.run or f"runs/{self.model}"


@dataclass(frozen=True)
class EvaluateConfig:
    """Which run to evaluate on which split. Every field is a flag of `python -m mmls_tf.evaluate`."""

    run: str = option(None, "Run folder made by mmls_tf.train.")
    split: str = option(
        None, "Split to score; isolated is entered in the ledgers.", ("val", "test", "isolated")
    )
    data: str = option("", "Data set; empty: the one that the run was trained on.")
    weights: str = option(
        "best",
        "Weights: best by validation mIoU, those of the last epoch, or their moving average (ema).",
        ("best", "last", "ema"),
    )
    batch: int = option(16, "Tiles a forward pass.")
    missing: str = option(
        "",
        "Bands to be treated as missing, named as in --bands; a model trained with --band_dropout copes best.",
    )
    backend: str = option(
        "auto",
        "What Keras computes with, whatever the run was trained with. auto: what KERAS_BACKEND says, or else "
        "TensorFlow.",
        ("auto", *BACKENDS),
    )

    def __post_init__(self) -> None:
        if self.missing:
            parse_bands(self.missing, "missing")
        if self.batch < 1:
            raise UsageError(f"--batch={self.batch}: expected 1 or more")

    @property
    def name(self) -> str:
        """Name of the result: that of the split and, if any, of the missing bands."""
        return f"{self.split}-without-{self.missing}" if self.missing else self.split


@dataclass(frozen=True)
class ExportConfig:
    """Which run to export where. Every field is a flag of `python -m mmls_tf.export`."""

    run: str = option(None, "Run folder made by mmls_tf.train; the run must be finished.")
    out: str = option(None, "Folder to write; must not exist.")
    weights: str = option(
        "best", "Weights: best by validation mIoU, or those of the last epoch.", ("best", "last")
    )
