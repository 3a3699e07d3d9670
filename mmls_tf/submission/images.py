"""A folder of images: found, recognised, every one checked, and put in its place on the map."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmls_tf.data.tiles import Tile
from mmls_tf.errors import InputError, Issue, UsageError
from mmls_tf.raster.foreign import driver_names, suffixes_of
from mmls_tf.raster.geotiff import same_crs
from mmls_tf.raster.image_checks import checked_image
from mmls_tf.raster.layouts import Layout
from mmls_tf.raster.listing import IMAGE_FOLDERS, list_rasters, named_folder
from mmls_tf.raster.places import place_by_georeference, place_by_name
from mmls_tf.raster.recognition import choose_layout
from mmls_tf.raster.seams import Rims, rims_of, trustworthy
from mmls_tf.schema import UNKNOWN_LABEL, Place
from mmls_tf.submission.config import SubmitConfig

_TIFF_ENDING = re.compile(r"\.tiff?$", re.IGNORECASE)


@dataclass(frozen=True)
class Images:
    """Images that can be read; they are read anew every time they are gone through.

    Attributes:
      files: paths by stem, in the order of their names.
      size: height and width in pixels.
      places: by stem, of those whose place is known.
      doubtful: stems whose names claim a place that the ground does not bear out.
    """

    files: Mapping[str, Path]
    layout: Layout
    size: int
    drivers: str
    places: Mapping[str, Place]
    doubtful: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Tile]:
        """Yields tiles of unknown labels whose keys are the stems."""
        unknown = np.full((self.size, self.size), UNKNOWN_LABEL, np.uint8)
        for stem, path in self.files.items():
            raster = self.layout.read_image(str(path), self.size, driver_names(self.drivers))
            image, valid = checked_image(path, raster, self.layout, check_order=False)
            yield Tile(stem, image, valid, unknown)


def open_images(config: SubmitConfig, size: int) -> Images:
    """Finds the images that a submission is of, and checks every one.

    Raises:
      UsageError: there is no such folder, it holds no image, or its names are not those of --names.
      InputError: lists every image that cannot be used: unreadable, of another size or form, two of one name, another
        coordinate reference system.
    """
    drivers = driver_names(config.drivers)
    files, issues = _find(Path(config.images), suffixes_of(drivers))
    if not files:
        if issues:
            raise InputError(issues)
        raise UsageError(
            f"--images={config.images}: expected *{' or *'.join(suffixes_of(drivers))}, found none"
        )
    if config.names:
        known = [*files, *(Path(issue.path).stem for issue in issues)]
        _require_names(Path(config.names), known, config.images)
    try:
        layout, odd = choose_layout(config.layout, list(files.values()), size, drivers)
    except InputError as error:
        raise InputError([*issues, *error.issues]) from error
    issues += odd
    wrong = {issue.path for issue in odd}
    left = {stem: path for stem, path in files.items() if str(path) not in wrong}
    places, doubtful, found = _survey(left, layout, size, config)
    if issues + found:
        raise InputError(sorted(issues + found, key=str), f"Nothing was written to {config.out}.")
    return Images(files, layout, size, config.drivers, places, doubtful)


def require_surroundings(images: Images, flag: str) -> None:
    """Makes sure that it is known which images abut.

    Raises:
      UsageError: an image among others has no place, or not all places can be compared.
    """
    lost = [stem for stem in images.files if stem not in images.places and stem not in images.doubtful]
    if lost and len(images.files) > 1:
        raise UsageError(
            f"{flag}: expected a georeference or a name such as col00042_row00007 for every image, since a run "
            f"sees the surroundings of a tile (--context); found neither for {len(lost)} of {len(images.files)}, such "
            f"as {lost[0]}; name the images by their place, or give runs without --context"
        )
    frames = sorted({place.frame for place in images.places.values()})
    if len(frames) > 1:
        raise UsageError(
            f"{flag}: expected images whose places can be compared, since a run sees the surroundings of a tile "
            f"(--context); found {' and '.join(frames)}; give those of each frame by themselves"
        )


def _find(folder: Path, suffixes: tuple[str, ...]) -> tuple[dict[str, Path], list[Issue]]:
    if not folder.is_dir():
        raise UsageError(f"--images={folder}: expected a folder of images, found none")
    inside = named_folder(folder, IMAGE_FOLDERS)
    return list_rasters(
        inside if inside.is_dir() else folder, Path(os.path.realpath(folder)), suffixes, "images"
    )


def _require_names(path: Path, found: list[str], images: str) -> None:
    if not path.is_file():
        raise UsageError(f"--names={path}: expected a file with one name a line, found none")
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    asked = [_TIFF_ENDING.sub("", line) for line in lines if line]
    twice = sorted(name for name, count in Counter(asked).items() if count > 1)
    if twice:
        raise UsageError(f"--names={path}: expected every name once, found {_some(twice)} several times")
    missing, extra = sorted(set(asked) - set(found)), sorted(set(found) - set(asked))
    if missing or extra:
        parts = [f"no image for {_some(missing)}"] if missing else []
        parts += [f"images that are not asked for, {_some(extra)}"] if extra else []
        raise UsageError(
            f"--images={images}: expected the {len(asked)} names of {path}, found {'; '.join(parts)}"
        )


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


def _survey(
    files: Mapping[str, Path], layout: Layout, size: int, config: SubmitConfig
) -> tuple[dict[str, Place], tuple[str, ...], list[Issue]]:
    """Reads every image once; returns the places, the doubtful ones, and everything that is wrong."""
    issues: list[Issue] = []
    places: dict[str, Place] = {}
    rims: dict[str, Rims] = {}
    systems: dict[str, list[Path]] = {}
    for stem, path in files.items():
        try:
            raster = layout.read_image(str(path), size, driver_names(config.drivers))
            image, _ = checked_image(path, raster, layout, config.check_order)
        except InputError as error:
            issues += error.issues
            continue
        if raster.crs_wkt:
            systems.setdefault(raster.crs_wkt, []).append(path)
        if raster.geotransform is not None:
            place = place_by_georeference(raster.geotransform)
        else:
            place = place_by_name(stem, "of the folder", size)
            rims[stem] = rims_of(image)
        if place is not None:
            places[stem] = place
    by_name = {stem: place for stem, place in places.items() if stem in rims}
    doubtful = tuple(sorted(by_name.keys() - trustworthy(by_name, rims, size).keys()))
    return {k: v for k, v in places.items() if k not in doubtful}, doubtful, issues + _foreign(systems)


def _foreign(systems: Mapping[str, list[Path]]) -> list[Issue]:
    """Returns the images whose coordinate reference system is not that of most."""
    if not systems:
        return []
    usual = max(systems, key=lambda wkt: (len(systems[wkt]), wkt))
    return [
        Issue(str(path), "the coordinate reference system of most images", "another one")
        for wkt, paths in systems.items()
        if not same_crs(wkt, usual)
        for path in paths
    ]
