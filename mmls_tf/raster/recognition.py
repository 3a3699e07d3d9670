"""Tells which layout a whole folder of images has, and which of them have another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mmls_tf.errors import InputError, Issue
from mmls_tf.raster.band_order import known_order
from mmls_tf.raster.foreign import ONLY_TIFF
from mmls_tf.raster.layouts import LAYOUTS, PUBLIC, V1, Layout, layout_named, recognise

_PROBED = 3  # images of a name whose pixels are asked; every one is asked again when it is read


def choose_layout(
    name: str, images: Sequence[Path], tile_size: int, drivers: tuple[str, ...] = ONLY_TIFF
) -> tuple[Layout, list[Issue]]:
    """Returns the layout that most images have, and an issue for every image of another.

    Images of no known layout are passed over: the reader says what is wrong with them. The public release and v1
    have the same headers: their names tell them apart, and where the names were changed the relation of slope and
    elevation does.

    Args:
      name: a name of `LAYOUTS`, which is then taken for that of all images, or "auto".
      images: paths of the images.
      tile_size: height and width of a tile in pixels.

    Raises:
      UsageError: there is no layout of that name.
      InputError: no image is of a known layout.
    """
    if name != "auto":
        return layout_named(name), []
    found: dict[str, list[Path]] = {}
    issues: list[Issue] = []
    for image in images:
        try:
            found.setdefault(recognise(image, drivers).name, []).append(image)
        except InputError as error:
            issues += error.issues
    if not found:
        raise InputError(issues)
    by_layout: dict[str, list[Path]] = {}
    for named, paths in found.items():
        by_layout.setdefault(_by_pixels(layout_named(named), paths, tile_size).name, []).extend(paths)
    usual = max(by_layout, key=lambda layout: (len(by_layout[layout]), layout))
    return layout_named(usual), _odd_ones(by_layout, usual)


def _by_pixels(named: Layout, paths: Sequence[Path], tile_size: int) -> Layout:
    """Returns the layout that the pixels of a few images show, the one that their names show if they do not."""
    if named not in (PUBLIC, V1):
        return named
    votes: Counter[str] = Counter()
    for path in paths[:_PROBED]:
        try:
            raster = named.read_image(str(path), tile_size, ONLY_TIFF)
        except InputError:
            continue  # reported when the tile is read
        layout = known_order(raster, (PUBLIC, V1))
        if layout is not None:
            votes[layout.name] += 1
    return LAYOUTS[votes.most_common(1)[0][0]] if votes else named


def _odd_ones(by_layout: dict[str, list[Path]], usual: str) -> list[Issue]:
    count = sum(len(paths) for paths in by_layout.values())
    expected = (
        f"the {usual} layout, as {len(by_layout[usual])} of {count} images have it, such as "
        f"{by_layout[usual][0]}; move the others to a folder of their own, or force one with --layout"
    )
    return [
        Issue(str(path), expected, f"the {name} layout")
        for name, paths in by_layout.items()
        if name != usual
        for path in paths
    ]
