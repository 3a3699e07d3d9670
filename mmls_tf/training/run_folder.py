"""A run folder: a complete answer to what was trained, on what, how, and with what result.

run.json             what evaluation and prediction need: configuration, bands and statistics, fingerprint
flags.txt            the configuration as a flag file: train --flagfile=RUN/flags.txt does it again
history.csv          one line an epoch
checkpoint.npz       what --resume goes on with; not there when the run is finished
tensorboard/         the same as TensorBoard events
best.keras           the model at its best validation mIoU
last.keras           the model after the last epoch
ema.keras            the same with the moving average of the weights (--ema)
summary.json         written last: a run without it was interrupted
evaluations/         results of `mmls_tf.evaluate`
isolated_ledger.jsonl   every evaluation on the isolated split
"""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras

from mmls_tf.config import TrainConfig
from mmls_tf.data.normalise import Normalisation
from mmls_tf.errors import MmlsError, RunFolderError
from mmls_tf.files import write_json, write_text
from mmls_tf.schema import SCHEMA_VERSION
from mmls_tf.shipped import require_runs
from mmls_tf.training.adaptation import SOURCE_ONLY, TRANSDUCTIVE, Adaptation

_RECORD = "run.json"
_SUMMARY = "summary.json"
_FLAGS = "flags.txt"
_BEGINNING = {_FLAGS, f".{_FLAGS}.partial", f".{_RECORD}.partial"}  # all that a kill before `run.json` leaves


@dataclass(frozen=True)
class RunRecord:
    """What `run.json` holds.

    Attributes:
      fingerprint: of the data set that the run is trained on.
      precision, jit, backend, device: what was used, not what was asked for.
      adaptation: of a run that `mmls_tf.adapt` made of another.
      images_seen: splits of whose images its encoder was taught before (`mmls_tf.pretrain`), by fingerprint of their
        data set.
    """

    config: TrainConfig
    schema_version: int
    fingerprint: str
    scaling: str
    tile_size: int
    normalisation: Normalisation
    precision: str
    jit: bool
    backend: str
    device: str
    parameters: int
    versions: dict[str, str]
    command: str
    adaptation: Adaptation | None = None
    images_seen: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def column(self, fingerprint: str, split: str) -> str:
        """Returns what was known of a split beside its own training tiles: by this, tables keep runs apart."""
        if self.adaptation:
            return self.adaptation.column
        return TRANSDUCTIVE if split in self.images_seen.get(fingerprint, ()) else SOURCE_ONLY


class RunFolder:
    """Names of the files of a run, and the reading and writing of them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.history = root / "history.csv"
        self.checkpoint = root / "checkpoint.npz"
        self.tensorboard = root / "tensorboard"
        self.evaluations = root / "evaluations"
        self.ledger = root / "isolated_ledger.jsonl"

    @staticmethod
    def create(root: Path, record: RunRecord) -> RunFolder:
        """Makes a new run folder in the place of what is there, which `require_free` has looked at."""
        root.mkdir(parents=True, exist_ok=True)
        # The folder itself stays, since it is locked. What says that the run is finished goes first, what says that it
        # is a run last: killed in between, it is neither taken for a finished run nor for somebody's own files.
        for path in sorted(root.iterdir(), key=lambda path: (path.name == _RECORD, path.name != _SUMMARY)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        folder = RunFolder(root)
        write_text(root / _FLAGS, as_flags(record.config))
        write_json(root / _RECORD, dataclasses.asdict(record))
        return folder

    @staticmethod
    def open(root: Path) -> tuple[RunFolder, RunRecord]:
        """Opens an existing run.

        Raises:
          RunFolderError: there is none, or it was written by another version.
        """
        require_runs([root])
        path = root / _RECORD
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
            if fields["schema_version"] != SCHEMA_VERSION:
                raise ValueError(f"schema version {fields['schema_version']}, not {SCHEMA_VERSION}")
            fields["config"] = TrainConfig(**fields["config"])
            fields["normalisation"] = Normalisation(
                **{k: tuple(v) for k, v in fields["normalisation"].items()}
            )
            if fields.get("adaptation"):
                fields["adaptation"] = Adaptation.from_json(fields["adaptation"])
            return RunFolder(root), RunRecord(**fields)
        except (ValueError, KeyError, TypeError, MmlsError) as error:
            raise RunFolderError(
                f"{path}: expected a run of this version of mmls_tf, found {error}"
            ) from error

    def weights(self, which: str) -> Path:
        """Returns the path of the `best`, the `last` or the `ema` model."""
        return self.root / f"{which}.keras"

    def save_model(self, model: keras.Model, which: str) -> None:
        """Saves a model whole or not at all."""
        partial = self.root / f".{which}.partial.keras"
        model.save(partial)
        partial.replace(self.weights(which))

    def load_model(self, which: str) -> keras.Model:
        """Loads a model, without its optimiser.

        Raises:
          RunFolderError: it was not saved.
        """
        from mmls_tf import losses, metrics  # noqa: F401  # registers what a saved model may name
        from mmls_tf.models import registry  # noqa: F401  # and its layers

        path = self.weights(which)
        if not path.is_file():
            raise RunFolderError(
                f"{path}: expected a saved model, found none; did training finish an epoch, with --ema for the "
                "average?"
            )
        return keras.saving.load_model(path, compile=False)

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Marks the run as finished."""
        write_json(self.root / _SUMMARY, summary)
        self.checkpoint.unlink(missing_ok=True)

    def read_summary(self) -> dict[str, Any]:
        """Returns what a finished run left; see `mmls_tf.training.trainer.train`."""
        return dict(json.loads((self.root / _SUMMARY).read_text(encoding="utf-8")))

    @property
    def started(self) -> bool:
        """Whether there is a run, finished or not."""
        return (self.root / _RECORD).is_file()

    @property
    def finished(self) -> bool:
        """Whether training ran to its end."""
        return (self.root / _SUMMARY).is_file()


def require_free(root: Path, overwrite: bool) -> None:
    """Makes sure that a new run may be made at `root`.

    Raises:
      RunFolderError: something is there already, and is no run or is not to be replaced.
    """
    if root.exists() and not root.is_dir():
        raise RunFolderError(f"--run={root}: expected a folder, found a file")
    if root.exists() and any(path.name not in _BEGINNING for path in root.iterdir()):
        if not (root / _RECORD).exists():
            raise RunFolderError(f"--run={root}: expected a new folder or a run, found something else")
        if not overwrite:
            raise RunFolderError(
                f"--run={root}: a run is there already; give another --run, or --resume or --overwrite"
            )


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Holds a run folder for this process, and makes it if need be; the system lets go when the process ends.

    Raises:
      RunFolderError: another process is training there.
    """
    made = not root.exists()
    root.mkdir(parents=True, exist_ok=True)
    handle = os.open(root, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise RunFolderError(
            f"--run={root}: another process is training there; give another --run"
        ) from error
    finally:
        os.close(handle)
        if made and not any(root.iterdir()):
            root.rmdir()  # nothing came of it


def as_flags(config: Any) -> str:
    """Returns a configuration, a dataclass of options, as the text of a flag file."""
    values = dataclasses.asdict(config)
    lines = [
        f"--{name}={str(value).lower() if isinstance(value, bool) else value}"
        for name, value in values.items()
    ]
    return "\n".join(lines) + "\n"
