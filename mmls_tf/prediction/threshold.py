"""Above which probability a pixel is landslide: a number, or what val has chosen."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mmls_tf.errors import UsageError
from mmls_tf.evaluation.config import EvaluateConfig, parse_threshold
from mmls_tf.prediction.missing import without_masks

if TYPE_CHECKING:
    from mmls_tf.prediction.member import Member


def check_threshold(text: str) -> None:
    """Makes sure that a threshold is val or a number in (0, 1).

    Raises:
      UsageError: it is not.
    """
    if text != "val":
        parse_threshold(text)


def evaluation_on_val(run: str, weights: str, ensemble: str, tta: str, missing: str) -> EvaluateConfig:
    """Returns the evaluation on val that chooses the threshold of what these flags of `mmls_tf.evaluate` predict."""
    return EvaluateConfig(run=run, split="val", weights=weights, ensemble=ensemble, tta=tta, missing=missing)


def find_threshold(
    text: str, evaluated: EvaluateConfig, members: Sequence[Member], told: bool = False
) -> float:
    """Returns a threshold.

    Args:
      text: a number in (0, 1), or val.
      evaluated: the evaluation on val that has chosen it.
      told: whether runs with --context_masks are told masks here, as on val; if not, val must have chosen without.

    Raises:
      UsageError: no number, or val has chosen none for these runs.
    """
    from mmls_tf.evaluation.choice import (
        stored_choice,
    )  # imports Keras, for which a backend is to be chosen first

    if text != "val":
        return parse_threshold(text)
    if not told and any(member.context_masks != "none" for member in members):
        evaluated = dataclasses.replace(evaluated, missing=without_masks(evaluated.missing))
    stored = stored_choice(Path(evaluated.run), evaluated.variant)
    wanted = (tuple(member.sha256 for member in members), members[0].record.fingerprint)
    if stored is None or (stored.weights_sha256, stored.data_fingerprint) != wanted:
        found = "none" if stored is None else "one for other weights or another data set"
        flags = [f"--run={evaluated.run}", "--split=val", f"--weights={evaluated.weights}"]
        flags += [f"--ensemble={evaluated.ensemble}"] if evaluated.ensemble else []
        flags += [f"--tta={evaluated.tta}"] if evaluated.tta != "none" else []
        flags += [f"--missing={evaluated.missing}"] if evaluated.missing else []
        raise UsageError(
            f"--threshold=val: expected a threshold that val has chosen for these runs, found {found}; run "
            f"`python -m mmls_tf.evaluate {' '.join(flags)}` first"
        )
    return stored.threshold
