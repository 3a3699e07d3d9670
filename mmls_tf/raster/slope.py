"""Slope of a digital elevation model, by GDAL's own code."""

from __future__ import annotations

import numpy as np

from mmls_tf.raster.geotiff import load_gdal
from mmls_tf.raster.nodata import NODATA
from mmls_tf.raster.raster import FloatArray, Geotransform

_GDALDEM_NODATA = -9999.0  # what `gdaldem` writes; no slope is negative


def slope_degrees(dem: FloatArray, geotransform: Geotransform) -> FloatArray:
    """Returns Horn's slope in degrees as `gdaldem slope` computes it.

    Args:
      dem: elevation in metres, [height + 2, width + 2]: one pixel more on every side than is returned;
        `NODATA` where there is none.
      geotransform: only its pixel sizes count, in metres.

    Returns:
      float32 [height, width]; `NODATA` where one of the 3 x 3 elevations is.
    """
    gdal = load_gdal()
    height, width = dem.shape
    source = gdal.GetDriverByName("MEM").Create("", width, height, 1, gdal.GDT_Float32)
    source.SetGeoTransform(geotransform)
    band = source.GetRasterBand(1)
    band.SetNoDataValue(float(NODATA))
    band.WriteArray(np.ascontiguousarray(dem, np.float32))
    result = gdal.DEMProcessing("", source, "slope", format="MEM", alg="Horn", slopeFormat="degree", scale=1)
    slope: FloatArray = result.ReadAsArray()[1:-1, 1:-1]
    return np.where(slope == _GDALDEM_NODATA, NODATA, slope)
