"""Reads one tile and checks everything about it that can be checked on its own."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmls_tf.errors import InputError, Issue
from mmls_tf.raster.foreign import driver_names
from mmls_tf.raster.image_checks import checked_image
from mmls_tf.raster.layouts import Layout
from mmls_tf.raster.raster import ByteArray, FloatArray, Geotransform, Raster
from tfrecords_builder.sources import Source


@dataclass(frozen=True)
class Tile:
    """A validated tile.

    Attributes:
      image: float32 [height, width, 7], canonical bands and scaling, 0.0 where invalid.
      valid: uint8 [height, width], 1 where every band has data.
      mask: uint8 [height, width], 0 background, 1 landslide; None if unlabelled.
      geotransform: GDAL's six numbers in metres, None if the file has none.
    """

    key: str
    image: FloatArray
    valid: ByteArray
    mask: ByteArray | None
    geotransform: Geotransform | None
    crs_wkt: str | None
    image_sha256: str
    mask_sha256: str | None


def read_tile(
    source: Source, layout: Layout, size: int, drivers: str = "GTiff", check_order: bool = True
) -> Tile:
    """Reads image and mask of a tile.

    Args:
      size: the height and width that both must have.
      drivers: GDAL drivers that may open them, joined by commas.
      check_order: whether the pixels must bear out the order of bands.

    Raises:
      InputError: lists everything wrong with the image and with the mask.
    """
    issues: list[Issue] = []
    image_raster = mask_raster = None
    try:
        image_raster = layout.read_image(str(source.image), size, driver_names(drivers))
        image, valid = checked_image(source.image, image_raster, layout, check_order)
    except InputError as error:
        issues += error.issues
    if source.mask is not None:
        try:
            mask_raster = layout.read_mask(str(source.mask), size, driver_names(drivers))
            issues += _mask_issues(source.mask, mask_raster, image_raster)
        except InputError as error:
            issues += error.issues
    if issues or image_raster is None:
        raise InputError(issues)
    return Tile(
        key=source.key,
        image=image,
        valid=valid,
        mask=None if mask_raster is None else mask_raster.pixels[0].astype(np.uint8),
        geotransform=image_raster.geotransform,
        crs_wkt=image_raster.crs_wkt,
        image_sha256=_sha256(source.image),
        mask_sha256=None if source.mask is None else _sha256(source.mask),
    )


def read_image(path: Path, layout: Layout, size: int, drivers: str = "GTiff") -> tuple[FloatArray, ByteArray]:
    """Reads an image alone, for its pixels around another tile; as a tile it is read and checked in its own right.

    Returns:
      (image float32 [size, size, 7], canonical; valid uint8 [size, size]), as in `Tile`.

    Raises:
      InputError: the image cannot be used.
    """
    return checked_image(path, layout.read_image(str(path), size, driver_names(drivers)), layout, False)


def _mask_issues(path: Path, mask: Raster, image: Raster | None) -> list[Issue]:
    issues = []
    if not ((mask.pixels == 0) | (mask.pixels == 1)).all():
        labels = np.unique(mask.pixels)
        found = ", ".join(str(label) for label in labels[:6]) + (", ..." if len(labels) > 6 else "")
        issues.append(Issue(str(path), "labels 0 (background) and 1 (landslide)", f"values {found}"))
    if image is not None and not _same_place(mask, image):
        found = f"{mask.geotransform}, the image has {image.geotransform}"
        issues.append(Issue(str(path), "the geotransform of its image", found))
    return issues


def _same_place(one: Raster, other: Raster) -> bool:
    """Tells whether two georeferences agree to a hundredth of a pixel; a missing one agrees with any."""
    if one.geotransform is None or other.geotransform is None:
        return True
    tolerance = 0.01 * abs(other.geotransform[1])
    return all(abs(a - b) <= tolerance for a, b in zip(one.geotransform, other.geotransform, strict=True))


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
