"""Finished runs as entries of a small JSON file that can be kept: what was trained, how it scored, on what, when."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

from mmls_tf.config import TrainConfig
from mmls_tf.errors import RunFolderError, UsageError
from mmls_tf.evaluation.confusion import Confusion
from mmls_tf.sweeping.finished import RunFiles, read_run
from mmls_tf.sweeping.plan import NOT_OF_THE_RUN

_COUNTS = tuple(field.name for field in dataclasses.fields(Confusion))
_KEPT = (
    "seconds", "input_share", "parameters", "machine", "commit", "device", "precision", "jit", "backend", "versions",
)  # fmt: skip
Entry = dict[str, Any]


def collect(folders: Sequence[Path]) -> list[Entry]:
    """Returns an entry for each run; a folder of run folders stands for those.

    Raises:
      RunFolderError: a folder is no run and holds none, or runs are not finished: all of them are named.
      UsageError: two runs have the same name.
    """
    runs = [run for folder in folders for run in _runs(folder)]
    unfinished = [str(run.folder) for run in runs if run.summary is None]
    if unfinished:
        raise RunFolderError(
            f"--runs: expected finished runs, found {len(unfinished)} not finished; go on with them by "
            "`python -m mmls_tf.train --flagfile=RUN/flags.txt --resume`, or leave them out:\n  "
            + "\n  ".join(unfinished)
        )
    entries = [run_entry(run) for run in runs]
    names = [entry["name"] for entry in entries]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"--runs: expected every run once, found {name} {names.count(name)} times")
    return entries


def run_entry(run: RunFiles) -> Entry:
    """Returns the entry of a finished run. No value in it is an absolute path: of those, the last part is kept."""
    summary = run.summary
    assert summary is not None
    entry = {
        "name": _name(run.folder),
        "config": changed_flags(run.config),
        "seed": run.config.seed,
        "fingerprint": run.fingerprint,
        "val": {
            "best_miou": summary["best_val_miou"],
            "best_epoch": summary["best_epoch"],
            "last_miou": summary["last_val_miou"],
            "ema_miou": summary["ema_val_miou"],
        },
        "epochs": summary["epochs"],
        "evaluations": {
            path.stem: _evaluation(run, path.stem)
            for path in sorted((run.folder / "evaluations").glob("*.json"))
        },
        "robustness": {
            path.stem: _robustness(run, path.stem)
            for path in sorted((run.folder / "robustness").glob("*.json"))
        },
        **{name: summary[name] for name in _KEPT},
        **({"adaptation": summary["adaptation"]} if "adaptation" in summary else {}),
    }
    return dict(_without_absolute_paths(entry))


def changed_flags(config: TrainConfig) -> dict[str, Any]:
    """Returns the flags that differ from their defaults, without the seed, which has a place of its own.

    Of absolute paths the last part counts: a data set is known by its fingerprint, wherever it lies.
    """
    values = {
        field.name: (_without_absolute_paths(getattr(config, field.name)), field.default)
        for field in dataclasses.fields(TrainConfig)
        if field.name not in (*NOT_OF_THE_RUN, "seed")
    }
    return {name: value for name, (value, default) in values.items() if value != default}


def to_json(entries: Sequence[Entry]) -> str:
    """Returns the text of the file."""
    return json.dumps({"runs": list(entries)}, indent=1) + "\n"


def _runs(folder: Path) -> list[RunFiles]:
    run = read_run(folder)
    if run:
        return [run]
    inside = (
        [found for path in sorted(folder.iterdir()) if (found := read_run(path))] if folder.is_dir() else []
    )
    if not inside:
        raise RunFolderError(
            f"--runs: {folder}: expected a run folder made by mmls_tf.train, or a folder of such, found neither"
        )
    return inside


def _name(folder: Path) -> str:
    """Returns the path as seen from here; of another place, its last two parts."""
    whole = folder.resolve()
    if whole.is_relative_to(Path.cwd()):
        return whole.relative_to(Path.cwd()).as_posix()
    return "/".join(whole.parts[-2:])


def _evaluation(run: RunFiles, name: str) -> Entry:
    found = run.evaluation(name)
    assert found is not None
    _require_current(run, found, f"evaluations/{name}.json")
    scores = found["labelled_pixels"]
    return {
        "weights": found["weights"],
        "tiles": found["tiles"],
        **{metric: scores[metric] for metric in Confusion().metrics()},
        "confusion": {count: scores[count] for count in _COUNTS},
        **_other_data(run, found),
    }


def _robustness(run: RunFiles, name: str) -> Entry:
    """Returns the metric of unchanged tiles, and under each change by its name."""
    found = run.robustness(name)
    _require_current(run, found, f"robustness/{name}.json")
    return {
        "weights": found["weights"],
        "tiles": found["tiles"],
        "metric": found["metric"],
        "clean": found["clean"]["value"],
        "changed": {change["name"]: change["value"] for change in found["changes"]},
        **_other_data(run, found),
    }


def _require_current(run: RunFiles, found: Entry, file: str) -> None:
    if not run.is_current(found):
        raise RunFolderError(
            f"{run.folder}/{file}: expected scores of the run's {found['weights']} weights, found others; "
            "run it again, or remove it"
        )


def _other_data(run: RunFiles, found: Entry) -> Entry:
    fingerprint = found["data_fingerprint"]
    return {} if fingerprint == run.fingerprint else {"fingerprint": fingerprint}


def _without_absolute_paths(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_absolute_paths(inner) for key, inner in value.items()}
    if isinstance(value, str) and PurePath(value).is_absolute():
        return PurePath(value).name
    return value
