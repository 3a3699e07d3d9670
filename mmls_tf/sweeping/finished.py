"""What runs have left behind, read from their JSON files alone, so that no accelerator is taken for reading."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmls_tf.config import TrainConfig, chosen_weights
from mmls_tf.errors import MmlsError, RunFolderError

_RECORD = "run.json"
_SUMMARY = "summary.json"
_KEYS = {
    "config", "seed", "best_epoch", "best_val_miou", "last_val_miou", "ema_val_miou", "epochs", "seconds",
    "input_share", "parameters", "machine", "commit", "device", "precision", "jit", "backend", "versions",
}  # fmt: skip


@dataclass(frozen=True)
class RunFiles:
    """A run folder as read.

    Attributes:
      record: `run.json`, written when training starts.
      summary: `summary.json`, written when it ends; None for a run that was interrupted.
    """

    folder: Path
    config: TrainConfig
    record: dict[str, Any]
    summary: dict[str, Any] | None

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the data set that it was trained on."""
        return str(self.record["fingerprint"])

    @property
    def known_beside_source(self) -> str:
        """What was known of ground beside the training tiles, in words; empty for nothing."""
        if adaptation := self.record.get("adaptation"):
            return f"adapted by {'+'.join(adaptation['methods'])} ({adaptation['column']})"
        seen = sorted({split for splits in self.record.get("images_seen", {}).values() for split in splits})
        return f"encoder taught by images of {', '.join(seen)}" if seen else ""

    def evaluation(self, split: str) -> dict[str, Any] | None:
        """Returns the run's latest evaluation of a split, None where there is none."""
        path = self.folder / "evaluations" / f"{split}.json"
        return _read(path) if path.is_file() else None

    def robustness(self, name: str) -> dict[str, Any]:
        """Returns what `mmls_tf.robustness` wrote under this name."""
        return _read(self.folder / "robustness" / f"{name}.json")

    def evaluation_of(self, split: str, weights: str) -> dict[str, Any] | None:
        """Returns the evaluation of a split if it is of these weights as they are now, on the run's own data set."""
        found = self.evaluation(split)
        wanted = chosen_weights(weights, self.config), self.fingerprint
        if found is None or (found["weights"], found["data_fingerprint"]) != wanted:
            return None
        return found if self.is_current(found) else None

    def is_current(self, evaluation: dict[str, Any]) -> bool:
        """Returns whether an evaluation, or a study of changes, is of the run's weights as they are now."""
        path = self.folder / f"{evaluation['weights']}.keras"
        return path.is_file() and (
            evaluation["weights_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        )


def read_run(folder: Path) -> RunFiles | None:
    """Reads a run folder, None where no run is.

    Raises:
      RunFolderError: a file is damaged, or was written by another version.
    """
    if not (folder / _RECORD).is_file():
        return None
    record = _read(folder / _RECORD)
    summary = _read(folder / _SUMMARY) if (folder / _SUMMARY).is_file() else None
    try:
        missing = _KEYS - summary.keys() if summary is not None else set()
        if missing or "fingerprint" not in record:
            raise ValueError(f"no {', '.join(sorted(missing)) or 'fingerprint'}")
        return RunFiles(folder, TrainConfig(**(summary or record)["config"]), record, summary)
    except (KeyError, TypeError, ValueError, MmlsError) as error:
        raise RunFolderError(f"{folder}: expected a run of this version of mmls_tf, found {error}") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunFolderError(f"{path}: expected JSON, found {error}") from error
    if not isinstance(value, dict):
        raise RunFolderError(f"{path}: expected a JSON object, found {type(value).__name__}")
    return value
