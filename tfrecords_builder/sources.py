"""Finds the files of a data set: a folder goes in, a sorted list of image and mask pairs comes out."""

from __future__ import annotations

import filecmp
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmls_tf.errors import Issue, UsageError
from mmls_tf.raster.foreign import driver_names, suffixes_of
from mmls_tf.raster.layouts import v1_mask_stem
from mmls_tf.raster.listing import IMAGE_FOLDERS, MASK_FOLDERS, list_rasters, named_folder
from tfrecords_builder.split_names import find_split_folders, split_names_help

__all__ = ["Source", "find_sources", "split_names_help"]


@dataclass(frozen=True)
class Source:
    """The files of one tile; `mask` is None where the whole split is unlabelled."""

    split: str
    stem: str
    image: Path
    mask: Path | None

    @property
    def key(self) -> str:
        """The tile's name in the data set; a stem alone is none, since splits share stems."""
        return f"{self.split}/{self.stem}"


def find_sources(src: Path, drivers: str = "GTiff") -> tuple[list[Source], list[Issue]]:
    """Lists the tiles of every split folder under `src` and everything wrong that shows without reading a file.

    A split folder without any mask is unlabelled; an absent split other than train is fine. Issues are: a split
    without images, a labelled split that lacks masks, masks without an image, two files of one name, and files that
    are no plain files or that links lead out of `src`.

    Args:
      drivers: names of GDAL drivers, joined by commas; their files are looked for.

    Returns:
      (tiles, ordered by split and stem, without those that have an issue; the issues).

    Raises:
      UsageError: `src` is no folder, holds no train split, or two different folders for one split.
    """
    suffixes = suffixes_of(driver_names(drivers))
    root = Path(os.path.realpath(src))
    sources: list[Source] = []
    issues: list[Issue] = []
    for split, folders in find_split_folders(src).items():
        found, wrong = _find_split(split, _only_one(split, folders), root, suffixes)
        sources += found
        issues += wrong
    return sources, issues


def _only_one(split: str, folders: Sequence[Path]) -> Path:
    """Returns the folder of a split. A second one is accepted only if it holds the very same files.

    The challenge hands out two folders of which the later may repeat splits of the earlier; anything else that two
    folders may mean (parts, versions, two regions) is for the user to say.
    """
    for other in folders[1:]:
        if not _same_content(folders[0], other):
            raise UsageError(
                f"{folders[0]} and {other}: expected one folder for the {split} split, found two with different "
                "files; move one of them out of --src, or all files into one"
            )
    return folders[0]


def _same_content(one: Path, other: Path) -> bool:
    files, others = (
        sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
        for folder in (one, other)
    )
    return files == others and all(filecmp.cmp(one / name, other / name, shallow=False) for name in files)


def _find_split(
    split: str, folder: Path, root: Path, suffixes: tuple[str, ...]
) -> tuple[list[Source], list[Issue]]:
    images_in, masks_in = (named_folder(folder, names) for names in (IMAGE_FOLDERS, MASK_FOLDERS))
    images, issues = list_rasters(images_in, root, suffixes, "src")
    masks, mask_issues = list_rasters(masks_in, root, suffixes, "src")
    issues += mask_issues
    if not images and not issues:
        issues.append(Issue(str(images_in), f"*{suffixes[0]} files", "none"))
    mask_of = {stem: v1_mask_stem(stem) if v1_mask_stem(stem) in masks else stem for stem in images}
    refused = {Path(issue.path).stem for issue in issues}
    sources = []
    for stem in sorted(images):
        mask = masks.get(mask_of[stem])
        if masks and mask is None and mask_of[stem] not in refused:
            missing = masks_in / f"{v1_mask_stem(stem)}{images[stem].suffix}"
            issues.append(Issue(str(images[stem]), f"a mask {missing}", "none"))
        elif stem not in refused:
            sources.append(Source(split, stem, images[stem], mask))
    for stem in sorted(masks.keys() - set(mask_of.values()) - refused):
        issues.append(Issue(str(masks[stem]), f"an image {images_in / masks[stem].name}", "none"))
    return sources, issues
