"""The forms in which MMLS tiles circulate, how each is recognised and read into canonical bands."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mmls_tf.bands import BAND_NAMES, BANDS
from mmls_tf.errors import UsageError
from mmls_tf.raster.foreign import ONLY_TIFF, read_any
from mmls_tf.raster.pages import read_single, read_stacked
from mmls_tf.raster.raster import ByteArray, FloatArray, Raster, RasterError
from mmls_tf.raster.safety import most_bytes, read_local
from mmls_tf.raster.tiff_header import Directory, HeaderError, read_directories

NODATA_LIMIT = 1e30  # no quantity on Mars is as large; the slope files use -3.4e38 without a tag
_LARGEST_FILE = most_bytes(len(BANDS), 4096)
_V1_IMAGE = re.compile(r"^Image(T?)_", re.IGNORECASE)
Reader = Callable[[str, int, tuple[str, ...]], Raster]


@dataclass(frozen=True)
class Layout:
    """One way of storing a tile: band order of the file, its scaling, and its two readers.

    Attributes:
      order: canonical band names in the order of the file.
      scaled: True where the file already holds scaled values, False where raw ones.
      scaling: name of the constants by which the values that `to_canonical` gives are scaled. Values of
        different scalings mean different things and are never to be mixed.
      read_image: (path, tile size in pixels, GDAL drivers that may open it) -> raster [7, size, size].
      read_mask: the same -> raster [1, size, size].
    """

    name: str
    about: str
    order: tuple[str, ...]
    scaled: bool
    scaling: str
    read_image: Reader
    read_mask: Reader


def _read_pages(path: str, size: int, drivers: tuple[str, ...]) -> Raster:
    return read_stacked(path, len(BANDS), size)  # no driver of GDAL's understands these


def _read_page(path: str, size: int, drivers: tuple[str, ...]) -> Raster:
    return read_single(path, size)


CHALLENGE = Layout(
    name="challenge",
    about="one georeferenced GeoTIFF a tile, 7 bands, raw values",
    order=("thermal_inertia", "slope", "dem", "gray", "red", "green", "blue"),
    scaled=False,
    scaling="mmlsv2",
    read_image=lambda path, size, drivers: read_any(path, len(BANDS), size, drivers),
    read_mask=lambda path, size, drivers: read_any(path, 1, size, drivers),
)
PUBLIC = Layout(
    name="public",
    about="one TIFF a tile whose pages are its rows, scaled to [0, 1]",
    order=BAND_NAMES,
    scaled=True,
    scaling="mmlsv2",
    read_image=_read_pages,
    read_mask=_read_page,
)
# The older release: constants of its own, which nobody has published. Its values are kept as they are.
V1 = Layout(
    name="v1",
    about="the older release: as public, with files named Image_*, another band order and another scaling",
    order=("blue", "green", "red", "dem", "thermal_inertia", "slope", "gray"),
    scaled=True,
    scaling="mmls_v1",
    read_image=_read_pages,
    read_mask=_read_page,
)
LAYOUTS = {layout.name: layout for layout in (CHALLENGE, PUBLIC, V1)}


def v1_mask_stem(stem: str) -> str:
    """Returns the stem of the mask of an image: `Mask_x` for `Image_x`, `MaskT_x` for `ImageT_x`, else the same."""
    return _V1_IMAGE.sub(r"Mask\1_", stem)


def recognise(path: str | os.PathLike[str], drivers: tuple[str, ...] = ONLY_TIFF) -> Layout:
    """Tells the layout of an image file from its headers and, between the two scaled releases, from its name.

    Raises:
      RasterError: not a TIFF, or one of no known form.
    """
    content = read_local(path, _LARGEST_FILE, "a readable TIFF")
    try:
        pages = read_directories(content, 2)
        _, width, samples = pages[0].shape
        if samples == len(BANDS) and all(page.is_overview for page in pages[1:]):
            return CHALLENGE
        if len(pages) > 1 and width == len(BANDS) and samples == 1:
            return V1 if _V1_IMAGE.match(Path(path).name) else PUBLIC
        found = _described(read_directories(content))
    except HeaderError as error:
        if drivers != ONLY_TIFF:
            return CHALLENGE  # other formats have no layout but this one
        raise RasterError(path, "a readable TIFF", f"something else ({error})") from error
    raise RasterError(
        path,
        f"one page of {len(BANDS)} bands (challenge layout) or a page of width x {len(BANDS)} for every row "
        "(public and v1 layouts)",
        found,
    )


def layout_named(name: str) -> Layout:
    """Returns the layout of that name.

    Raises:
      UsageError: there is none.
    """
    if name not in LAYOUTS:
        raise UsageError(f"--layout={name}: expected one of {', '.join(LAYOUTS)}")
    return LAYOUTS[name]


def _described(pages: list[Directory]) -> str:
    height, width, samples = pages[0].shape
    number = f"{len(pages)} {'page' if len(pages) == 1 else 'pages'}"
    return f"{number} of {height} x {width} with {samples} {'band' if samples == 1 else 'bands'}"


def to_canonical(raster: Raster, layout: Layout) -> tuple[FloatArray, ByteArray]:
    """Brings an image into canonical band order and scaling.

    Values above 1e30 in size and the file's own nodata value are nodata; zero is data.

    Returns:
      (image float32 [height, width, 7], 0.0 where invalid;
       valid uint8 [height, width], 1 where every band has data).
      NaN and infinity that no nodata tag explains stay in `image`, for the checks to find.
    """
    _, height, width = raster.pixels.shape
    image = np.empty((height, width, len(BANDS)), np.float32)
    invalid = np.zeros((height, width), bool)
    for source, name in enumerate(layout.order):
        target = BAND_NAMES.index(name)
        stored = raster.pixels[source]
        invalid |= _is_nodata(stored, raster.nodata[source])
        if layout.scaled:
            image[..., target] = stored
        else:
            band = BANDS[target]
            # In float64, as the public release was made: the same tile gives the same record from either.
            image[..., target] = (stored.astype(np.float64) - band.offset) / band.scale
    if invalid.any():
        image[invalid] = 0.0
    return image, (~invalid).astype(np.uint8)


def find_valid(raster: Raster) -> npt.NDArray[np.bool_]:
    """Returns [height, width], where no band holds nodata; NaN and infinity without a tag are none."""
    valid = np.ones(raster.pixels.shape[1:], bool)
    for stored, tag in zip(raster.pixels, raster.nodata, strict=True):
        valid &= ~_is_nodata(stored, tag)
    return valid


def _is_nodata(stored: npt.NDArray[np.generic], tag: float | None) -> npt.NDArray[np.bool_]:
    values = stored.astype(np.float32, copy=False)
    nodata = (np.abs(values) > NODATA_LIMIT) & np.isfinite(values)
    if tag is None:
        return nodata
    if np.isnan(tag):
        return nodata | np.isnan(values)
    return nodata | (values == np.float32(tag))
