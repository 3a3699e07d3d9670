"""Where the mosaic of single bands lies."""

from __future__ import annotations

from mmls_tf.errors import UsageError
from mmls_tf.raster.band_stack import BandFile
from mmls_tf.raster.crs import is_geographic
from mmls_tf.raster.grid import Grid, grid_of, resized
from tfrecords_builder.stack.config import StackConfig


def target_grid(config: StackConfig, dem: BandFile, like: Grid | None) -> Grid:
    """Returns the grid of the mosaic.

    Raises:
      UsageError: slope must be derived and the grid is in degrees.
    """
    grid = like or grid_of(dem.dataset, dem.path)
    if config.pixel_m:
        grid = resized(grid, config.pixel_m)
    if not config.slope and is_geographic(grid.crs_wkt):
        raise UsageError(
            f"--slope: {config.like or dem.path} has pixels in degrees, on which no slope can be derived from "
            "elevations in metres; give --pixel_m=232, say, for a simple cylindrical grid in metres, or --like=FILE "
            "with a projected CRS, or a slope file"
        )
    return grid
