"""Flags that a sweep or cross-validation cannot go by, refused before anything is planned or trained."""

from __future__ import annotations

from collections.abc import Sequence

from mmls_tf.config import chosen_weights
from mmls_tf.errors import UsageError
from mmls_tf.sweeping.plan import Cell

_SPLITS = ("val", "test")


def parse_splits(text: str) -> tuple[str, ...]:
    """Returns the splits that `--evaluate` names.

    Raises:
      UsageError: one is neither val nor test, or is named twice.
    """
    splits = tuple(word.strip() for word in text.split(",")) if text else ()
    if "isolated" in splits:
        raise UsageError(
            f"--evaluate={text}: expected val and test only; a look at the isolated split is a job of its own, which "
            "is entered in its ledgers: python -m mmls_tf.evaluate --run=RUN --split=isolated"
        )
    if not set(splits) <= set(_SPLITS) or len(set(splits)) < len(splits):
        raise UsageError(f"--evaluate={text}: expected val, test or val,test")
    return splits


def require_no_run_flag(words: Sequence[str]) -> None:
    """Refuses `--run` on the command line; that of a flag file is the name of a single run, and is left aside.

    Raises:
      UsageError: it is there.
    """
    for word in words:
        if word.startswith("-") and word.lstrip("-").partition("=")[0] == "run":
            raise UsageError(
                f"{word}: expected --out; runs of a sweep lie in OUT and are named after their values"
            )


def common_weights(cells: Sequence[Cell], asked: str) -> str:
    """Returns what `--weights` means for all runs; auto stays where they differ."""
    meant = {chosen_weights(asked, cell.config) for cell in cells}
    return meant.pop() if len(meant) == 1 else asked


def require_weights(cells: Sequence[Cell], weights: str) -> None:
    """Refuses to score an average of weights that some run will not have.

    Raises:
      UsageError: names such a run.
    """
    for cell in cells:
        if weights == "ema" and not cell.config.ema:
            raise UsageError(f"--weights=ema: expected --ema of every run, found {cell.name} without")
