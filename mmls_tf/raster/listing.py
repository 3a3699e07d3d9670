"""Which raster files lie in a folder, seen without reading one."""

from __future__ import annotations

import os
from pathlib import Path

from mmls_tf.errors import Issue, UsageError
from mmls_tf.raster.safety import kind_of

IMAGE_FOLDERS = ("images", "image", "imgs", "img")
MASK_FOLDERS = ("masks", "mask", "labels", "label")


def named_folder(folder: Path, names: tuple[str, ...]) -> Path:
    """Returns the first of `names` that lies in a folder, the first of all where none does.

    Raises:
      UsageError: two of them do.
    """
    present = (
        [path for path in folders_in(folder) if plain_name(path.name) in names] if folder.is_dir() else []
    )
    if len(present) > 1:
        both = " and ".join(path.name for path in present)
        raise UsageError(f"{folder}: expected one folder of {names[0]}, found {both}; move one of them away")
    return present[0] if present else folder / names[0]


def folders_in(folder: Path) -> list[Path]:
    """Returns the folders in a folder, hidden ones apart, by name."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def plain_name(name: str) -> str:
    """Returns a name as it is compared: in lower case, with `_` for `-` and blanks."""
    return name.lower().replace("-", "_").replace(" ", "_")


def list_rasters(
    folder: Path, root: Path, suffixes: tuple[str, ...], flag: str
) -> tuple[dict[str, Path], list[Issue]]:
    """Returns the usable files of a folder by stem, and what is wrong with the others.

    Issues are: two files of one stem, what is no plain file, and links that lead out of `root`.

    Args:
      root: a real path, out of which no link may lead.
      suffixes: endings of names in lower case, with the dot; other files are passed over.
      flag: by which the user has named `root`, for the messages.
    """
    files: dict[str, Path] = {}
    issues: list[Issue] = []
    if not folder.is_dir():
        return files, issues
    if not Path(os.path.realpath(folder)).is_relative_to(root):
        return files, [_outside(str(folder), root, flag)]
    with os.scandir(folder) as entries:
        listing = sorted(entries, key=lambda entry: entry.name)
    for entry in listing:
        path = folder / entry.name
        if not _is_raster_name(path, suffixes):
            continue
        issue = _entry_issue(entry, path, root, flag)
        if issue is None and path.stem in files:
            issue = Issue(str(path), "one file of that name", f"also {files[path.stem].name}")
        if issue is not None:
            issues.append(issue)
        else:
            files[path.stem] = path
    return files, issues


def _is_raster_name(path: Path, suffixes: tuple[str, ...]) -> bool:
    hidden = path.name.startswith(".")  # "._x.tif" is macOS's litter
    return path.suffix.lower() in suffixes and not hidden and not path.name.lower().endswith(".aux.xml")


def _entry_issue(entry: os.DirEntry[str], path: Path, root: Path, flag: str) -> Issue | None:
    if entry.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(root):
        return _outside(str(path), root, flag)
    if entry.is_file():
        return None
    try:
        found = kind_of(entry.stat().st_mode)
    except OSError as error:  # a link to nowhere, or one in a circle
        found = f"a link that leads nowhere ({error.strerror})"
    return Issue(str(path), "a plain file", found)


def _outside(path: str, root: Path, flag: str) -> Issue:
    return Issue(
        path,
        f"files inside --{flag}; copy them there, or name the folder where they lie as --{flag}",
        f"a link to {os.path.realpath(path)}, outside {root}",
    )
