"""The archive of masks: flat, the same bytes for the same masks, under its name only when it is complete."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path

from mmls_tf.errors import UsageError
from mmls_tf.raster.mask_file import encode_mask
from mmls_tf.raster.raster import ByteArray

_NO_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that the format knows
_PLAIN_FILE = 0o100644 << 16
_UNIX = 3


def require_writable(path: Path, overwrite: bool) -> None:
    """Makes sure that an archive may be written.

    Raises:
      UsageError: there is something at `path`, or there is no folder to hold it.
    """
    if path.is_dir() or (path.exists() and not overwrite):
        raise UsageError(f"--out={path}: expected a new file, found one; give another name, or --overwrite")
    if not path.parent.is_dir():
        raise UsageError(f"--out={path}: expected an existing folder {path.parent}, found none")


def write_archive(path: Path, masks: Iterable[tuple[str, ByteArray]]) -> None:
    """Writes a zip archive of TIFFs, one after another as they come; if one fails, nothing is left.

    Args:
      masks: name and mask uint8 [height, width] of each file.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        # Stored: LZW has done what can be done, and another zlib would give other bytes.
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
            for name, mask in masks:
                entry = zipfile.ZipInfo(name, _NO_TIME)
                entry.external_attr, entry.create_system = _PLAIN_FILE, _UNIX
                archive.writestr(entry, encode_mask(mask))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
