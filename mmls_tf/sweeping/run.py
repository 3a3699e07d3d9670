"""Runs the cells of a grid, one process after the other: finished ones are skipped, interrupted ones go on."""

from __future__ import annotations

import fcntl
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmls_tf.config import chosen_weights
from mmls_tf.data.dataset import open_dataset
from mmls_tf.errors import MmlsError, RunFolderError, UsageError
from mmls_tf.sweeping.finished import RunFiles, read_run
from mmls_tf.sweeping.plan import Cell, config_flags, differences

# Runs words behind `python -m`, adds what they print to a file, and returns the exit code.
Launch = Callable[[Sequence[str], Path], int]
_LAST_LINES = 15
_TERMINATED = 128 + signal.SIGTERM


@dataclass(frozen=True)
class Sweep:
    """What is to be done.

    Attributes:
      out: folder of the runs, their logs and the reports.
      evaluate: splits on which every run is scored.
      weights: auto, best, last or ema: those that are scored; auto is decided for each run.
      keep_going: go on with the other cells after a run that failed.
      overwrite: replace runs that were trained with other flags or data.
      fingerprints: of the data sets, by --data.
    """

    cells: tuple[Cell, ...]
    out: Path
    fingerprints: Mapping[str, str]
    evaluate: tuple[str, ...] = ()
    weights: str = "best"
    keep_going: bool = False
    overwrite: bool = False

    def log(self, cell: Cell) -> Path:
        """Returns where the output of a cell's commands goes."""
        return self.out / "logs" / f"{cell.name}.log"


class RunFailedError(MmlsError):
    """A command of a sweep failed; the sweep exits as it did."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = 2 if exit_code == 2 else 1


def data_fingerprints(cells: Sequence[Cell]) -> dict[str, str]:
    """Returns the fingerprints of the data sets that cells are trained on, by --data.

    Raises:
      DatasetError: one is missing.
    """
    return {
        data: open_dataset(Path(data)).manifest.fingerprint
        for data in {cell.config.data: None for cell in cells}
    }


def run_sweep(sweep: Sweep, launch: Launch, report: Callable[[], object]) -> None:
    """Trains and scores every cell that is not finished yet; calls `report` after each.

    Raises:
      RunFolderError: a run is there that was trained with other flags or data; nothing has been started.
      RunFailedError: a command failed: at once, or at the end if `sweep.keep_going`.
    """
    replaced = _check_runs(sweep)
    failures: list[tuple[Cell, RunFailedError]] = []
    for number, cell in enumerate(sweep.cells, 1):
        print(f"[{number}/{len(sweep.cells)}] {cell.name}", flush=True)
        try:
            _run_cell(sweep, cell, cell in replaced, launch)
        except RunFailedError as error:
            if not sweep.keep_going:
                raise
            print(f"  {error}", flush=True)
            failures.append((cell, error))
        report()
    if failures:
        names = "\n".join(f"  {cell.name}: {sweep.log(cell)}" for cell, _ in failures)
        raise RunFailedError(
            f"{len(failures)} of {len(sweep.cells)} runs failed; put right what their logs say, and start the same "
            f"command again:\n{names}",
            failures[0][1].exit_code,
        )


@contextmanager
def locked(out: Path) -> Iterator[int]:
    """Makes `out` if need be and keeps other sweeps away from it; yields the lock.

    Raises:
      UsageError: another sweep, or a run of one that was killed, is at work in it.
    """
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out={out}: expected a folder, found a file")
    out.mkdir(parents=True, exist_ok=True)
    lock = os.open(out, os.O_RDONLY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(
                f"--out={out}: another sweep is at work in it, or a run that it started before it was killed; wait "
                "for it, or give another --out"
            ) from error
        yield lock
    finally:
        os.close(lock)


def process_launcher(lock: int) -> Launch:
    """Returns a launch that starts processes. They inherit the lock: while an orphan trains, no sweep starts."""

    def launch(words: Sequence[str], log: Path) -> int:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as file:
            file.write(f"$ python -m {shlex.join(words)}\n")
            file.flush()
            process = subprocess.Popen(
                [sys.executable, "-m", *words],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                pass_fds=(lock,),
            )
            return _wait(process)

    return launch


def _wait(process: subprocess.Popen[bytes]) -> int:
    """Waits for a process; whatever ends the waiting ends the process first, so that it is not left alone."""

    def leave(*_: Any) -> None:
        sys.exit(_TERMINATED)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        return process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


def finished_run(sweep: Sweep, cell: Cell) -> RunFiles | None:
    """Returns a cell's run if it is finished and is what the cell asks for, else None."""
    found = read_run(cell.folder)
    if found is None or found.summary is None or _unlike(sweep, cell, found):
        return None
    return found


def _check_runs(sweep: Sweep) -> list[Cell]:
    """Returns the cells whose folders hold other runs, all of which are to be replaced."""
    problems, replaced = list[str](), list[Cell]()
    for cell in sweep.cells:
        found = read_run(cell.folder)
        unlike = _unlike(sweep, cell, found) if found is not None else []
        if unlike:
            replaced.append(cell)
            problems += [f"  {cell.folder}: {line}" for line in unlike]
    if problems and not sweep.overwrite:
        raise RunFolderError(
            f"--out={sweep.out}: expected runs as planned, found others; give another --out, or --overwrite to "
            "replace them:\n" + "\n".join(problems)
        )
    return replaced


def _unlike(sweep: Sweep, cell: Cell, found: RunFiles) -> list[str]:
    fingerprint = sweep.fingerprints[cell.config.data]
    lines = differences(cell.config, found.config)
    if fingerprint != found.fingerprint:
        lines.append(
            f"--data={cell.config.data}: expected a run trained on it as it is, {fingerprint[:12]}..., found "
            f"{found.fingerprint[:12]}..."
        )
    return lines


def _run_cell(sweep: Sweep, cell: Cell, replaces: bool, launch: Launch) -> None:
    if replaces or finished_run(sweep, cell) is None:
        config = replace(cell.config, overwrite=replaces, resume=not replaces)
        print(f"  training; output goes to {sweep.log(cell)}", flush=True)
        _launch(["mmls_tf.train", *config_flags(config)], sweep.log(cell), launch)
    else:
        print("  is finished", flush=True)
    found = finished_run(sweep, cell)
    if found is None:
        raise RunFailedError(f"{cell.folder}: expected a finished run after training, found none", 1)
    for split in sweep.evaluate:
        if found.evaluation_of(split, sweep.weights) is None:
            print(f"  evaluating on {split}", flush=True)
            weights = chosen_weights(sweep.weights, cell.config)
            words = [f"--run={cell.folder}", f"--split={split}", f"--weights={weights}"]
            words.append(f"--backend={cell.config.backend}")
            _launch(["mmls_tf.evaluate", *words], sweep.log(cell), launch)


def _launch(words: Sequence[str], log: Path, launch: Launch) -> None:
    code = launch(words, log)
    if code:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.is_file() else []
        tail = "\n".join(f"  {line}" for line in lines[-_LAST_LINES:])
        raise RunFailedError(
            f"python -m {words[0]} failed with exit code {code}; the last lines of {log}:\n{tail}", code
        )
