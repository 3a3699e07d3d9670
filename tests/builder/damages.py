"""Every way in which a tile can be bad, with the words that must be said about it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from osgeo import gdal
from small_world import (
    IN_CHALLENGE_FILES,
    MARS_FROM_180,
    SIZE,
    labels,
    place,
    raw_bands,
    write_challenge_image,
    write_challenge_mask,
    write_gdal,
    write_public_image,
)


@dataclass(frozen=True)
class Damage:
    """`apply(image, mask)` spoils one good tile; `file` is the offender, the rest words of the message."""

    apply: Callable[[Path, Path], object]
    file: str
    expected: str
    found: str


def altered(band: str, value: float) -> Callable[[Path, Path], None]:
    def apply(image: Path, mask: Path) -> None:
        bands = raw_bands(50)
        bands[band][2, 3] = value
        write_challenge_image(image, bands, 50)

    return apply


def wrong_band_count(image: Path, mask: Path) -> None:
    write_gdal(image, list(raw_bands(50).values())[:6], place(50))


def label_255(image: Path, mask: Path) -> None:
    values = labels(50)
    values[0, 0] = 255
    write_challenge_mask(mask, values, 50)


def image_of_kind(kind: int) -> Callable[[Path, Path], None]:
    def apply(image: Path, mask: Path) -> None:
        write_gdal(image, [raw_bands(50)[name] for name in IN_CHALLENGE_FILES], place(50), kind=kind)

    return apply


def truncated(image: Path, mask: Path) -> None:
    image.write_bytes(image.read_bytes()[: image.stat().st_size * 2 // 3])


def vrt(image: Path, mask: Path) -> None:
    """A VRT that GDAL would follow to a sound image with seven bands."""
    sound = image.with_name("t00.tif")
    gdal.GetDriverByName("VRT").CreateCopy(str(image), gdal.Open(str(sound)))
    assert gdal.Open(str(image)).RasterCount == 7


def nothing_valid(image: Path, mask: Path) -> None:
    bands = raw_bands(50)
    bands["slope"][:] = -3.4e38
    write_challenge_image(image, bands, 50)


SHAPE = f"7 bands of {SIZE} x {SIZE}"
FINITE = "finite numbers where no nodata tag says otherwise"
LABELS = "labels 0 (background) and 1 (landslide)"
DAMAGES = {
    "a larger image": Damage(
        lambda image, mask: write_challenge_image(image, raw_bands(50, 24), 50),
        "images",
        SHAPE,
        "7 of 24 x 24",
    ),
    "a larger mask": Damage(
        lambda image, mask: write_challenge_mask(mask, labels(50, 24), 50),
        "masks",
        "1 band of 16",
        "1 of 24 x 24",
    ),
    "six bands": Damage(wrong_band_count, "images", SHAPE, "6 of 16 x 16"),
    "a mask of two bands": Damage(
        lambda image, mask: write_gdal(mask, [labels(50)] * 2, place(50)),
        "masks",
        "1 band of 16 x 16",
        "2 of 16",
    ),
    "NaN": Damage(altered("dem", np.nan), "images", FINITE, "1 pixels of NaN or infinity in dem"),
    "infinity": Damage(altered("slope", np.inf), "images", FINITE, "1 pixels of NaN or infinity in slope"),
    "minus infinity": Damage(altered("gray", -np.inf), "images", FINITE, "NaN or infinity in gray"),
    "no valid pixel": Damage(nothing_valid, "images", "at least one pixel with data", "none"),
    "a label of 255": Damage(label_255, "masks", LABELS, "values 0, 1, 255"),
    "a truncated image": Damage(truncated, "images", SHAPE, ""),
    "a truncated mask": Damage(lambda image, mask: truncated(mask, mask), "masks", "1 band of 16 x 16", ""),
    "text": Damage(
        lambda image, mask: image.write_text("not a raster"),
        "images",
        SHAPE,
        "something else \\(.*not recogni",
    ),
    "an empty image": Damage(lambda image, mask: image.write_bytes(b""), "images", SHAPE, "an empty file"),
    "an empty mask": Damage(lambda image, mask: mask.write_bytes(b""), "masks", "1 band", "an empty file"),
    "complex numbers": Damage(image_of_kind(gdal.GDT_CFloat32), "images", "float32 or integer", "CFloat32"),
    "float64": Damage(image_of_kind(gdal.GDT_Float64), "images", "float32 or integer", "Float64"),
    "a public tile": Damage(
        lambda image, mask: write_public_image(image, raw_bands(50)),
        "images",
        "the challenge layout, as 10 of",
        "the public layout",
    ),
    "a mask elsewhere": Damage(
        lambda image, mask: write_challenge_mask(mask, labels(50), 51),
        "masks",
        "the geotransform of its image",
        f"{place(51)[0]}.*image has.*{place(50)[0]}",
    ),
    "a VRT": Damage(vrt, "images", SHAPE, "something else"),
    "another CRS": Damage(
        lambda image, mask: write_challenge_image(image, raw_bands(50), 50, wkt=MARS_FROM_180),
        "images",
        "the coordinate reference system of the other tiles",
        "",
    ),
    "a missing mask": Damage(lambda image, mask: mask.unlink(), "images", "a mask .*masks/u.tif", "none"),
    "a missing image": Damage(lambda image, mask: image.unlink(), "masks", "an image .*images/u.tif", "none"),
    "two images of one name": Damage(
        lambda image, mask: shutil.copy(image, image.with_suffix(".tiff")),
        "images",
        "one file of that name",
        "also u.tif",
    ),
}


def add_tile(src: Path, split: str, stem: str) -> tuple[Path, Path]:
    image, mask = (src / split / kind / f"{stem}.tif" for kind in ("images", "masks"))
    write_challenge_image(image, raw_bands(50), 50)
    write_challenge_mask(mask, labels(50), 50)
    return image, mask
