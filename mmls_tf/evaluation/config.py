"""The configuration of an evaluation job."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from mmls_tf.config import BACKENDS, WEIGHTS, WEIGHTS_HELP
from mmls_tf.entry import option
from mmls_tf.errors import UsageError
from mmls_tf.prediction.missing import parse_missing

SYMMETRIES = ("none", "flips", "d4")


@dataclass(frozen=True)
class EvaluateConfig:
    """Which run to evaluate on which split. Every field is a flag of `python -m mmls_tf.evaluate`."""

    run: str = option(None, "Run folder made by mmls_tf.train; the result is written there.")
    split: str = option(
        None, "Split to score; isolated is entered in the ledgers.", ("val", "test", "isolated")
    )
    data: str = option("", "Data set; empty: the one that the run was trained on.")
    weights: str = option("auto", WEIGHTS_HELP, WEIGHTS)
    ensemble: str = option(
        "", "Run folders, joined by commas, whose probabilities are averaged with those of --run."
    )
    tta: str = option(
        "none",
        "Average over symmetries of the square: none, flips (four) or d4 (all eight).",
        SYMMETRIES,
    )
    threshold: str = option(
        "0.5",
        "Probability above which a pixel is landslide: a number in (0, 1), or val: the best one on val.",
    )
    against: str = option(
        "",
        "Run folder with an evaluation of the same name on the same tiles, compared pair by pair.",
    )
    batch: int = option(16, "Tiles a forward pass.")
    missing: str = option(
        "",
        "Bands to be treated as missing, named as in --bands; a model trained with --band_dropout copes best. "
        "known_mask: the run is told no mask around a tile (--context_masks), as on ground that nobody has mapped.",
    )
    backend: str = option(
        "auto",
        "What Keras computes with, whatever the run was trained with. auto: what KERAS_BACKEND says, or else "
        "TensorFlow.",
        ("auto", *BACKENDS),
    )

    def __post_init__(self) -> None:
        if self.missing:
            parse_missing(self.missing)
        if self.batch < 1:
            raise UsageError(f"--batch={self.batch}: expected 1 or more")
        if self.threshold != "val":
            parse_threshold(self.threshold)

    @property
    def runs(self) -> tuple[str, ...]:
        """The run itself, and the others of the ensemble."""
        return (self.run, *(name.strip() for name in self.ensemble.split(",") if name.strip()))

    @property
    def variant(self) -> str:
        """What is done besides scoring the run as it is, as a part of a file name; empty: nothing."""
        parts = [f"without-{self.missing}"] if self.missing else []
        parts += [self.tta] if self.tta != "none" else []
        if len(self.runs) > 1:
            # Which runs they are stands in the result; here they only have to be kept apart.
            digest = hashlib.sha256(",".join(self.runs).encode()).hexdigest()
            parts.append(f"ensemble{len(self.runs)}-{digest[:6]}")
        return "-".join(parts)

    @property
    def name(self) -> str:
        """Name of the result: split, variant, threshold if it is not one half."""
        threshold = "" if self.threshold == "0.5" else f"threshold-{self.threshold}"
        return "-".join(part for part in (self.split, self.variant, threshold) if part)


def parse_threshold(text: str) -> float:
    """Returns a probability.

    Raises:
      UsageError: the text is no number in (0, 1).
    """
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise UsageError(f"--threshold={text}: expected val, or a number in (0, 1)")
    return value
