"""The files of the single bands: opened, and checked to lie on one planet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmls_tf.bands import BAND_NAMES
from mmls_tf.errors import UsageError
from mmls_tf.raster.crs import describe, is_geographic, is_mars, latitudes_differ
from mmls_tf.raster.grid import Grid, grid_of, resized
from mmls_tf.raster.opening import open_raster
from mmls_tf.raster.raster import RasterError
from tfrecords_builder.stack.config import StackConfig


@dataclass(frozen=True)
class Source:
    """One band of one file, open.

    Attributes:
      name: canonical band name.
      path: the file.
      band: number of the band, from 1.
      dataset: the GDAL dataset.
    """

    name: str
    path: str
    band: int
    dataset: Any


def parse_source(text: str) -> tuple[str, int]:
    """Returns (path, band) of `PATH` or `PATH:N`; an existing file of that whole name is a path."""
    path, colon, number = text.rpartition(":")
    if colon and path and number.isdecimal() and not Path(text).is_file():
        return path, int(number)
    return text, 1


def open_sources(config: StackConfig, drivers: Sequence[str]) -> dict[str, Source]:
    """Opens the file of every band that the flags give.

    Raises:
      RasterError: a file cannot be opened or has no such band.
      UsageError: a file of several bands is given without saying which one.
    """
    sources: dict[str, Source] = {}
    opened: dict[str, Any] = {}  # a colour mosaic is one dataset with one cache, not three
    for name in (name for name in BAND_NAMES if getattr(config, name)):
        text = getattr(config, name)
        path, band = parse_source(text)
        if path not in opened:
            opened[path] = open_raster(path, drivers)
        dataset = opened[path]
        if not 1 <= band <= dataset.RasterCount:
            raise RasterError(path, f"a band {band} for --{name}", f"{dataset.RasterCount} bands")
        if dataset.RasterCount > 2 and text == path:  # two are a band and its alpha
            raise UsageError(
                f"--{name}={path}: expected the number of one of its {dataset.RasterCount} bands, as in "
                f"--{name}={path}:1; found none"
            )
        sources[name] = Source(name, path, band, dataset)
    return sources


def check_planet(sources: dict[str, Source], like: Grid | None, assume_crs: bool) -> tuple[str, ...]:
    """Checks that all sources lie on Mars, and returns notes on what cannot be told from their CRSs.

    Raises:
      RasterError: a source lies elsewhere, or has no CRS and --assume_crs is off.
    """
    dem = sources["dem"]
    dem_wkt = grid_of(dem.dataset, dem.path).crs_wkt
    target_wkt = like.crs_wkt if like else dem_wkt
    notes = []
    for source in sources.values():
        if not source.dataset.GetProjection() and not assume_crs:
            raise RasterError(
                source.path,
                "a coordinate reference system",
                f"none; --assume_crs takes that of the DEM, {describe(dem_wkt)}",
            )
        wkt = grid_of(source.dataset, source.path, dem_wkt).crs_wkt
        if not is_mars(wkt):
            raise RasterError(source.path, "a CRS on Mars (radius 3396.2 km)", describe(wkt))
        if latitudes_differ(wkt, target_wkt):
            notes.append(
                f"{source.path} lies on an ellipsoid and the mosaic on a sphere, or the other way round; latitudes "
                "were taken as they are (docs/own_data.md)"
            )
    return tuple(dict.fromkeys(notes))


def target_grid(config: StackConfig, dem: Source, like: Grid | None) -> Grid:
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
