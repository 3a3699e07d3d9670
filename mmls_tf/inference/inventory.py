"""From the pixels of a map to an inventory: landslides as a mask and as polygons, measured on the sphere."""

from __future__ import annotations

import dataclasses
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mmls_tf.errors import UsageError
from mmls_tf.inference.landslide import FIELDS, Inventory, InventoryOptions, Landslide
from mmls_tf.inference.layers import LANDSLIDE
from mmls_tf.inference.qgis_style import qml
from mmls_tf.inference.zonal import ZonalStatistics, zonal_statistics
from mmls_tf.raster.byte_map import NODATA_BYTE, ByteRows
from mmls_tf.raster.geopackage import write_polygons
from mmls_tf.raster.geotiff import open_alone
from mmls_tf.raster.grid import Grid
from mmls_tf.raster.map_scene import MapScene, pixel_metres_of
from mmls_tf.raster.polygons import (
    Shapes,
    burn_labels,
    burn_shapes,
    by_area,
    connected_parts,
    measure,
    rings,
    simplified,
    small_holes,
)
from mmls_tf.raster.rows import read_plane, row_bands, write_foreground
from mmls_tf.raster.sphere import Sphere, cell_areas_km2, local_km, rectangle_sides
from mmls_tf.raster.windows import Window

__all__ = ["LAYER", "Inventory", "InventoryOptions", "Landslide", "write_inventory"]

LAYER = "landslides"


def write_inventory(
    probability: Path,
    detected: Path,
    scene: MapScene,
    options: InventoryOptions,
    mask: Path,
    geopackage: Path,
) -> Inventory:
    """Makes landslides of the pixels of a map, and writes them as a mask and as polygons.

    A landslide is a connected part of the detected pixels (4 neighbours), after holes have been filled; the mask has 1
    in the kept ones and nowhere else. GDAL draws outlines line by line, and everything else is done some rows at a
    time: memory depends on the width of the scene and on the landslides, not on the area. Rasters that are needed in
    between lie beside the mask, 6 bytes a pixel at most.

    Args:
      probability: GeoTIFF of one band of bytes on the scene's grid: 254 times the probability, 255 without data.
      detected: the same with 1 where the probability is above the threshold, 0 where not, 255 without data.
      mask: where to write the mask, uint8 as `detected`, a GeoTIFF of rows in their order.
      geopackage: where to write the polygons, in the CRS of the scene, numbered by area, with the attributes of
        `Landslide`, an index, and a style for QGIS.

    Raises:
      UsageError: the scene has no georeference, or the disk is full.
    """
    if scene.grid is None:
        raise UsageError(
            f"{geopackage}: expected a scene with a georeference, without which nothing has an area"
        )
    grid = scene.grid
    maps = [open_alone(path, "one band of bytes") for path in (probability, detected)]
    with tempfile.TemporaryDirectory(prefix=".inventory-", dir=mask.parent) as folder:
        scratch = Path(folder)
        mapped_km2, foreground = _foreground(maps[1], grid, scratch / "foreground.tif")
        if options.fill_holes_km2:
            _fill_holes(foreground, maps[1], grid, options.fill_holes_km2)
        parts = connected_parts(foreground, grid)
        labels = burn_labels(parts, scratch / "labels.tif")
        statistics = zonal_statistics(labels, len(parts), maps[0], maps[1], scene)
        found = _measured(parts, statistics)
        kept = [part for part in found if part.landslide.area_km2 >= options.min_area_km2]
        kept.sort(key=lambda part: part.order)
        filled_km2 = _write_mask(mask, labels, maps[1], grid, [part.label for part in kept], len(parts))
    numbered = [dataclasses.replace(part.landslide, id=number) for number, part in enumerate(kept, 1)]
    tolerance = options.simplify_m * grid.geotransform[1] / pixel_metres_of(grid)[0]
    write_polygons(
        geopackage,
        LAYER,
        grid.crs_wkt,
        FIELDS,
        (
            (
                simplified(part.outline, tolerance) if tolerance else part.outline,
                dataclasses.asdict(landslide),
            )
            for part, landslide in zip(kept, numbered, strict=True)
        ),
        qml(),
    )
    dropped = [part.landslide.area_km2 for part in found if part.landslide.area_km2 < options.min_area_km2]
    return Inventory(tuple(numbered), options, len(dropped), math.fsum(dropped), filled_km2, mapped_km2)


