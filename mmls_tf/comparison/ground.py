"""What is compared, on the grid of the map: labels of true and of mapped landslides, and which pixels count."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mmls_tf.comparison.config import CompareConfig
from mmls_tf.errors import UsageError
from mmls_tf.raster.byte_map import NODATA_BYTE
from mmls_tf.raster.foreign import is_tiff
from mmls_tf.raster.grid import Extent, Grid, grid_of
from mmls_tf.raster.mask_files import find_masks
from mmls_tf.raster.mask_mosaic import open_mask_mosaic
from mmls_tf.raster.opening import open_raster
from mmls_tf.raster.polygons import Shapes, box_shape, burn_labels, by_area, connected_parts, measure
from mmls_tf.raster.raster import RasterError
from mmls_tf.raster.rows import read_plane, write_foreground
from mmls_tf.raster.sphere import Sphere
from mmls_tf.raster.vector import Polygons, burn, read_polygons
from mmls_tf.raster.windows import Window
from mmls_tf.schema import UNKNOWN_LABEL

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Place:
    """A landslide of either side.

    Attributes:
      id: number of the feature in its file, or by area where there are no features.
      outline_km2: area of its outline on the sphere, also where it leaves the map.
      inside: whether all of the outline lies within the extent of the map.
      lon, lat: of its centroid in the CRS of the map, degrees.
    """

    id: int
    outline_km2: float
    inside: bool
    lon: float
    lat: float


@dataclass(frozen=True)
class Side:
    """The true or the mapped landslides: places by label, and the raster of labels 1, 2, ... (a GDAL dataset)."""

    places: tuple[Place, ...]
    labels: Any


@dataclass(frozen=True)
class Ground:
    """Both sides on one grid.

    Attributes:
      grid: of the map.
      truth, mapped: the landslides.
      counted: of a window, bool [height, width]: where the map has data, the truth is known, in the region.
      beyond: how many true landslides lie beyond the extent of the map altogether.
    """

    grid: Grid
    truth: Side
    mapped: Side
    counted: Callable[[Window], Bools]
    beyond: int


def lay_out(config: CompareConfig, scratch: Path) -> Ground:
    """Reads the map and the truth; rasters that are needed lie in a folder of scratch.

    Raises:
      InputError: map, truth or region cannot be used.
      UsageError: no such layer, filter or region.
    """
    path = map_file(config.map)
    mask = open_raster(path)
    grid = grid_of(mask, path)
    mapped = _mapped_side(mask, path, grid, scratch)
    truth, known, beyond = _truth_side(config, grid, scratch)
    region = _region(config.region, grid, scratch)

    def counted(window: Window) -> Bools:
        chosen = read_plane(mask, window) != NODATA_BYTE
        if known is not None:
            chosen &= known(window)
        if region is not None:
            chosen &= read_plane(region, window) == 1
        return np.asarray(chosen)

    return Ground(grid, truth, mapped, counted, beyond)


def map_file(text: str) -> Path:
    """Returns the mask of a folder of a map, or the file itself.

    Raises:
      UsageError: neither is there.
    """
    path = Path(text)
    found = path / "mask.tif" if path.is_dir() else path
    if not found.is_file():
        raise UsageError(
            f"--map={text}: expected a folder with mask.tif, as mmls_tf.predict writes, or a mask"
        )
    return found


def _mapped_side(mask: Any, path: Path, grid: Grid, scratch: Path) -> Side:
    def foreground(window: Window) -> Bools:
        values = read_plane(mask, window)
        other = ~np.isin(values, (0, 1, NODATA_BYTE))
        if other.any():
            raise RasterError(path, "a mask of 0, 1 and 255 (no data)", f"a pixel of {values[other][0]}")
        return np.asarray(values == 1)

    if mask.RasterCount != 1:
        raise RasterError(path, "a mask of one band", f"{mask.RasterCount} bands")
    dataset = write_foreground(scratch / "mapped.tif", grid, foreground)
    return _side_of_parts(dataset, grid, scratch / "mapped_labels.tif")


def _truth_side(
    config: CompareConfig, grid: Grid, scratch: Path
) -> tuple[Side, Callable[[Window], Bools] | None, int]:
    """Returns the true landslides, where the truth is known (None: everywhere), and how many lie beyond the map."""
    files = _mask_files(config.truth)
    if not files:
        polygons = read_polygons(config.truth, grid, config.layer, config.where, config.polygons_crs)
        shapes = Shapes(polygons.store, grid)
        labels = burn_labels(shapes, scratch / "true_labels.tif")
        return Side(_places(shapes, polygons.numbers), labels), None, polygons.total - polygons.inside
    masks = open_mask_mosaic(files, grid)
    dataset = write_foreground(scratch / "true.tif", grid, lambda window: masks.read(window) == 1)
    side = _side_of_parts(dataset, grid, scratch / "true_labels.tif")
    return side, lambda window: masks.read(window) != UNKNOWN_LABEL, 0


def _side_of_parts(foreground: Any, grid: Grid, path: Path) -> Side:
    """Returns the connected parts of a raster, numbered by area as in an inventory."""
    shapes = connected_parts(foreground, grid)
    sphere = Sphere(grid.crs_wkt)
    orders = [by_area(shape, measure(shape, sphere, grid)[0]) for shape in shapes]
    numbers = np.empty(len(orders), int)
    numbers[sorted(range(len(orders)), key=orders.__getitem__)] = np.arange(1, len(orders) + 1)
    return Side(_places(shapes, tuple(numbers.tolist())), burn_labels(shapes, path))


def _places(shapes: Shapes, numbers: tuple[int, ...]) -> tuple[Place, ...]:
    sphere = Sphere(shapes.grid.crs_wkt)
    west, south, east, north = shapes.grid.extent
    slack = shapes.grid.geotransform[1] * 1e-6
    places = []
    for number, shape in zip(numbers, shapes, strict=True):
        left, right, bottom, top = shape.GetEnvelope()
        inside = left >= west - slack and right <= east + slack and bottom >= south - slack
        area, _ = measure(shape, sphere, shapes.grid)
        lon, lat = np.degrees(sphere.radians(np.array([shape.Centroid().GetPoint_2D()]))[0]).tolist()
        places.append(Place(number, area, inside and top <= north + slack, (lon + 180) % 360 - 180, lat))
    return tuple(places)


def _mask_files(text: str) -> list[str]:
    """Returns the rasters that `--truth` names; none where it names a file of polygons.

    Raises:
      UsageError: a folder without rasters.
      InputError: lists what in a folder cannot be used.
    """
    if Path(text).is_file():
        return [text] if is_tiff(text) else []
    words = [word.strip() for word in text.split(",") if word.strip()]
    if len(words) == 1 and not Path(text).is_dir():
        return []
    return find_masks("truth", text)


def _region(text: str, grid: Grid, scratch: Path) -> Any:
    """Returns a raster with 1 in the region, None where there is none."""
    if not text:
        return None
    extent = _extent(text)
    if extent is None and not Path(text).is_file():
        raise UsageError(
            f"--region={text}: expected a file of polygons, or west,south,east,north in the units of the map's CRS"
        )
    if extent is None:
        return burn(read_polygons(text, grid), grid, scratch / "region.tif")
    west, south, east, north = grid.extent
    if extent[0] >= east or extent[2] <= west or extent[1] >= north or extent[3] <= south:
        raise UsageError(f"--region={text}: expected a region that reaches into the map, {grid.extent}")
    return burn(Polygons(box_shape(extent, grid).store, "", 1, 1), grid, scratch / "region.tif")


def _extent(text: str) -> Extent | None:
    try:
        west, south, east, north = (float(word) for word in text.split(","))
    except ValueError:
        return None
    finite = all(math.isfinite(value) for value in (west, south, east, north))
    return (west, south, east, north) if finite and west < east and south < north else None
