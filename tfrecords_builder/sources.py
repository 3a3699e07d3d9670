"""Finds the files of a data set: a folder goes in, a sorted list of image and mask pairs comes out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mmls_tf.errors import InputError, Issue, UsageError
from mmls_tf.schema import SPLITS

_SUFFIXES = (".tif", ".tiff")


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


def find_sources(src: Path) -> list[Source]:
    """Lists the tiles of every split folder under `src`, ordered by split and stem.

    A split folder without any mask is unlabelled; an absent split other than train is fine.

    Raises:
      UsageError: `src` is no folder, or holds no train split.
      InputError: a split has no images, a labelled split lacks masks, or masks have no image.
    """
    if not src.is_dir():
        raise UsageError(f"--src={src}: expected a folder with {', '.join(SPLITS)} in it, found none")
    present = [split for split in SPLITS if (src / split).is_dir()]
    if "train" not in present:
        found = ", ".join(sorted(path.name for path in src.iterdir())[:8]) or "nothing"
        raise UsageError(
            f"--src={src}: expected a folder `train` (with `images` and `masks`) in it, found {found}"
        )
    sources: list[Source] = []
    issues: list[Issue] = []
    for split in present:
        found_sources, found_issues = _find_split(src / split, split)
        sources += found_sources
        issues += found_issues
    if issues:
        raise InputError(issues)
    return sources


def _find_split(folder: Path, split: str) -> tuple[list[Source], list[Issue]]:
    images, twice = _rasters(folder / "images")
    masks, twice_masks = _rasters(folder / "masks")
    issues = twice + twice_masks
    if not images:
        issues.append(Issue(str(folder / "images"), "*.tif files", "none"))
    if masks:
        issues += [
            Issue(str(images[stem]), f"a mask {folder / 'masks' / images[stem].name}", "none")
            for stem in sorted(images.keys() - masks.keys())
        ]
        issues += [
            Issue(str(masks[stem]), f"an image {folder / 'images' / masks[stem].name}", "none")
            for stem in sorted(masks.keys() - images.keys())
        ]
    sources = [Source(split, stem, images[stem], masks.get(stem)) for stem in sorted(images)]
    return sources, issues


def _rasters(folder: Path) -> tuple[dict[str, Path], list[Issue]]:
    files: dict[str, Path] = {}
    issues: list[Issue] = []
    for path in _listing(folder):
        if path.stem in files:
            issues.append(Issue(str(path), "one file of that name", f"also {files[path.stem].name}"))
        files[path.stem] = path
    return files, issues


def _listing(folder: Path) -> Iterable[Path]:
    if not folder.is_dir():
        return []
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in _SUFFIXES and not path.name.startswith(".")  # "._x.tif" is macOS's litter
    )
