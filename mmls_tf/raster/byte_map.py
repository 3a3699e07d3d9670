"""Maps of bytes: written row by row in the order of the rows, then as cloud-optimised GeoTIFFs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mmls_tf.errors import UsageError
from mmls_tf.raster.geotiff import load_gdal
from mmls_tf.raster.grid import Grid
from mmls_tf.raster.raster import ByteArray

NODATA_BYTE = 255


@dataclass(frozen=True)
class ByteLayer:
    """What a map of bytes says of itself.

    Attributes:
      description: of its only band.
      scale: by which a stored value is multiplied to give what is meant.
      overviews: how smaller versions are made, by GDAL's names of resamplings.
      metadata: items of the file.
    """

    description: str
    scale: float = 1.0
    overviews: str = "average"
    metadata: Mapping[str, str] = field(default_factory=dict)


class ByteRows:
    """A file of rows, each of which has its place from the start: what is written once is never moved again.

    It is an uncompressed GeoTIFF with all rows in it, so that a process that is killed damages at most the rows that it
    was writing.
    """

    def __init__(self, path: Path) -> None:
        """Opens a file that `create` has made."""
        self._path = path
        gdal = load_gdal()
        self._dataset: Any = gdal.OpenEx(os.fspath(path), gdal.OF_RASTER | gdal.OF_UPDATE, ["GTiff"])

    @staticmethod
    def create(path: Path, height: int, width: int, grid: Grid | None, layer: ByteLayer) -> None:
        """Makes a file without data.

        Args:
          grid: None where it is not known where the pixels lie.

        Raises:
          UsageError: the disk is full.
        """
        gdal = load_gdal()
        options = ["BLOCKYSIZE=1", "BIGTIFF=IF_SAFER"]
        try:
            dataset = gdal.GetDriverByName("GTiff").Create(
                os.fspath(path), width, height, 1, gdal.GDT_Byte, options
            )
            if grid is not None:
                dataset.SetGeoTransform(grid.geotransform)
                dataset.SetProjection(grid.crs_wkt)
            _describe(dataset, layer)
            dataset.GetRasterBand(1).Fill(NODATA_BYTE)
            dataset.FlushCache()
        except RuntimeError as error:
            raise _cannot_write(path, error) from error

    def write(self, row: int, rows: ByteArray) -> None:
        """Writes uint8 [rows, width] from row `row` on, down to the file."""
        try:
            self._dataset.WriteArray(np.ascontiguousarray(rows), 0, row)
            self._dataset.FlushCache()
        except RuntimeError as error:
            raise _cannot_write(self._path, error) from error

    def close(self) -> None:
        """Closes the file."""
        self._dataset = None


def write_cog(source: Path, target: Path, layer: ByteLayer) -> None:
    """Copies a map of bytes as a cloud-optimised GeoTIFF: tiled, compressed, with smaller versions of itself inside.

    Args:
      layer: what the copy says of itself, whatever the source says.

    Raises:
      UsageError: the disk is full.
    """
    gdal = load_gdal()
    options = [
        "COMPRESS=DEFLATE",
        "BLOCKSIZE=512",
        "BIGTIFF=IF_SAFER",
        f"OVERVIEW_RESAMPLING={layer.overviews}",
    ]
    try:
        virtual = gdal.Translate("", os.fspath(source), format="VRT", noData=NODATA_BYTE)
        _describe(virtual, layer)
        written = gdal.Translate(os.fspath(target), virtual, format="COG", creationOptions=options)
        written.FlushCache()
    except RuntimeError as error:
        raise _cannot_write(target, error) from error


def _describe(dataset: Any, layer: ByteLayer) -> None:
    dataset.SetMetadata(dict(layer.metadata))
    band = dataset.GetRasterBand(1)
    band.SetNoDataValue(NODATA_BYTE)
    band.SetDescription(layer.description)
    if layer.scale != 1.0:
        band.SetScale(layer.scale)
        band.SetOffset(0.0)


def _cannot_write(path: Path, error: RuntimeError) -> UsageError:
    return UsageError(f"{path}: cannot be written ({error}); is the disk full?")
