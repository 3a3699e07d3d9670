"""A planned sweep is carried out: locked, run, reported."""

from __future__ import annotations

from collections.abc import Callable

from mmls_tf.entry import command_line
from mmls_tf.sweeping.names import require_names
from mmls_tf.sweeping.run import Sweep, finished_run, locked, process_launcher, run_sweep


def carry_out(sweep: Sweep, write: Callable[[Sweep, str], str]) -> None:
    """Trains and scores what is not finished yet, and prints what `write` makes of it.

    Args:
      write: takes the sweep and the command, writes the reports and returns the table; called after every run too.

    Raises:
      UsageError: a decoder or encoder does not exist, or another sweep is at work in the folder.
      RunFolderError, RunFailedError: as `run_sweep`.
    """
    require_names([cell for cell in sweep.cells if finished_run(sweep, cell) is None])
    command = command_line()
    with locked(sweep.out) as lock:
        run_sweep(sweep, process_launcher(lock), lambda: write(sweep, command))
        print(f"\n{write(sweep, command)}\n")
