"""Where a raster lies, from its header alone."""

from __future__ import annotations

import os

from mmls_tf.raster.foreign import driver_names
from mmls_tf.raster.geotiff import load_gdal
from mmls_tf.raster.raster import Geotransform

_NO_GEOREFERENCE = (0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def read_geotransform(path: str | os.PathLike[str], drivers: str = "GTiff") -> Geotransform | None:
    """Returns GDAL's six numbers in metres; None where the file has no georeference or cannot be opened."""
    gdal = load_gdal()
    try:
        dataset = gdal.OpenEx(
            os.fspath(path), gdal.OF_RASTER | gdal.OF_READONLY, allowed_drivers=list(driver_names(drivers))
        )
    except RuntimeError:
        return None  # what is wrong with the file is said when it is read
    transform = dataset.GetGeoTransform(can_return_null=True)
    if transform is None or tuple(transform) == _NO_GEOREFERENCE:
        return None
    return tuple(transform)
