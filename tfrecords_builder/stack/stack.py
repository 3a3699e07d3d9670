"""Writes the mosaic window by window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmls_tf.bands import BAND_NAMES
from mmls_tf.errors import InputError, Issue, UsageError
from mmls_tf.raster.band_stack import check_planet, open_band_files, parse_band_file, read_stacked
from mmls_tf.raster.crs import describe, is_mars
from mmls_tf.raster.grid import Grid, grid_of
from mmls_tf.raster.layouts import CHALLENGE
from mmls_tf.raster.mosaic import new_mosaic, open_mosaic
from mmls_tf.raster.nodata import NODATA, marked
from mmls_tf.raster.opening import limit_cache, open_raster, parse_drivers
from mmls_tf.raster.raster import FloatArray, RasterError
from mmls_tf.raster.scene import described_order
from mmls_tf.raster.warp import open_warped
from mmls_tf.raster.windows import Window, cover, read_window
from tfrecords_builder.stack.config import StackConfig
from tfrecords_builder.stack.sources import target_grid

_WINDOW_PX = (2048, 256)  # wide enough to read sources in long runs, small enough for any memory
MAX_PIXELS = 1 << 36


@dataclass(frozen=True)
class Outcome:
    """The mosaic written: its grid, the share of pixels with data by band, and notes for the user."""

    grid: Grid
    valid: dict[str, float]
    notes: tuple[str, ...] = ()


def make_mosaic(config: StackConfig) -> Outcome:
    """Writes the mosaic that the flags describe; it appears under its name when it is complete.

    Raises:
      UsageError: flags that do not go together, or a file in the way.
      InputError: a source cannot be used, or has no data on the mosaic's grid.
    """
    out = Path(config.out)
    _check_target(config, out)
    drivers = parse_drivers(config.drivers)
    if config.tiles:
        tiles = open_mosaic(_tile_paths(config.tiles), drivers)
        return _join(tiles, config, out)
    given = {name: getattr(config, name) for name in BAND_NAMES}
    sources = open_band_files(given, drivers, lambda name: f"--{name}")
    like = None
    if config.like:
        like = grid_of(open_raster(config.like, drivers), config.like)
        if not is_mars(like.crs_wkt):
            raise RasterError(config.like, "a CRS on Mars", like.crs_wkt[:60])
    dem = sources["dem"]
    crs = grid_of(dem.dataset, dem.path).crs_wkt
    advice = f"--assume_crs takes that of the DEM, {describe(crs)}"
    notes = check_planet(sources, like.crs_wkt if like else crs, crs if config.assume_crs else None, advice)
    grid = target_grid(config, dem, like)
    limit_cache(*{source.path: source.dataset for source in sources.values()}.values())
    warped = {
        name: open_warped(source.dataset, source.path, source.band, grid, config.resampling, crs)
        for name, source in sources.items()
    }
    paths = {name: source.path for name, source in sources.items()}
    valid = _write(out, grid, lambda window: read_stacked(warped, grid, window), paths)
    return Outcome(grid, valid, notes)


def _join(tiles: Any, config: StackConfig, out: Path) -> Outcome:
    if tiles.RasterCount != len(BAND_NAMES):
        raise InputError(
            [Issue(config.tiles, f"tiles of {len(BAND_NAMES)} bands", f"tiles of {tiles.RasterCount}")]
        )
    limit_cache(tiles)
    grid, order = grid_of(tiles, config.tiles), described_order(tiles)
    pick = [order.index(name) for name in CHALLENGE.order]
    tags = (float(NODATA),) * len(order)
    valid = _write(out, grid, lambda window: marked(read_window(tiles, window), tags)[pick], {})
    return Outcome(grid, valid)


def _write(
    out: Path, grid: Grid, read: Callable[[Window], FloatArray], paths: dict[str, str]
) -> dict[str, float]:
    """Writes all windows; returns the share of pixels with data by band, none of which may be 0."""
    if grid.width * grid.height > MAX_PIXELS:
        raise UsageError(
            f"--out={out}: expected at most {MAX_PIXELS} pixels, found a grid of {grid.height} x {grid.width}; give "
            "a larger --pixel_m or a DEM of a smaller region"
        )
    counts = np.zeros(len(CHALLENGE.order), np.int64)
    out.parent.mkdir(parents=True, exist_ok=True)
    with new_mosaic(out, grid, CHALLENGE.order) as mosaic:
        for window in cover(grid.width, grid.height, *_WINDOW_PX):
            pixels = read(window)
            counts += (pixels != NODATA).sum(axis=(1, 2))
            mosaic.write(window, pixels)
        empty = [name for name, count in zip(CHALLENGE.order, counts, strict=True) if not count]
        if empty:
            west, south, east, north = grid.extent
            extent = f"x {west:.6g} to {east:.6g}, y {south:.6g} to {north:.6g}"
            raise InputError(
                [
                    Issue(paths.get(name, str(out)), f"data for {name} within {extent}", "none")
                    for name in empty
                ],
                "Does it cover the DEM's region, and are its CRS and nodata tag right?",
            )
    pixels_in_all = grid.width * grid.height
    return {name: int(count) / pixels_in_all for name, count in zip(CHALLENGE.order, counts, strict=True)}


def _tile_paths(text: str) -> list[Path]:
    paths: list[Path] = []
    for name in text.split(","):
        folder = Path(name.strip())
        found = sorted(
            path
            for path in (folder.iterdir() if folder.is_dir() else ())
            if path.suffix.lower() in (".tif", ".tiff") and not path.name.startswith(".")
        )
        if not found:
            raise UsageError(
                f"--tiles={text}: expected a folder with *.tif files, found none in {name.strip()!r}"
            )
        paths += found
    return paths


def _check_target(config: StackConfig, out: Path) -> None:
    if out.suffix.lower() not in (".tif", ".tiff"):
        raise UsageError(f"--out={out}: expected the name of a GeoTIFF, such as mosaic.tif")
    if out.is_dir() or (out.exists() and not config.overwrite):
        raise UsageError(
            f"--out={out}: expected no such file yet, found one; name another, or pass --overwrite"
        )
    inputs = [getattr(config, name) for name in (*BAND_NAMES, "like")]
    for name in (parse_band_file(text)[0] for text in inputs if text):
        if out.exists() and Path(name).exists() and out.samefile(name):
            raise UsageError(f"--out={out}: expected another file than the sources, found one of them")
