"""Finds the rasters of masks that a flag names: a file, several, or folders of tiles."""

from __future__ import annotations

from pathlib import Path

from mmls_tf.errors import InputError, UsageError
from mmls_tf.raster.listing import MASK_FOLDERS, list_rasters, named_folder


def find_masks(flag: str, text: str) -> list[str]:
    """Returns the paths that are named, joined by commas; of folders, all in them, or in a folder `masks` inside.

    Args:
      flag: that names them, without dashes, for messages.

    Raises:
      UsageError: a folder without rasters.
      InputError: lists what in a folder cannot be used.
    """
    words = [word.strip() for word in text.split(",") if word.strip()]
    return [path for word in words for path in (_tiles(flag, Path(word)) if Path(word).is_dir() else [word])]


def _tiles(flag: str, folder: Path) -> list[str]:
    inside = named_folder(folder, MASK_FOLDERS)
    files, issues = list_rasters(
        inside if inside.is_dir() else folder, folder.resolve(), (".tif", ".tiff"), flag
    )
    if issues:
        raise InputError(issues)
    if not files:
        raise UsageError(f"--{flag}={folder}: expected masks, *.tif or *.tiff, in the folder, found none")
    return [str(path) for path in files.values()]
