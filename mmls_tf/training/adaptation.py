"""What a run folder says of a run that was adapted to other ground (`mmls_tf.adapt`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SOURCE_ONLY, TRANSDUCTIVE = "source only", "transductive"


@dataclass(frozen=True)
class Adaptation:
    """From which run, to what, how.

    Attributes:
      source_run, source_weights, source_weights_sha256: which weights of which run it started from.
      target, target_fingerprint, target_split, target_tiles: the data set whose images were used.
      methods: in the order in which they were applied.
      column: what was known of the target, by which tables keep runs apart: transductive, its images; few labels, masks
        of some of its tiles too. A run without adaptation is source only.
      labelled: SHA-256 of the image files of the tiles whose masks were used, by key: scores leave these out.
      figures: see `mmls_tf.adaptation.job.adapt`.
    """

    source_run: str
    source_weights: str
    source_weights_sha256: str
    target: str
    target_fingerprint: str
    target_split: str
    target_tiles: int
    methods: tuple[str, ...]
    column: str
    labelled: Mapping[str, str]
    seed: int
    figures: Mapping[str, Any]

    @staticmethod
    def from_json(fields: Mapping[str, Any]) -> Adaptation:
        """Reads what `dataclasses.asdict` and JSON made of one.

        Raises:
          TypeError, KeyError: it is none.
        """
        return Adaptation(**{**fields, "methods": tuple(fields["methods"])})
