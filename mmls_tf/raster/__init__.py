"""Raster files in and out: the only place that knows GDAL and tifffile, both loaded when first used."""
