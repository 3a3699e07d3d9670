"""The value that every reader returns and every writer takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mmls_tf.errors import InputError, Issue

FloatArray = npt.NDArray[np.float32]
ByteArray = npt.NDArray[np.uint8]
Geotransform = tuple[float, float, float, float, float, float]


@dataclass(frozen=True)
class Raster:
    """The pixels of one file and what it says of itself.

    Attributes:
      pixels: [bands, height, width], as stored; bands in the order of the file.
      nodata: the file's own nodata tag a band, None where it has none.
      geotransform: GDAL's six numbers (metres), None where the file has no georeference.
      crs_wkt: coordinate reference system as WKT, None where the file has none.
    """

    pixels: npt.NDArray[np.generic]
    nodata: tuple[float | None, ...]
    geotransform: Geotransform | None = None
    crs_wkt: str | None = None


class RasterError(InputError):
    """One raster file that cannot be read as what it should be."""

    def __init__(self, path: object, expected: str, found: str) -> None:
        super().__init__([Issue(str(path), expected, found)])
