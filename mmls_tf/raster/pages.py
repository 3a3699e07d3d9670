"""TIFFs in which a [height, width, bands] array was saved as `height` pages of `width` x `bands`.

GDAL takes such a file for one image of `bands` x `width` with `height` subdatasets and reads nonsense
without complaint. Uncompressed files, as the releases hold them, are read here directly once all their
headers have been checked; compressed ones are decoded by tifffile.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from mmls_tf.errors import UsageError
from mmls_tf.raster.raster import Raster, RasterError
from mmls_tf.raster.safety import most_bytes, read_local
from mmls_tf.raster.tiff_header import Directory, HeaderError, checked, read_checked
from mmls_tf.raster.tiff_pixels import find_blocks, number_kind, starts_of_alike

_DTYPES = {
    "Byte": "uint8", "Int8": "int8", "UInt16": "uint16", "Int16": "int16", "UInt32": "uint32", "Int32": "int32",
    "Float32": "float32", "Float64": "float64", "CFloat32": "complex64", "CFloat64": "complex128",
}  # fmt: skip
_MASK_KINDS = ("Byte", "Int8", "UInt16", "Int16", "UInt32", "Int32", "Float32")


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


def read_stacked(path: str | os.PathLike[str], bands: int, size: int) -> Raster:
    """Reads `size` pages of `size` x `bands` float32 as one raster [bands, size, size].

    Raises:
      RasterError: not a TIFF, another shape or type, or damaged.
    """
    expected = f"{size} pages of {size} x {bands} float32"
    content = read_local(path, most_bytes(bands, size), f"a readable TIFF with {expected}")
    pages = read_checked(path, content, expected)
    # The pages of a release differ in nothing but their places: then two of them speak for all.
    starts = checked(path, expected, lambda: starts_of_alike(pages[1:]))
    examined = pages if starts is None else pages[:2]
    shapes = checked(path, expected, lambda: {page.shape for page in examined})
    if len(pages) != size or shapes != {(size, bands, 1)}:
        raise RasterError(path, expected, _described(pages))
    kinds = checked(path, expected, lambda: {number_kind(page) for page in examined})
    if kinds != {"Float32"}:
        raise RasterError(
            path, "float32 numbers", ", ".join(sorted(_DTYPES.get(kind, kind) for kind in kinds))
        )
    blocks = checked(path, expected, lambda: [find_blocks(page) for page in examined])
    if all(page.compression == 1 and page.predictor == 1 and len(page.offsets) == 1 for page in blocks):
        offsets = [page.offsets[0] for page in blocks] if starts is None else [blocks[0].offsets[0], *starts]
        array = _uncompressed(path, pages[0], offsets, size, bands)
    else:
        array = _decoded(path, content, expected, "float32", (size, bands), range(size))
    return Raster(pixels=np.moveaxis(array, -1, 0), nodata=(None,) * bands)


def read_single(path: str | os.PathLike[str], size: int) -> Raster:
    """Reads one page of `size` x `size` as one raster [1, size, size].

    Raises:
      RasterError: not a TIFF, another shape, or damaged.
    """
    expected = f"1 band of {size} x {size}"
    content = read_local(path, most_bytes(1, size), f"a readable TIFF with {expected}")
    pages = read_checked(path, content, expected)
    if len(pages) != 1 or checked(path, expected, lambda: pages[0].shape) != (size, size, 1):
        raise RasterError(path, expected, _described(pages))
    kind = checked(path, expected, lambda: number_kind(pages[0]))
    if kind not in _MASK_KINDS:
        raise RasterError(path, "whole numbers or float32", _DTYPES.get(kind, kind))
    checked(path, expected, lambda: find_blocks(pages[0]))
    return Raster(pixels=_decoded(path, content, expected, _DTYPES[kind], (size, size), [0]), nodata=(None,))


def _described(pages: list[Directory]) -> str:
    """Returns what there is instead, such as `24 pages of 24 x 7`; the first odd page speaks for the rest."""
    try:
        shapes = [page.shape for page in pages]
    except HeaderError as error:
        return f"pages without a shape ({error})"
    odd = next((shape for shape in shapes if shape != shapes[0]), shapes[0])
    samples = f" x {odd[2]}" if odd[2] != 1 else ""
    others = " and other sizes" if odd != shapes[0] else ""
    return f"{len(pages)} {'page' if len(pages) == 1 else 'pages'} of {odd[0]} x {odd[1]}{samples}{others}"


def _uncompressed(
    path: str | os.PathLike[str], page: Directory, offsets: list[int], size: int, bands: int
) -> npt.NDArray[np.float32]:
    """Returns [size, size, bands], read-only, from pages of one uncompressed block each."""
    page_bytes, dtype = size * bands * 4, np.dtype(f"{page.order}f4")
    if max(offsets) + page_bytes > len(page.content) or any(0 < offset < 8 for offset in offsets):
        found = f"damaged data: {len(page.content)} bytes, and pixels beyond"
        raise RasterError(path, f"{size} pages of {size} x {bands} float32", found)
    if offsets == list(range(offsets[0], offsets[0] + size * page_bytes, page_bytes)) and offsets[0]:
        values = np.frombuffer(page.content, dtype, size * size * bands, offsets[0])
        return values.reshape(size, size, bands).astype(np.float32, copy=False)
    empty = bytes(page_bytes)  # a page without a block is one of zeros
    rows = [page.content[offset : offset + page_bytes] if offset else empty for offset in offsets]
    return np.frombuffer(b"".join(rows), dtype).reshape(size, size, bands).astype(np.float32, copy=False)


def _decoded(
    path: str | os.PathLike[str],
    content: bytes,
    expected: str,
    dtype: str,
    shape: tuple[int, int],
    indices: Sequence[int],
) -> npt.NDArray[Any]:
    array = decode_pages(path, content, expected, indices)
    if array.dtype.name != dtype or array.shape[1:] != shape:
        found = f"{array.dtype} {' x '.join(map(str, array.shape[1:]))}, which its header does not say"
        raise RasterError(path, f"a readable TIFF with {expected}", found)
    return array


def decode_pages(
    path: str | os.PathLike[str], content: bytes, expected: str, indices: Sequence[int]
) -> npt.NDArray[Any]:
    """Returns [pages, ...] as tifffile decodes the pages one by one, whatever it takes the file for.

    Raises:
      RasterError: damaged data.
    """
    tifffile = load_tifffile()
    try:
        with tifffile.TiffFile(io.BytesIO(content)) as file:
            return np.stack([file.pages[index].asarray() for index in indices])
    except Exception as error:  # tifffile and its codecs raise errors of many types on damaged files
        found = f"damaged data ({error})"
        raise RasterError(path, f"a readable TIFF with {expected}", found) from error
