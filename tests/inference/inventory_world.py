"""Small maps of bytes with their scene, made with GDAL and NumPy alone, and what lies in the files made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from osgeo import gdal, ogr
from scipy import ndimage

from mmls_tf.bands import BAND_NAMES
from mmls_tf.inference.base_map import MOST_CELLS, BaseMap, read_ground, with_landslides
from mmls_tf.inference.inventory import Inventory, InventoryOptions, write_inventory
from mmls_tf.raster.grid import Grid
from mmls_tf.raster.map_scene import MapScene
from mmls_tf.raster.mars import MARS_WKT
from mmls_tf.raster.nodata import NODATA

gdal.UseExceptions()
ogr.UseExceptions()
RADIUS_KM = 3396.19
NORTH_WEST = (-5187302.3444, 851619.2345)
Bytes = npt.NDArray[np.uint8]


def base_map_of(scene: MapScene, mask: Path, most: int = MOST_CELLS) -> BaseMap:
    return with_landslides(read_ground(scene, most), scene, mask)


def grid_of_size(height: int, width: int, corner: tuple[float, float] = NORTH_WEST) -> Grid:
    return Grid((corner[0], 232.0, 0.0, corner[1], 0.0, -232.0), width, height, MARS_WKT)


def write_bytes(path: Path, values: Bytes, grid: Grid) -> Path:
    dataset = gdal.GetDriverByName("GTiff").Create(str(path), grid.width, grid.height, 1, gdal.GDT_Byte)
    dataset.SetGeoTransform(grid.geotransform)
    dataset.SetProjection(grid.crs_wkt)
    dataset.GetRasterBand(1).SetNoDataValue(255)
    dataset.WriteArray(values)
    dataset.FlushCache()
    return path


def memory_scene(
    grid: Grid, bands: dict[str, npt.NDArray[Any]] | None = None, names: Sequence[str] = BAND_NAMES
) -> MapScene:
    """A scene of the named bands; those that are not given are 0."""
    dataset = gdal.GetDriverByName("MEM").Create("", grid.width, grid.height, len(names), gdal.GDT_Float32)
    dataset.SetGeoTransform(grid.geotransform)
    dataset.SetProjection(grid.crs_wkt)
    for index, name in enumerate(names):
        if bands and name in bands:
            dataset.GetRasterBand(index + 1).WriteArray(bands[name].astype(np.float32))
    tags = (float(NODATA),) * len(names)
    return MapScene((dataset,), grid, grid.height, grid.width, tuple(names), tags)


@dataclass(frozen=True)
class Made:
    """An inventory and its files."""

    inventory: Inventory
    mask_path: Path
    geopackage: Path

    @property
    def mask(self) -> Bytes:
        return gdal.Open(str(self.mask_path)).ReadAsArray()

    def features(self) -> list[dict[str, Any]]:
        """Attributes of the polygons, and their outlines under `shape`, in the order of the file."""
        dataset = gdal.OpenEx(str(self.geopackage))
        layer = dataset.GetLayerByName("landslides")
        return [{**feature.items(), "shape": feature.GetGeometryRef().Clone()} for feature in layer]

    def burnt(self, grid: Grid) -> npt.NDArray[np.bool_]:
        """Pixels whose centres lie in the polygons of the file, by `gdal_rasterize`."""
        target = gdal.GetDriverByName("MEM").Create("", grid.width, grid.height, 1, gdal.GDT_Byte)
        target.SetGeoTransform(grid.geotransform)
        target.SetProjection(grid.crs_wkt)
        dataset = gdal.OpenEx(str(self.geopackage))
        gdal.RasterizeLayer(target, [1], dataset.GetLayerByName("landslides"), burn_values=[1])
        return target.ReadAsArray() == 1


def make(
    folder: Path,
    detected: Bytes,
    probability: Bytes | None = None,
    scene: MapScene | None = None,
    **options: float,
) -> Made:
    """Makes an inventory; without a probability it is 254 where detected, 100 elsewhere."""
    grid = scene.grid if scene and scene.grid else grid_of_size(*detected.shape)
    if probability is None:
        probability = np.where(detected == 255, 255, np.where(detected == 1, 254, 100)).astype(np.uint8)
    inventory = write_inventory(
        write_bytes(folder / "probability.tif", probability, grid),
        write_bytes(folder / "detected.tif", detected, grid),
        scene or memory_scene(grid),
        InventoryOptions(**options),
        folder / "mask.tif",
        folder / "landslides.gpkg",
    )
    return Made(inventory, folder / "mask.tif", folder / "landslides.gpkg")


def cell_areas(grid: Grid) -> npt.NDArray[np.float64]:
    """Areas of the pixels in km2 [height, width], by the formula for boxes of longitude and latitude on a sphere."""
    _, across, _, north, _, down = grid.geotransform
    latitude = (north + down * np.arange(grid.height + 1)) / (RADIUS_KM * 1000.0)
    rows = RADIUS_KM**2 * (across / (RADIUS_KM * 1000.0)) * np.abs(np.diff(np.sin(latitude)))
    return np.repeat(rows[:, None], grid.width, axis=1)


def blobs(height: int, width: int, seed: int, share: float = 0.3, smooth: float = 3.0) -> Bytes:
    """A seeded mask of round parts, 0 and 1, about `share` of it 1."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(height, width)), smooth)
    return (noise > np.quantile(noise, 1.0 - share)).astype(np.uint8)
