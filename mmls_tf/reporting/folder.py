"""The folder of a report: whole or not there, and never in the place of something else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from mmls_tf.errors import UsageError

LIST_NAME = "report.json"
_KIND = "mmls_tf.report"


def require_free(out: Path) -> None:
    """Raises UsageError unless there is nothing, an empty folder, or an earlier report with nothing else in it."""
    if not out.exists() and not out.is_symlink():
        return
    if not out.is_dir() or out.is_symlink():
        raise UsageError(f"--out={out}: expected a new folder or an earlier report, found a file or a link")
    inside = {path.relative_to(out).as_posix() for path in out.rglob("*")}
    if not inside:
        return
    strange = sorted(inside - _listed(out))
    if strange:
        raise UsageError(
            f"--out={out}: expected a new folder or an earlier report, found {strange[0]!r}"
            + (f" and {len(strange) - 1} more" if len(strange) > 1 else "")
            + " in it, which no report made; choose another folder, or move that away"
        )


def write_folder(out: Path, files: Mapping[str, bytes], command: str) -> None:
    """Writes all files, then puts the folder in its place.

    Raises:
      UsageError: as `require_free`.
    """
    require_free(out)
    out = out.absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = _fresh(out.with_name(f".{out.name}.partial"))
    partial.mkdir()
    listed = {"kind": _KIND, "command": command, "files": sorted([*files, LIST_NAME])}
    for name, content in {**files, LIST_NAME: (json.dumps(listed, indent=1) + "\n").encode()}.items():
        (partial / name).write_bytes(content)
    old = _fresh(out.with_name(f".{out.name}.old"))
    if out.exists():
        out.rename(old)
    partial.rename(out)
    if old.exists():
        shutil.rmtree(old)


def _fresh(path: Path) -> Path:
    """Takes away what a report that was killed has left under a hidden name of its own."""
    if path.exists():
        shutil.rmtree(path)
    return path


def _listed(out: Path) -> set[str]:
    try:
        found = json.loads((out / LIST_NAME).read_text(encoding="utf-8"))
        return set(found["files"]) if found["kind"] == _KIND else set()
    except (OSError, ValueError, KeyError, TypeError):
        return set()
