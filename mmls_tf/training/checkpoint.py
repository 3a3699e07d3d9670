"""All that a run needs to go on: one file, which appears whole or not at all."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from mmls_tf.errors import RunFolderError

Row = dict[str, float]


@dataclass
class Progress:
    """How far a run has come.

    Attributes:
      epoch: epochs that are done.
      best_epoch: from 1, the one with the highest `best_miou` on val.
      seconds: of training, interruptions left out.
      rows: what was measured, by epoch.
    """

    epoch: int = 0
    best_epoch: int = 0
    best_miou: float = -1.0
    seconds: float = 0.0
    rows: list[Row] = field(default_factory=list)


def save_checkpoint(path: Path, model: keras.Model, progress: Progress) -> None:
    """Saves variables of model and optimiser (averages of weights among them) and the progress."""
    arrays = {
        f"variable{number}": keras.ops.convert_to_numpy(variable)
        for number, variable in enumerate(_variables(model))
    }
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        np.savez(file, progress=np.array(json.dumps(asdict(progress))), **arrays)
    partial.replace(path)


def read_progress(path: Path) -> Progress:
    """Returns how far the run of a checkpoint was.

    Raises:
      RunFolderError: it is damaged.
    """
    with _opened(path) as file:
        return Progress(**json.loads(str(file["progress"])))


def load_variables(path: Path, model: keras.Model) -> None:
    """Gives a compiled and built model the variables of a checkpoint.

    Raises:
      RunFolderError: it is damaged, or of another model.
    """
    variables = _variables(model)
    with _opened(path) as file:
        values = [file[f"variable{number}"] for number in range(len(file.files) - 1)]
    shapes = [tuple(variable.shape) for variable in variables]
    if [value.shape for value in values] != shapes:
        raise RunFolderError(
            f"{path}: expected {len(shapes)} variables as the model has, found others; was the run made by another "
            "version of Keras or of mmls_tf? Start anew with --overwrite"
        )
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with np.load(path, allow_pickle=False) as file:
            yield file
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise RunFolderError(
            f"{path}: expected a checkpoint, found {error}; start anew with --overwrite"
        ) from error


def _variables(model: keras.Model) -> Sequence[Any]:
    """Seeds of dropout layers are variables too; the tiles, which a step may hold, are data."""
    sheets = {id(getattr(model, name, None)) for name in ("sheet", "sheet_target")}
    metrics = {id(variable) for variable in model.metrics_variables}
    own = [v for v in model.variables if id(v) not in sheets | metrics]
    return [*own, *model.optimizer.variables]
