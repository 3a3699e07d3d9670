"""The configuration of a pre-training."""

from __future__ import annotations

from dataclasses import dataclass

from mmls_tf.bands import BAND_NAMES, parse_bands
from mmls_tf.config import BACKENDS, PRECISIONS, TrainConfig, parse_augment, parse_derive
from mmls_tf.entry import option
from mmls_tf.errors import UsageError
from mmls_tf.schema import SPLITS


@dataclass(frozen=True)
class PretrainConfig:
    """What to teach which encoder by. Every field is a flag of `python -m mmls_tf.pretrain`."""

    out: str = option(None, "Folder to write encoder.keras into; must not exist.")
    data: str = option("data", "Data set made by tfrecords_builder; no mask is used.")
    splits: str = option(
        "train+val+test+isolated",
        "Splits whose images are used, joined by '+'. Of isolated, this is entered in its ledger.",
    )
    encoder: str = option("plain", "Encoder, as of the runs that are to start from it.")
    filters: int = option(16, "Width, as of those runs.")
    bands: str = option("all", "Bands, as of those runs.")
    derive: str = option("none", "What is computed from the bands, as of those runs.")
    patch: int = option(16, "Side in pixels of the squares that are hidden.")
    hidden: float = option(0.6, "Share of the squares that are hidden.")
    augment: str = option("d4", "Random changes of tiles, as --augment of training.")
    epochs: int = option(60, "Passes over the images.")
    batch: int = option(16, "Tiles a step.")
    learning_rate: float = option(2e-3, "Highest learning rate.")
    seed: int = option(0, "Seed of weights, order, augmentation and of what is hidden.")
    precision: str = option("auto", "Arithmetic, as of training.", ("auto", *PRECISIONS))
    jit: str = option("auto", "Compile with XLA, as of training.", ("auto", "on", "off"))
    backend: str = option(
        "auto",
        "What Keras computes with. auto: what KERAS_BACKEND says, or else TensorFlow.",
        ("auto", *BACKENDS),
    )

    def __post_init__(self) -> None:
        parse_derive(self.derive, [BAND_NAMES[index] for index in parse_bands(self.bands)])
        parse_augment(self.augment)
        parse_splits(self.splits)
        for name in ("filters", "patch", "epochs", "batch", "learning_rate"):
            if not getattr(self, name) > 0:
                raise UsageError(f"--{name}={getattr(self, name)}: expected more than 0")
        if not 0 < self.hidden < 1:
            raise UsageError(f"--hidden={self.hidden}: expected a share in (0, 1)")
        if self.seed < 0:
            raise UsageError(f"--seed={self.seed}: expected 0 or more")

    @property
    def recipe(self) -> TrainConfig:
        """The configuration of training that builds the same encoder and schedule."""
        return TrainConfig(
            data=self.data,
            encoder=self.encoder,
            filters=self.filters,
            bands=self.bands,
            derive=self.derive,
            augment=self.augment,
            epochs=self.epochs,
            batch=self.batch,
            learning_rate=self.learning_rate,
            seed=self.seed,
        )


def parse_splits(text: str) -> tuple[str, ...]:
    """Returns the splits that `--splits` names.

    Raises:
      UsageError: a name is none of a split.
    """
    names = text.split("+")
    for name in names:
        if name not in SPLITS:
            raise UsageError(
                f"--splits={text}: expected names joined by '+' out of {', '.join(SPLITS)}; found {name!r}"
            )
    return tuple(name for name in SPLITS if name in names)
