"""Runs that come with the package, so that a scene can be mapped before anything is trained."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mmls_tf.errors import RunFolderError

_ROOT = Path(__file__).parent / "weights"


def shipped_runs() -> tuple[str, ...]:
    """Returns their names."""
    return tuple(sorted(path.parent.name for path in _ROOT.glob("*/run.json")))


def find_run(run: Path) -> Path:
    """Returns the folder of a run that is only read: what lies there, else what comes with the package by that name."""
    return shipped_run(run) or run


def require_runs(runs: Iterable[Path]) -> None:
    """Refuses folders that hold no run, before anything slow is started for them.

    Raises:
      RunFolderError: the first of them that has no `run.json`.
    """
    for run in runs:
        if not (run / "run.json").is_file():
            hint = ""
            if shipped := shipped_run(run):
                hint = f"; {run} comes with the package, where nothing is written: copy {shipped} to a folder of yours"
            raise RunFolderError(
                f"--run={run}: expected a run folder made by mmls_tf.train, found no run.json{hint}"
            )


def shipped_run(run: Path) -> Path | None:
    """Returns the folder of the shipped run that a name means: one without a folder, of nothing that is there."""
    named = str(run) == run.name and not run.exists() and run.name in shipped_runs()
    return _ROOT / run.name if named else None
