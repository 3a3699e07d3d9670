"""Hill-shading of a digital elevation model, by GDAL's own code."""

from __future__ import annotations

import numpy as np

from mmls_tf.raster.geotiff import load_gdal
from mmls_tf.raster.nodata import NODATA
from mmls_tf.raster.raster import ByteArray, FloatArray

AZIMUTH_DEG = 315.0
ALTITUDE_DEG = 45.0


def hill_shade(dem: FloatArray, pixel_m: tuple[float, float], exaggeration: float = 1.0) -> ByteArray:
    """Returns the shading of a relief lit from the north-west at 45 degrees, as `gdaldem hillshade` computes it.

    Its slopes are Horn's; along the edges and beside missing elevations it takes the nearest that it has
    (`-compute_edges`).

    Args:
      dem: elevation in metres, [rows, columns]; NaN where there is none.
      pixel_m: width and height of a pixel in metres.
      exaggeration: by which elevations are multiplied first.

    Returns:
      uint8 [rows, columns], 1 (dark) to 255; 0 where there is no elevation.
    """
    gdal = load_gdal()
    height, width = dem.shape
    source = gdal.GetDriverByName("MEM").Create("", width, height, 1, gdal.GDT_Float32)
    source.SetGeoTransform((0.0, pixel_m[0], 0.0, 0.0, 0.0, -pixel_m[1]))
    band = source.GetRasterBand(1)
    band.SetNoDataValue(float(NODATA))
    band.WriteArray(np.where(np.isnan(dem), NODATA, dem).astype(np.float32))
    result = gdal.DEMProcessing(
        "",
        source,
        "hillshade",
        format="MEM",
        alg="Horn",
        azimuth=AZIMUTH_DEG,
        altitude=ALTITUDE_DEG,
        zFactor=exaggeration,
        scale=1,
        computeEdges=True,
    )
    shade: ByteArray = result.ReadAsArray()
    return shade
