"""Cuts a scene into tiles, one row of tiles at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmls_tf.errors import InputError, Issue, UsageError
from mmls_tf.raster.crs import latitudes_differ
from mmls_tf.raster.geotiff import write_geotiff
from mmls_tf.raster.grid import window_transform
from mmls_tf.raster.nodata import NODATA
from mmls_tf.raster.opening import parse_drivers
from mmls_tf.raster.raster import ByteArray, FloatArray
from mmls_tf.raster.scene import Scene, open_scene, parse_order
from mmls_tf.raster.vector import Polygons, burn, read_polygons
from mmls_tf.raster.windows import Window, plan_windows, positions, read_window
from tfrecords_builder.tile.config import TileConfig
from tfrecords_builder.tile.folders import check_split_folder, staged_split
from tfrecords_builder.tile.ranges import check_values
from tfrecords_builder.tile.rescale import Rescale, apply_rescale, parse_rescale

_MAX_ROW_BYTES = 4 << 30


@dataclass
class Outcome:
    """What was written and what was not.

    Attributes:
      written: tiles written.
      too_empty: tiles left out for having less than the asked share of pixels with data, or none at all.
      cut_off: columns and rows of pixels beyond the last tiles, left out by --edge=drop.
      pixels, foreground: of the masks written.
      polygons: those read, None for an image-only split.
      notes: what the user should know.
    """

    written: int = 0
    too_empty: int = 0
    cut_off: tuple[int, int] = (0, 0)
    pixels: int = 0
    foreground: int = 0
    polygons: Polygons | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Work:
    """All that cutting needs: scene, its mask (None: image-only), rescaling, flags, folder to write into."""

    scene: Scene
    labels: Any
    rescale: Rescale
    config: TileConfig
    folder: Path


def cut_scene(config: TileConfig) -> Outcome:
    """Writes OUT/SPLIT/{images,masks}/colCCCCC_rowRRRRR.tif; the folder appears when all is written.

    A tile's column and row count the tiles of the scene's grid from its upper-left corner, from 0.

    Raises:
      UsageError: flags that do not go together, or a target in the way.
      InputError: the scene or the polygons cannot be used.
    """
    out = Path(config.out)
    check_split_folder(out, config.split, config.overwrite)
    scene = open_scene(config.scene, parse_order(config.order), parse_drivers(config.drivers))
    windows = _plan(scene, config)
    outcome = Outcome(cut_off=_cut_off(scene, windows))
    rescale = parse_rescale(config.rescale)
    if config.polygons:
        outcome.polygons = read_polygons(
            config.polygons, scene.grid, config.layer, config.where, config.polygons_crs
        )
        outcome.notes = _notes(config, outcome.polygons.crs_wkt, scene.grid.crs_wkt)
    check_values(config.scene, scene, windows, rescale)
    with staged_split(out, config.split) as folder:
        labels = folder / "labels.tif"
        mask = burn(outcome.polygons, scene.grid, labels) if outcome.polygons else None
        _write_all(_Work(scene, mask, rescale, config, folder), outcome)
        del mask
        labels.unlink(missing_ok=True)
    return outcome


def _plan(scene: Scene, config: TileConfig) -> tuple[Window, ...]:
    grid, size = scene.grid, config.tile_size
    windows = plan_windows(grid.width, grid.height, size, config.step, config.edge_rule)
    if not windows:
        raise UsageError(
            f"--tile_size={size}: expected tiles no larger than the scene of {grid.height} x {grid.width} pixels"
        )
    if grid.width * size * len(scene.order) * 4 > _MAX_ROW_BYTES:
        raise UsageError(
            f"--tile_size={size}: a row of such tiles over {grid.width} columns takes more than "
            f"{_MAX_ROW_BYTES >> 30} GiB; cut the scene into narrower ones (gdal_translate -srcwin)"
        )
    return windows


def _cut_off(scene: Scene, windows: tuple[Window, ...]) -> tuple[int, int]:
    last = windows[-1]
    return scene.grid.width - last.col - last.width, scene.grid.height - last.row - last.height


def _notes(config: TileConfig, polygons_wkt: str, scene_wkt: str) -> tuple[str, ...]:
    if not latitudes_differ(polygons_wkt, scene_wkt):
        return ()
    return (
        f"{config.polygons} lies on an ellipsoid and the scene on a sphere, or the other way round; latitudes were "
        "taken as they are. If outlines appear shifted to the north or south, that is why (docs/own_data.md).",
    )


def _write_all(work: _Work, outcome: Outcome) -> None:
    for kind in ("images", "masks") if work.labels is not None else ("images",):
        (work.folder / kind).mkdir()
    for name, window, image, mask in _tiles(work):
        valid = (image != NODATA).all(axis=0)
        if not valid.any() or valid.mean() < work.config.min_valid:
            outcome.too_empty += 1
            continue
        transform = window_transform(work.scene.grid.geotransform, window)
        wkt = work.scene.grid.crs_wkt
        write_geotiff(work.folder / "images" / name, np.moveaxis(image, 0, -1), transform, wkt)
        if mask is not None:
            # The nodata tag 0 is a flaw of the published masks; whoever reads those expects it.
            write_geotiff(work.folder / "masks" / name, mask[..., None], transform, wkt, nodata=0)
            outcome.pixels += mask.size
            outcome.foreground += int(mask.sum())
        outcome.written += 1
    if not outcome.written:
        raise InputError(
            [Issue(work.config.scene, "a tile with enough data", f"{outcome.too_empty} with too little")],
            f"Lower --min_valid={work.config.min_valid} or --tile_size={work.config.tile_size}.",
        )


def _tiles(work: _Work) -> Iterator[tuple[str, Window, FloatArray, ByteArray | None]]:
    """Yields file name, window, image [7, size, size] and mask [size, size] of every tile, row by row."""
    grid, config, size = work.scene.grid, work.config, work.config.tile_size
    columns = positions(grid.width, size, config.step, config.edge_rule)
    for row_index, row in enumerate(positions(grid.height, size, config.step, config.edge_rule)):
        # A whole row of tiles at once: blocks that span several tiles are decoded once.
        strip = Window(0, row, grid.width, size)
        images = apply_rescale(work.scene.read(strip), work.rescale)
        masks = None if work.labels is None else read_window(work.labels, strip)[0].astype(np.uint8)
        for col_index, col in enumerate(columns):
            image = images[:, :, col : col + size]
            mask = None if masks is None else masks[:, col : col + size]
            yield f"col{col_index:05d}_row{row_index:05d}.tif", Window(col, row, size, size), image, mask
