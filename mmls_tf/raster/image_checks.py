"""Checks on the pixels of one image that need no other file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mmls_tf.bands import BAND_NAMES
from mmls_tf.errors import InputError, Issue
from mmls_tf.raster.band_order import order_problem
from mmls_tf.raster.layouts import Layout, to_canonical
from mmls_tf.raster.raster import ByteArray, FloatArray, Raster


def checked_image(
    path: Path, raster: Raster, layout: Layout, check_order: bool
) -> tuple[FloatArray, ByteArray]:
    """Brings what was read from a file into canonical form and checks it.

    Args:
      check_order: whether the pixels must bear out the order of bands.

    Returns:
      (image float32 [height, width, 7], valid uint8 [height, width]), as from `to_canonical`, all of it finite.

    Raises:
      InputError: NaN or infinity without a nodata tag, no pixel with data, or bands in another order.
    """
    image, valid = to_canonical(raster, layout)
    issues = _image_issues(path, image, valid)
    if check_order and not issues:
        problem = order_problem(raster, layout)
        if problem is not None:
            issues.append(Issue(str(path), problem.expected, problem.found))
    if issues:
        raise InputError(issues)
    return image, valid


def _image_issues(path: Path, image: FloatArray, valid: ByteArray) -> list[Issue]:
    issues = []
    finite = np.isfinite(image)
    if not finite.all():
        bad = {
            name: int(count)
            for name, count in zip(BAND_NAMES, (~finite).sum(axis=(0, 1)), strict=True)
            if count
        }
        found = ", ".join(f"{count} pixels of NaN or infinity in {name}" for name, count in bad.items())
        issues.append(Issue(str(path), "finite numbers where no nodata tag says otherwise", found))
    elif not valid.any():
        issues.append(Issue(str(path), "at least one pixel with data in every band", "none"))
    return issues
