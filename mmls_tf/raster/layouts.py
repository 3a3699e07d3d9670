"""The forms in which MMLSv2 tiles circulate, how each is recognised and read into canonical bands."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mmls_tf.bands import BAND_NAMES, BANDS
from mmls_tf.errors import UsageError
from mmls_tf.raster.geotiff import read_geotiff
from mmls_tf.raster.pages import page_shape, read_single, read_stacked
from mmls_tf.raster.raster import ByteArray, FloatArray, Raster, RasterError

NODATA_LIMIT = 1e30  # no quantity on Mars is as large; the slope files use -3.4e38 without a tag


@dataclass(frozen=True)
class Layout:
    """One way of storing a tile: band order of the file, its scaling, and its two readers.

    Attributes:
      order: canonical band names in the order of the file.
      scaled: True where the file already holds canonical values, False where raw ones.
      read_image: (path, tile size in pixels) -> raster [7, size, size].
      read_mask: (path, tile size in pixels) -> raster [1, size, size].
    """

    name: str
    about: str
    order: tuple[str, ...]
    scaled: bool
    read_image: Callable[[str, int], Raster]
    read_mask: Callable[[str, int], Raster]


CHALLENGE = Layout(
    name="challenge",
    about="one georeferenced GeoTIFF a tile, 7 bands, raw values",
    order=("thermal_inertia", "slope", "dem", "gray", "red", "green", "blue"),
    scaled=False,
    read_image=lambda path, size: read_geotiff(path, len(BANDS), size),
    read_mask=lambda path, size: read_geotiff(path, 1, size),
)
PUBLIC = Layout(
    name="public",
    about="one TIFF a tile whose pages are its rows, scaled to [0, 1]",
    order=BAND_NAMES,
    scaled=True,
    read_image=lambda path, size: read_stacked(path, len(BANDS), size),
    read_mask=read_single,
)
LAYOUTS = {layout.name: layout for layout in (CHALLENGE, PUBLIC)}


def recognise(path: str | os.PathLike[str]) -> Layout:
    """Tells the layout of an image file from its headers.

    Raises:
      RasterError: not a TIFF, or one of neither form.
    """
    pages, height, width, samples = page_shape(path)
    if pages == 1 and samples == len(BANDS):
        return CHALLENGE
    if pages > 1 and width == len(BANDS) and samples == 1:
        return PUBLIC  # tifffile reports a page of width x bands as height x width
    raise RasterError(
        path,
        f"one page of {len(BANDS)} bands (challenge layout) or a page of width x {len(BANDS)} for every row "
        "(public layout)",
        f"{pages} {'page' if pages == 1 else 'pages'} of {height} x {width} with {samples} "
        f"{'band' if samples == 1 else 'bands'}",
    )


def layout_named(name: str) -> Layout:
    """Returns the layout of that name.

    Raises:
      UsageError: there is none.
    """
    if name not in LAYOUTS:
        raise UsageError(f"--layout={name}: expected one of {', '.join(LAYOUTS)}")
    return LAYOUTS[name]


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


def _is_nodata(stored: npt.NDArray[np.generic], tag: float | None) -> npt.NDArray[np.bool_]:
    values = stored.astype(np.float32, copy=False)
    nodata = (np.abs(values) > NODATA_LIMIT) & np.isfinite(values)
    if tag is None:
        return nodata
    if np.isnan(tag):
        return nodata | np.isnan(values)
    return nodata | (values == np.float32(tag))
