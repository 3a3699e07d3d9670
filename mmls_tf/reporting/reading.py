"""Run folders as a report needs them: evaluations with their tiles, history, robustness. JSON, CSV and NumPy only."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mmls_tf.errors import RunFolderError, UsageError
from mmls_tf.evaluation.confusion import Confusion
from mmls_tf.evaluation.ledger import count_entries
from mmls_tf.evaluation.pictures import Row as GalleryRow
from mmls_tf.evaluation.pictures import read_gallery
from mmls_tf.sweeping.finished import RunFiles, read_run

COUNTS = ("true_positive", "false_positive", "false_negative", "true_negative")
_METRICS = tuple(Confusion().metrics())
_NEEDED: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("split", "weights", "weights_sha256", "data_fingerprint", "tiles", "threshold"), ()),
    **dict.fromkeys(("ensemble", "tta", "missing", "run_finished", "trained_on_this_data_set", "device"), ()),
    **dict.fromkeys(("time", "parameters", "macs", "milliseconds_per_tile", "training_seconds"), ()),
    "labelled_pixels": (*_METRICS, *COUNTS),
    "valid_pixels_only": _METRICS,
    "per_tile": _METRICS,
    "intervals": ("tiles", "blocks", "number_of_blocks"),
    "leaks": ("without_overlapping", "without_touching"),
    "boundary": (),
    "landslides": ("definitions",),
    "terrain": ("slope_deg", "elevation_m"),
    "curve": ("average_precision", "threshold", "precision", "recall"),
    "calibration": ("before", "temperature", "after"),
}
_ROBUSTNESS = ("split", "metric", "clean", "changes")
_CHANGE = ("family", "name", "severity", "value", "interval", "drop", "drop_interval")


@dataclass(frozen=True)
class TileTable:
    """The tiles of an evaluation, in its order.

    Attributes:
      counts: int64 [tiles, 4], true positives, false positives, false negatives, true negatives.
      blocks: int64 [tiles], the spatial block of each.
      iou: landslide IoU of each, None where undefined.
      places: (frame, x, y) of each, pixels to the east and to the south; None where not known.
    """

    keys: tuple[str, ...]
    counts: npt.NDArray[np.int64]
    blocks: npt.NDArray[np.int64]
    iou: tuple[float | None, ...]
    places: tuple[tuple[str, float, float] | None, ...]


@dataclass(frozen=True)
class Evaluation:
    """One evaluation: its name, such as test or test-d4, and what its JSON file says."""

    folder: Path
    name: str
    figures: dict[str, Any]

    @property
    def split(self) -> str:
        """The split that was scored."""
        return str(self.figures["split"])

    @property
    def fingerprint(self) -> str:
        """Of the data set that was scored."""
        return str(self.figures["data_fingerprint"])

    def metric(self, name: str) -> float | None:
        """A metric pooled over all labelled pixels, None where undefined."""
        value = self.figures["labelled_pixels"][name]
        return None if value is None else float(value)

    def interval(self, name: str, over: str = "blocks") -> tuple[float, float] | None:
        """Its 95 % interval over blocks or tiles, None where there is none."""
        found = self.figures["intervals"][over].get(name)
        return None if found is None else (float(found[0]), float(found[1]))

    @cached_property
    def tiles(self) -> TileTable:
        """The tiles of the CSV file beside it.

        Raises:
          RunFolderError: it is not there, damaged, or of another evaluation.
        """
        path = self.folder / f"{self.name}.csv"
        table = _read_tiles(path)
        scores = self.figures["labelled_pixels"]
        if table.counts.sum(axis=0).tolist() != [scores[name] for name in COUNTS]:
            raise RunFolderError(
                f"{path}: expected the tiles of {self.name}.json, whose pixels they add up to, found "
                "others; evaluate again"
            )
        return table

    def gallery(self) -> list[GalleryRow]:
        """Returns the pictures of its best, middle and worst tiles.

        Raises:
          RunFolderError: the file is not there or damaged.
        """
        path = self.folder / f"{self.name}.npz"
        try:
            return read_gallery(path)
        except (OSError, ValueError, KeyError) as error:
            raise RunFolderError(
                f"{path}: expected the pictures of an evaluation, found {error}; evaluate again"
            ) from error


@dataclass(frozen=True)
class Run:
    """A run with everything that was found of it.

    Attributes:
      name: unique among the runs of a report.
      evaluations: by name.
      history: a row an epoch, by column; a figure that is not finite or not there is None.
      robustness: the files of robustness/, by name.
    """

    name: str
    files: RunFiles
    evaluations: dict[str, Evaluation]
    history: tuple[dict[str, float | None], ...]
    robustness: dict[str, dict[str, Any]]

    @property
    def finished(self) -> bool:
        """Whether training has come to its end."""
        return self.files.summary is not None

    def isolated_evaluations(self) -> int:
        """How many evaluations on isolated the ledger of the run folder holds."""
        return count_entries(self.files.folder / "isolated_ledger.jsonl")


def read_runs(folders: Sequence[Path], patterns: bool) -> tuple[list[Run], list[str]]:
    """Reads run folders; a folder of run folders stands for those.

    Args:
      patterns: whether folders were found by a pattern, which also finds what is no run: that is left out and named.

    Returns:
      Runs in the order given, and the names of what was left out.

    Raises:
      RunFolderError: a folder named as it is holds no run, no folder does, or what is in one cannot be read.
      UsageError: a run comes twice.
    """
    found: list[RunFiles] = []
    left_out: list[str] = []
    for folder in folders:
        inside = _files(folder)
        if not inside and not patterns:
            raise RunFolderError(
                f"--runs: {folder}: expected a run folder made by mmls_tf.train, or a folder of such, "
                "found neither"
            )
        found += inside
        left_out += [] if inside else [str(folder)]
    if not found:
        raise RunFolderError(
            f"--runs: expected run folders made by mmls_tf.train, found {len(folders)} other files or folders"
        )
    resolved = [files.folder.resolve() for files in found]
    for path in resolved:
        if resolved.count(path) > 1:
            raise UsageError(f"--runs: expected every run once, found {path} {resolved.count(path)} times")
    names = [_name(path) for path in resolved]
    unique = len(set(names)) == len(names)
    return [
        _read(files, name if unique else str(path))
        for files, name, path in zip(found, names, resolved, strict=True)
    ], left_out


def _files(folder: Path) -> list[RunFiles]:
    if not folder.is_dir():
        return []
    run = read_run(folder)
    if run:
        return [run]
    return [found for path in sorted(folder.iterdir()) if path.is_dir() and (found := read_run(path))]


def _name(path: Path) -> str:
    """Returns the path as seen from here; of another place, its last two parts."""
    here = Path.cwd()
    return path.relative_to(here).as_posix() if path.is_relative_to(here) else "/".join(path.parts[-2:])


def _read(files: RunFiles, name: str) -> Run:
    evaluations = {
        path.stem: _evaluation(files, path) for path in sorted((files.folder / "evaluations").glob("*.json"))
    }
    robustness = {
        path.stem: _robustness(files, path) for path in sorted((files.folder / "robustness").glob("*.json"))
    }
    return Run(name, files, evaluations, _history(files.folder / "history.csv"), robustness)


def _evaluation(files: RunFiles, path: Path) -> Evaluation:
    found = _read_object(path)
    missing = [name for name in _NEEDED if name not in found]
    missing += [
        f"{name}/{inner}"
        for name, inners in _NEEDED.items()
        for inner in inners
        if name in found and (not isinstance(found[name], dict) or inner not in found[name])
    ]
    if missing:
        raise RunFolderError(
            f"{path}: expected an evaluation of this version of mmls_tf, found none of "
            f"{', '.join(missing[:5])}; evaluate again, or remove it"
        )
    _require_current(files, path, found)
    return Evaluation(path.parent, path.stem, found)


def _robustness(files: RunFiles, path: Path) -> dict[str, Any]:
    found = _read_object(path)
    missing = [name for name in _ROBUSTNESS if name not in found]
    missing += [name for change in found.get("changes", ()) for name in _CHANGE if name not in change]
    if missing:
        raise RunFolderError(
            f"{path}: expected a result of mmls_tf.robustness, found none of "
            f"{', '.join(missing[:5])}; run it again"
        )
    if "weights_sha256" in found:
        _require_current(files, path, found)
    return found


def _require_current(files: RunFiles, path: Path, found: dict[str, Any]) -> None:
    if not files.is_current(found):
        raise RunFolderError(
            f"{path}: expected a result of the run's {found['weights']} weights as they are now, "
            "found one of others; make it again, or remove it"
        )


def _read_object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunFolderError(f"{path}: expected JSON, found {error}") from error
    if not isinstance(found, dict):
        raise RunFolderError(f"{path}: expected a JSON object, found {type(found).__name__}")
    return found


def _read_tiles(path: Path) -> TileTable:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = list(csv.DictReader(file))
        return TileTable(
            tuple(line["key"] for line in lines),
            np.array([[int(line[name]) for name in COUNTS] for line in lines], np.int64).reshape(-1, 4),
            np.array([int(line["block"]) for line in lines], np.int64),
            tuple(float(line["iou_landslide"]) if line["iou_landslide"] else None for line in lines),
            tuple(
                (line["frame"], float(line["x"]), float(line["y"])) if line["frame"] else None
                for line in lines
            ),
        )
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise RunFolderError(
            f"{path}: expected the tiles of an evaluation, found {error}; evaluate again"
        ) from error


def _history(path: Path) -> tuple[dict[str, float | None], ...]:
    if not path.is_file():
        return ()
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return tuple(
                {name: _finite(text) for name, text in line.items()} for line in csv.DictReader(file)
            )
    except (ValueError, TypeError) as error:
        raise RunFolderError(f"{path}: expected numbers in columns, found {error}") from error


def _finite(text: str) -> float | None:
    value = float(text) if text else float("nan")
    return value if np.isfinite(value) else None
