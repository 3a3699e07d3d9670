"""Nothing stands under a final name until it is complete: work goes to a sibling folder, then one rename.

A build that was killed leaves that folder behind; the next build of the same plan goes on with it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmls_tf.errors import MmlsError, UsageError
from mmls_tf.schema import LEDGER_NAME, MANIFEST_NAME
from tfrecords_builder.shard_job import journal_folder

_PLAN = "plan"


def check_target(out: Path, overwrite: bool) -> None:
    """Refuses to touch what is not a data set of ours, and a data set that is not to be overwritten.

    Raises:
      UsageError: says what stands in the way.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / MANIFEST_NAME).is_file():
        raise UsageError(f"--out={out}: expected a new or empty folder or a data set, found something else")
    if not overwrite:
        raise UsageError(f"--out={out}: a data set is there already; give another --out, or --overwrite")


@contextmanager
def staged(out: Path, plan: str) -> Iterator[Path]:
    """Yields the folder in which a data set grows, and makes it `out` when the block ends well.

    Finished shards of an earlier attempt are in it if that attempt had the same `plan` (a digest). An error that the
    user can put right removes the folder, so that a full disk is not full of it; a crash leaves it.

    Raises:
      UsageError: another build of the same data set is running.
    """
    out = Path(out.absolute())
    _restore(out)
    staging = out.with_name(f".{out.name}.building")
    staging.mkdir(parents=True, exist_ok=True)
    lock = os.open(staging, os.O_RDONLY)
    try:
        _lock(lock, out)
        _prepare(staging, plan)
        try:
            yield staging
        except (MmlsError, OSError):
            shutil.rmtree(staging, ignore_errors=True)
            raise
        _publish(staging, out)
    finally:
        os.close(lock)


def _lock(folder: int, out: Path) -> None:
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UsageError(
            f"--out={out}: another build is writing it; wait for it, or give another --out"
        ) from error


def _prepare(staging: Path, plan: str) -> None:
    note = staging / _PLAN
    if note.is_file() and note.read_text(encoding="utf-8") == plan:
        return
    for path in staging.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    note.write_text(plan, encoding="utf-8")


def _publish(staging: Path, out: Path) -> None:
    """Looks at a region are not undone by building it again: the ledger of isolated evaluations goes along."""
    ledger = Path("isolated") / LEDGER_NAME
    if (out / ledger).exists():
        (staging / ledger).parent.mkdir(exist_ok=True)
        shutil.copy2(out / ledger, staging / ledger)
    shutil.rmtree(journal_folder(staging), ignore_errors=True)
    (staging / _PLAN).unlink()
    if out.exists():
        out.rename(_replaced(out))
    staging.rename(out)
    shutil.rmtree(_replaced(out), ignore_errors=True)


def _restore(out: Path) -> None:
    """Takes up what a build that was killed between its last two renames has left."""
    if _replaced(out).exists() and not out.exists():
        _replaced(out).rename(out)
    shutil.rmtree(_replaced(out), ignore_errors=True)


def _replaced(out: Path) -> Path:
    return out.with_name(f".{out.name}.replaced")
