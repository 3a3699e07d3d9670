"""TIFFs in which a [height, width, bands] array was saved as `height` pages of `width` x `bands`.

GDAL takes such a file for one image of `bands` x `width` with `height` subdatasets and reads nonsense
without complaint, so tifffile reads these.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any

import numpy as np

from mmls_tf.errors import UsageError
from mmls_tf.raster.raster import Raster, RasterError

_GEO_KEY_DIRECTORY = 34735
_GEO_KEY_TAGS = (_GEO_KEY_DIRECTORY, 34736, 34737)  # the directory and its float and text parameters


@cache
def load_tifffile() -> Any:
    """Returns the `tifffile` module, once its codecs are known to be there.

    Raises:
      UsageError: tifffile or imagecodecs is missing.
    """
    try:
        import imagecodecs  # noqa: F401  # LZW, in which the masks are compressed
        import tifffile
    except ImportError as error:
        raise UsageError(
            f"tifffile and imagecodecs are needed to read page-stacked TIFFs: {error}. Install them with "
            "`pip install tifffile imagecodecs`."
        ) from error
    return tifffile


def page_shape(path: str | os.PathLike[str]) -> tuple[int, int, int, int]:
    """Returns (pages, height, width, samples a pixel) of a TIFF, read from its headers alone.

    Raises:
      RasterError: not a TIFF, or its directory is damaged.
    """
    tifffile = load_tifffile()
    try:
        with tifffile.TiffFile(path) as file:
            page = file.pages[0]
            return len(file.pages), page.imagelength, page.imagewidth, page.samplesperpixel
    except Exception as error:  # tifffile raises errors of many types on files that are no TIFFs
        raise RasterError(path, "a readable TIFF", f"something else ({error})") from error


def geo_keys(path: str | os.PathLike[str]) -> tuple[object, ...] | None:
    """Returns the raw tags in which a GeoTIFF keeps its coordinate reference system, None without any."""
    tifffile = load_tifffile()
    with tifffile.TiffFile(path) as file:
        tags = file.pages[0].tags
        if _GEO_KEY_DIRECTORY not in tags:
            return None
        return tuple(tags[code].value if code in tags else None for code in _GEO_KEY_TAGS)


def read_stacked(path: str | os.PathLike[str], bands: int, size: int) -> Raster:
    """Reads `size` pages of `size` x `bands` float32 as one raster [bands, size, size].

    Raises:
      RasterError: not a TIFF, another shape or type, or damaged.
    """
    array = _read(path, (size, size, bands), f"{size} pages of {size} x {bands} float32")
    if array.dtype != np.float32:
        raise RasterError(path, "float32 numbers", str(array.dtype))
    return Raster(pixels=np.moveaxis(array, -1, 0), nodata=(None,) * bands)


def read_single(path: str | os.PathLike[str], size: int) -> Raster:
    """Reads one page of `size` x `size` as one raster [1, size, size].

    Raises:
      RasterError: not a TIFF, another shape, or damaged.
    """
    array = _read(path, (size, size), f"1 band of {size} x {size}")
    return Raster(pixels=array[None], nodata=(None,))


def _read(path: str | os.PathLike[str], shape: tuple[int, ...], expected: str) -> Any:
    tifffile = load_tifffile()
    try:
        with tifffile.TiffFile(path) as file:
            series = file.series[0]
            if len(file.series) != 1 or series.shape != shape:
                pages, page = len(file.pages), file.pages[0]
                found = f"{pages} {'page' if pages == 1 else 'pages'} of {' x '.join(map(str, page.shape))}"
                raise RasterError(path, expected, found)
            return series.asarray()
    except RasterError:
        raise
    except FileNotFoundError as error:
        raise RasterError(path, f"a readable TIFF with {expected}", "no such file") from error
    except Exception as error:  # tifffile raises errors of many types on damaged files
        raise RasterError(path, f"a readable TIFF with {expected}", f"damaged data ({error})") from error
