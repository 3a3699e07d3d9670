"""Cuts the regions into tiles and writes them as GeoTIFFs in the challenge layout."""

from __future__ import annotations

import dataclasses
import math
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmls_tf.errors import UsageError
from mmls_tf.raster.geotiff import write_geotiff
from mmls_tf.raster.layouts import CHALLENGE
from mmls_tf.raster.mars import MARS_WKT, PIXEL_M
from tfrecords_builder.sample.config import SPLITS, SampleConfig
from tfrecords_builder.sample.regions import Region, make_region

SLOPE_NODATA = np.float32(-3.4028235e38)
_NODATA_SHARE = 0.02  # of the tiles of train and of isolated
_GRID_NORTH_M = -132835.23453856
_ASPECT = 1.4  # columns to rows


@dataclass(frozen=True)
class Grid:
    """Where a region lies: west edge of its tile grid in metres, column and row of its first pixel there."""

    west_m: float
    first_px: tuple[int, int]


# The grids of the real regions. They share the names of tiles: a name alone is no key.
BASE_GRID = Grid(west_m=-5513958.3444039, first_px=(1408, 512))
ISOLATED_GRID = Grid(west_m=-6441958.3444039, first_px=(256, 512))


@dataclass(frozen=True)
class TilePlan:
    """One tile to be: its place in the region, its name, georeference and split, and its slope's nodata line.

    Attributes:
      row, col: place in the region, in tiles.
      name: grid column and row, as in `col00012_row00004`.
      geotransform: as GDAL's, metres.
      split: one of `SPLITS`.
      nodata_line: border line of the tile whose slope is missing, "top", "left" or "" for none.
    """

    row: int
    col: int
    name: str
    geotransform: tuple[float, float, float, float, float, float]
    split: str
    nodata_line: str = ""


def write_sample(config: SampleConfig) -> dict[str, int]:
    """Writes OUT/{train,val,test,isolated}/{images,masks}/colCCCCC_rowRRRRR.tif.

    Nothing is under the final name before all is written. The same configuration gives the same arrays.

    Returns:
      The number of tiles of every split.

    Raises:
      UsageError: OUT is a file, a folder that is not empty while --overwrite is off, or one with other things
        in it than a sample.
    """
    out = Path(config.out).resolve()
    _check_free(out, config.overwrite)
    out.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        staging.chmod(0o755)
        counts = _write_regions(config, staging)
        if out.exists():
            shutil.rmtree(out)
        staging.rename(out)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return counts


def region_shape(tiles: int) -> tuple[int, int]:
    """Returns (rows, columns) of a region with room for `tiles`: few to spare, somewhat wider than high."""

    def cost(rows: int) -> float:
        cols = math.ceil(tiles / rows)
        return (rows * cols - tiles) / tiles + abs(math.log(cols / rows / _ASPECT))

    rows = min(range(1, tiles + 1), key=cost)
    return rows, math.ceil(tiles / rows)


def plan_tiles(
    rng: np.random.Generator, splits: Sequence[str], tile_size: int, grid: Grid
) -> tuple[TilePlan, ...]:
    """Returns a plan for one tile a split name, row by row; the splits are dealt out at random."""
    _, cols = region_shape(len(splits))
    first_col, first_row = (pixel // tile_size for pixel in grid.first_px)
    step_m = tile_size * PIXEL_M
    plans = []
    for index, which in enumerate(rng.permutation(len(splits))):
        row, col = divmod(index, cols)
        west, north = grid.west_m + (first_col + col) * step_m, _GRID_NORTH_M - (first_row + row) * step_m
        name = f"col{first_col + col:05d}_row{first_row + row:05d}"
        plans.append(TilePlan(row, col, name, (west, PIXEL_M, 0.0, north, 0.0, -PIXEL_M), splits[which]))
    return tuple(plans)


def cut(region: Region, plan: TilePlan, tile_size: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Returns the tile's image f32[H, W, 7], raw values in the challenge order, and mask u8[H, W, 1]."""
    window = tuple(slice(place * tile_size, (place + 1) * tile_size) for place in (plan.row, plan.col))
    image = np.stack([region.bands[name][window] for name in CHALLENGE.order], axis=-1)
    slope = image[..., CHALLENGE.order.index("slope")]
    if plan.nodata_line == "top":
        slope[0, :] = SLOPE_NODATA
    elif plan.nodata_line == "left":
        slope[:, 0] = SLOPE_NODATA
    return image, region.mask[window][..., None]


def _write_regions(config: SampleConfig, root: Path) -> dict[str, int]:
    streams = iter(np.random.default_rng(config.seed).spawn(4))
    base = [split for split in SPLITS[:3] for _ in range(getattr(config, split))]
    regions = ((base, BASE_GRID, False), (["isolated"] * config.isolated, ISOLATED_GRID, True))
    for splits, grid, isolated in regions:
        ground, dealer = next(streams), next(streams)
        if not splits:
            continue
        rows, cols = region_shape(len(splits))
        region = make_region(ground, rows * config.tile_size, cols * config.tile_size, isolated)
        plans = _with_nodata_lines(dealer, plan_tiles(dealer, splits, config.tile_size, grid))
        for plan in plans:
            _write_tile(root, plan, *cut(region, plan, config.tile_size))
    return {split: getattr(config, split) for split in SPLITS}


def _with_nodata_lines(rng: np.random.Generator, plans: Sequence[TilePlan]) -> list[TilePlan]:
    """Returns the plans with a nodata line in a few train or isolated tiles, at least one."""
    candidates = [index for index, plan in enumerate(plans) if plan.split in ("train", "isolated")]
    count = max(1, round(_NODATA_SHARE * len(candidates)))
    chosen = {int(index) for index in rng.choice(candidates, count, replace=False)}
    lines = rng.choice(["top", "left"], len(plans))
    return [
        dataclasses.replace(plan, nodata_line=str(lines[index])) if index in chosen else plan
        for index, plan in enumerate(plans)
    ]


def _write_tile(root: Path, plan: TilePlan, image: NDArray[np.float32], mask: NDArray[np.uint8]) -> None:
    for kind, array, nodata in (("images", image, None), ("masks", mask, 0)):
        folder = root / plan.split / kind
        folder.mkdir(parents=True, exist_ok=True)
        # The tag 0 on masks is a flaw of the real files, kept so that readers meet it.
        write_geotiff(folder / f"{plan.name}.tif", array, plan.geotransform, MARS_WKT, nodata)


def _check_free(out: Path, overwrite: bool) -> None:
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out={out}: expected a folder to write, found a file; name another")
    if out.is_dir() and any(out.iterdir()) and not overwrite:
        raise UsageError(
            f"--out={out}: expected no folder or an empty one, found files in it; "
            "name another, or pass --overwrite to replace it"
        )
    others = sorted(path.name for path in out.iterdir() if path.name not in SPLITS) if out.is_dir() else []
    if others:
        raise UsageError(
            f"--overwrite: expected an earlier sample in --out={out}, found {others[0]!r} too, which "
            "replacing the folder would delete; move it away or name another folder"
        )
