"""Where a raster lies, from its header alone."""

from __future__ import annotations

import os

from mmls_tf.errors import InputError
from mmls_tf.raster.foreign import ONLY_TIFF, driver_names, is_tiff
from mmls_tf.raster.geotiff import geotransform_of, open_alone
from mmls_tf.raster.opening import open_raster
from mmls_tf.raster.raster import Geotransform


def read_geotransform(path: str | os.PathLike[str], drivers: str = "GTiff") -> Geotransform | None:
    """Returns GDAL's six numbers in metres; None where the file has no georeference or cannot be opened.

    The file is opened as for reading its pixels, so that both tell the same place.
    """
    names = driver_names(drivers)
    try:
        if names == ONLY_TIFF or ("GTiff" in names and is_tiff(os.fspath(path))):
            dataset = open_alone(path, "a georeference")
        else:
            dataset = open_raster(os.fspath(path), names)
    except InputError:
        return None  # what is wrong with the file is said when it is read
    return geotransform_of(dataset)
