"""The configuration of a robustness job."""

from __future__ import annotations

from dataclasses import dataclass

from mmls_tf.config import BACKENDS, WEIGHTS, WEIGHTS_HELP
from mmls_tf.entry import option
from mmls_tf.errors import UsageError
from mmls_tf.evaluation.config import SYMMETRIES
from mmls_tf.evaluation.robustness.families import FAMILIES

SPLITS = ("val", "test")


@dataclass(frozen=True)
class RobustnessConfig:
    """Which run to try on which changes. Every field is a flag of `python -m mmls_tf.robustness`."""

    run: str = option(None, "Run folder made by mmls_tf.train; the result is written there.")
    split: str = option(
        None, "Split whose tiles are changed: val or test. Isolated is for mmls_tf.evaluate alone."
    )
    data: str = option("", "Data set; empty: the one that the run was trained on.")
    weights: str = option("auto", WEIGHTS_HELP, WEIGHTS)
    tta: str = option(
        "none", "Average over symmetries of the square: none, flips (four) or d4 (all eight).", SYMMETRIES
    )
    changes: str = option(
        "all", f"Families of changes, joined by commas, out of {', '.join(FAMILIES)}; all: every one."
    )
    batch: int = option(16, "Tiles a forward pass.")
    backend: str = option(
        "auto",
        "What Keras computes with, whatever the run was trained with. auto: what KERAS_BACKEND says, or else "
        "TensorFlow.",
        ("auto", *BACKENDS),
    )

    def __post_init__(self) -> None:
        if self.split == "isolated":
            raise UsageError(
                "--split=isolated: expected val or test, found the split that is evaluated by a job of its own with a "
                "ledger, `python -m mmls_tf.evaluate --split=isolated`; some dozens of looks at it would make it a "
                "second val"
            )
        if self.split not in SPLITS:
            raise UsageError(f"--split={self.split}: expected one of {', '.join(SPLITS)}")
        if self.batch < 1:
            raise UsageError(f"--batch={self.batch}: expected 1 or more")
        unknown = [name for name in self.families if name not in FAMILIES]
        if unknown or not self.families:
            raise UsageError(
                f"--changes={self.changes}: expected all, or names out of {', '.join(FAMILIES)}, found "
                f"{unknown[0] if unknown else 'none'!r}"
            )

    @property
    def families(self) -> tuple[str, ...]:
        """The chosen families, in the order of `FAMILIES`, then what is none."""
        if self.changes == "all":
            return FAMILIES
        chosen = {name.strip() for name in self.changes.split(",") if name.strip()}
        return (*(name for name in FAMILIES if name in chosen), *sorted(chosen - set(FAMILIES)))

    @property
    def name(self) -> str:
        """Name of the result: split, symmetries if any, families if not all."""
        parts = [self.split]
        parts += [self.tta] if self.tta != "none" else []
        parts += ["+".join(self.families)] if self.families != FAMILIES else []
        return "-".join(parts)
