"""A split folder appears under its name when it is complete, not before."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmls_tf.errors import UsageError

_KINDS = ("images", "masks")


def check_split_folder(out: Path, split: str, overwrite: bool) -> None:
    """Refuses an existing split folder, and one to be overwritten that holds other things than tiles.

    Raises:
      UsageError: says what stands in the way.
    """
    target = out / split
    for folder in (out, target, *(target / kind for kind in _KINDS)):
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"--out={out}: expected {folder} to be a folder, found a file")
    if not target.exists() or not any(target.iterdir()):
        return
    if not overwrite:
        raise UsageError(
            f"--out={out}: expected no folder {target} yet, found one; name another --out or --split, "
            "or pass --overwrite to replace it"
        )
    others = [path for path in target.iterdir() if path.name not in _KINDS]
    others += [path for kind in _KINDS for path in (target / kind).glob("*") if path.suffix.lower() != ".tif"]
    if others:
        raise UsageError(
            f"--overwrite: expected nothing but tiles in {target}, found {sorted(others)[0].name!r}, which "
            "replacing the folder would delete; move it away"
        )


@contextmanager
def staged_split(out: Path, split: str) -> Iterator[Path]:
    """Yields a folder beside `out` that becomes OUT/SPLIT if the block ends well, and is removed if not."""
    out = Path(out.absolute())
    staging = out.with_name(f".{out.name}.{split}.cutting")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        yield staging
        _publish(staging, out / split)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _publish(staging: Path, target: Path) -> None:
    old = staging.with_name(f"{staging.name}.replaced")
    shutil.rmtree(old, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        target.rename(old)
    staging.rename(target)
    shutil.rmtree(old, ignore_errors=True)