@dataclass(frozen=True)
class _Part:
    """A part of the map: its label in the raster of labels, its outline (OGR), where it comes in the inventory."""

    label: int
    outline: Any
    order: tuple[float, float, float]
    landslide: Landslide


def _foreground(detected: Any, grid: Grid, path: Path) -> tuple[float, Any]:
    """Writes 1 where a landslide is detected and 0 elsewhere; returns the area with data in km2, and the dataset."""
    areas = []

    def foreground(band: Window) -> npt.NDArray[np.bool_]:
        found = read_plane(detected, band)
        areas.append(_area_of(found != NODATA_BYTE, grid, band))
        return np.asarray(found == 1)

    dataset = write_foreground(path, grid, foreground)
    return math.fsum(areas), dataset


def _area_of(chosen: npt.NDArray[np.bool_], grid: Grid, band: Window) -> float:
    return float((chosen * cell_areas_km2(grid, band.row, band.height)).sum())


def _fill_holes(foreground: Any, detected: Any, grid: Grid, below_km2: float) -> None:
    """Fills small holes where there are data."""
    burn_shapes(small_holes(connected_parts(foreground, grid), below_km2), foreground)
    for band in row_bands(grid.height, grid.width):
        filled = read_plane(foreground, band)
        filled[read_plane(detected, band) == NODATA_BYTE] = 0
        foreground.WriteArray(filled, 0, band.row)
    foreground.FlushCache()


def _measured(parts: Shapes, statistics: ZonalStatistics) -> list[_Part]:
    """Returns the parts with their attributes, in the order of their labels, all with the id 0.

    A part without a detected pixel is what was filled inside of a ring of pixels without data: it is none.
    """
    sphere = Sphere(parts.grid.crs_wkt)
    mean, most = statistics.mean_probability, statistics.max_probability
    slope, elevation = statistics.mean_terrain("slope"), statistics.mean_terrain("dem")
    found = []
    for index, outline in enumerate(parts):
        if not statistics.detected[index]:
            continue
        area, perimeter = measure(outline, sphere, parts.grid)
        centre = sphere.radians(np.array([outline.Centroid().GetPoint_2D()]))[0]
        exterior = sphere.radians(next(rings(outline)))
        length, width = rectangle_sides(local_km(exterior, centre))
        landslide = Landslide(
            id=0,
            pixels=int(statistics.pixels[index]),
            area_km2=area,
            perimeter_km=perimeter,
            length_km=length,
            width_km=width,
            mean_probability=float(mean[index]),
            max_probability=float(most[index]),
            mean_slope_deg=_or_none(slope[index]),
            mean_elevation_m=_or_none(elevation[index]),
            lon=_turned(math.degrees(centre[0])),
            lat=math.degrees(centre[1]),
        )
        found.append(_Part(index + 1, outline, by_area(outline, area), landslide))
    return found


def _write_mask(path: Path, labels: Any, detected: Any, grid: Grid, kept: list[int], count: int) -> float:
    """Writes 1 where a label is kept; returns how much of that was not detected but filled, in km2."""
    values, filled = np.zeros(count + 1, np.uint8), 0.0
    values[kept] = 1
    partial = path.with_name(f".{path.name}.partial")
    try:
        ByteRows.create(partial, grid.height, grid.width, grid, LANDSLIDE)
        rows = ByteRows(partial)
        for band in row_bands(grid.height, grid.width):
            written, found = values[read_plane(labels, band)], read_plane(detected, band)
            filled += _area_of((written == 1) & (found == 0), grid, band)
            written[found == NODATA_BYTE] = NODATA_BYTE
            rows.write(band.row, written)
        rows.close()
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return filled


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _turned(longitude: float) -> float:
    return (longitude + 180.0) % 360.0 - 180.0
