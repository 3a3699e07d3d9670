"""Run folders by name or pattern, as `--runs` takes them."""

from __future__ import annotations

import glob
from pathlib import Path

from mmls_tf.errors import UsageError


def find_folders(text: str) -> list[Path]:
    """Returns the folders that `--runs` names, in the order given, those of a pattern sorted.

    A name counts as it is where it exists, whatever characters are in it; run folders of a sweep have commas in theirs,
    so a part that names nothing is tried together with the next.

    Raises:
      UsageError: a part names nothing.
    """
    folders: list[Path] = []
    parts = text.split(",")
    while parts:
        for count in range(1, len(parts) + 1):
            word = ",".join(parts[:count]).strip()
            found = [word] if Path(word).exists() else sorted(glob.glob(word))  # noqa: PTH207
            if word and found:
                folders += [Path(path) for path in found]
                parts = parts[count:]
                break
        else:
            raise UsageError(f"--runs={text}: expected run folders, found none at {parts[0].strip()!r}")
    return folders
