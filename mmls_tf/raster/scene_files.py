"""Which files a scene is made of, from what a user says: rasters, folders of tiles, or one file a band."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mmls_tf.bands import BAND_NAMES
from mmls_tf.errors import InputError, UsageError
from mmls_tf.raster.foreign import suffixes_of
from mmls_tf.raster.listing import IMAGE_FOLDERS, list_rasters, named_folder


@dataclass(frozen=True)
class SceneFiles:
    """One of the two.

    Attributes:
      rasters: files that each hold all the bands of the scene.
      bands: `PATH` or `PATH:N` by canonical band name.
    """

    rasters: tuple[str, ...] = ()
    bands: Mapping[str, str] = field(default_factory=dict)


def find_scene(text: str, drivers: tuple[str, ...]) -> SceneFiles:
    """Returns the files that `--scene` names, in its order, those of a folder by name.

    Args:
      text: files and folders of tiles joined by commas, or `NAME=PATH[:N]` for every band, joined by commas.
      drivers: GDAL drivers, whose files count in folders.

    Raises:
      UsageError: a folder without rasters, a band twice, or bands among other files.
      InputError: lists what in a folder cannot be used.
    """
    if Path(text).is_file():
        return SceneFiles((text,))
    words = [word.strip() for word in text.split(",") if word.strip()]
    named = [word.partition("=") for word in words if _names_a_band(word)]
    if not named:
        rasters = [path for word in words for path in _rasters_of(word, drivers)]
        return SceneFiles(tuple(dict.fromkeys(rasters)))
    if len(named) < len(words):
        other = next(word for word in words if not _names_a_band(word))
        raise UsageError(f"--scene: expected NAME=PATH for every file or for none, found also {other!r}")
    bands: dict[str, str] = {}
    for name, _, path in named:
        if name in bands:
            raise UsageError(f"--scene: expected each band once, found {name} twice")
        bands[name] = path
    return SceneFiles(bands=bands)


def _names_a_band(word: str) -> bool:
    name, equals, path = word.partition("=")
    return bool(equals and path) and name in BAND_NAMES and not Path(word).exists()


def _rasters_of(word: str, drivers: tuple[str, ...]) -> list[str]:
    folder = Path(word)
    if not folder.is_dir():
        return [word]
    inside = named_folder(folder, IMAGE_FOLDERS)
    endings = suffixes_of(drivers)
    root = Path(os.path.realpath(folder))
    files, issues = list_rasters(inside if inside.is_dir() else folder, root, endings, "scene")
    if issues:
        raise InputError(issues)
    if not files:
        raise UsageError(
            f"--scene={word}: expected tiles, *{' or *'.join(endings)}, in the folder, found none"
        )
    return [str(path) for path in files.values()]
