"""Nothing stands under a final name until it is complete: work goes to a sibling folder, then one rename."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmls_tf.errors import UsageError
from mmls_tf.schema import LEDGER_NAME, MANIFEST_NAME


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
def staged(out: Path) -> Iterator[Path]:
    """Yields a fresh folder that becomes `out` if the block ends well, and is removed if it does not.

    A data set that it replaces hands over its ledger of isolated evaluations: looks at a region are not
    undone by building it again.
    """
    out = Path(out.absolute())
    staging = out.with_name(f".{out.name}.building")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        yield staging
        _publish(staging, out)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _publish(staging: Path, out: Path) -> None:
    old = out.with_name(f".{out.name}.replaced")
    shutil.rmtree(old, ignore_errors=True)
    ledger = out / "isolated" / LEDGER_NAME
    if ledger.exists() and (staging / "isolated").is_dir():
        shutil.copy2(ledger, staging / "isolated" / LEDGER_NAME)
    if out.exists():
        out.rename(old)
    staging.rename(out)
    shutil.rmtree(old, ignore_errors=True)
