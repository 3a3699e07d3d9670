"""Bands in files of their own: opened, checked to lie on one planet, read together on one grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmls_tf.bands import BAND_NAMES
from mmls_tf.errors import UsageError
from mmls_tf.raster.crs import describe, is_mars, latitudes_differ, metres_per_unit
from mmls_tf.raster.grid import Grid, grid_of
from mmls_tf.raster.layouts import CHALLENGE
from mmls_tf.raster.nodata import NODATA, marked
from mmls_tf.raster.opening import open_raster
from mmls_tf.raster.raster import FloatArray, RasterError
from mmls_tf.raster.slope import slope_degrees
from mmls_tf.raster.windows import Window, read_window


@dataclass(frozen=True)
class BandFile:
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


def parse_band_file(text: str) -> tuple[str, int]:
    """Returns (path, band) of `PATH` or `PATH:N`; an existing file of that whole name is a path."""
    path, colon, number = text.rpartition(":")
    if colon and path and number.isdecimal() and not Path(text).is_file():
        return path, int(number)
    return text, 1


def open_band_files(
    given: Mapping[str, str], drivers: Sequence[str], flag: Callable[[str], str]
) -> dict[str, BandFile]:
    """Opens the file of every band.

    Args:
      given: `PATH` or `PATH:N` by canonical band name.
      flag: how the user has named the file of a band, for messages.

    Raises:
      RasterError: a file cannot be opened or has no such band.
      UsageError: a file of several bands is given without saying which one.
    """
    files: dict[str, BandFile] = {}
    opened: dict[str, Any] = {}  # a colour mosaic is one dataset with one cache, not three
    for name in (name for name in BAND_NAMES if given.get(name)):
        text = given[name]
        path, band = parse_band_file(text)
        if path not in opened:
            opened[path] = open_raster(path, drivers)
        dataset = opened[path]
        if not 1 <= band <= dataset.RasterCount:
            raise RasterError(path, f"a band {band} for {flag(name)}", f"{dataset.RasterCount} bands")
        if dataset.RasterCount > 2 and text == path:  # two are a band and its alpha
            raise UsageError(
                f"{flag(name)}={path}: expected the number of one of its {dataset.RasterCount} bands, as in "
                f"{flag(name)}={path}:1; found none"
            )
        files[name] = BandFile(name, path, band, dataset)
    return files


def check_planet(
    files: Mapping[str, BandFile], target_wkt: str, assumed_wkt: str | None, advice: str
) -> tuple[str, ...]:
    """Checks that all files lie on Mars, and returns notes on what cannot be told from their CRSs.

    Args:
      target_wkt: CRS that they are brought to.
      assumed_wkt: CRS of a file without one; None where each must have one.
      advice: what to do about a file without one.

    Raises:
      RasterError: a file lies elsewhere, or has no CRS.
    """
    notes = []
    for file in files.values():
        if not file.dataset.GetProjection() and assumed_wkt is None:
            raise RasterError(file.path, "a coordinate reference system", f"none; {advice}")
        wkt = grid_of(file.dataset, file.path, assumed_wkt).crs_wkt
        if not is_mars(wkt):
            raise RasterError(file.path, "a CRS on Mars (radius 3396.2 km)", describe(wkt))
        if latitudes_differ(wkt, target_wkt):
            notes.append(
                f"{file.path} lies on an ellipsoid and the mosaic on a sphere, or the other way round; latitudes "
                "were taken as they are (docs/own_data.md)"
            )
    return tuple(dict.fromkeys(notes))


def read_stacked(warped: Mapping[str, Any], grid: Grid, window: Window) -> FloatArray:
    """Reads a window of all bands; slope is that of the elevation where it is not among them.

    Args:
      warped: datasets on `grid` by canonical band name, as `open_warped` returns them.
      window: may reach beyond the grid, where there is nothing; `gdaldem`, too, leaves outermost pixels without slope.

    Returns:
      float32 [7, height, width] in the challenge's order; `NODATA` where there is none, and in bands not given.
    """
    planes = {name: _read_plane(dataset, window) for name, dataset in warped.items() if name != "dem"}
    if "dem" in warped:
        dem = _read_plane(warped["dem"], window.grown(1))
        planes["dem"] = dem[1:-1, 1:-1]
        if "slope" not in planes:
            metres = metres_per_unit(grid.crs_wkt)
            west, across, _, north, _, down = grid.geotransform
            planes["slope"] = slope_degrees(dem, (west, across * metres, 0.0, north, 0.0, down * metres))
    nothing = np.full((window.height, window.width), NODATA, np.float32)
    return np.stack([planes.get(name, nothing) for name in CHALLENGE.order])


def _read_plane(dataset: Any, window: Window) -> FloatArray:
    tag = dataset.GetRasterBand(1).GetNoDataValue()
    pixels = read_window(dataset, window, outside=float(NODATA))[:1]
    plane: FloatArray = marked(pixels, (tag,))[0]
    return plane
