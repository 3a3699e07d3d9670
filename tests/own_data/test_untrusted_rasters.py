"""Files from elsewhere: what they say of themselves is checked before they are read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal
from own_world import relief, write, write_scene

from mmls_tf.errors import InputError
from mmls_tf.raster.opening import open_raster
from mmls_tf.raster.windows import Window, read_window
from tfrecords_builder.tile.config import TileConfig
from tfrecords_builder.tile.cut import cut_scene


def test_damaged_pixels_are_the_files_fault(tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "whole.tif", 64, 64)
    path = write(tmp_path / "scene.tif", scene, options=["COMPRESS=DEFLATE", "TILED=YES"])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=r"scene.tif: expected "):
        cut_scene(TileConfig(scene=str(path), out=str(tmp_path / "raw"), tile_size=32))
    assert not (tmp_path / "raw").exists()


def test_a_header_that_asks_for_too_much_is_refused_before_reading(tmp_path: Path) -> None:
    path = tmp_path / "huge.tif"
    driver = gdal.GetDriverByName("GTiff")
    driver.Create(str(path), 3_000_000, 10, 1, gdal.GDT_Byte, ["SPARSE_OK=TRUE"]).FlushCache()
    with pytest.raises(InputError, match="expected 1 to 256 bands of at most 2000000 x 2000000 pixels"):
        open_raster(path)
    options = ["SPARSE_OK=TRUE", "TILED=YES", "BLOCKXSIZE=32768", "BLOCKYSIZE=32768"]
    driver.Create(str(path), 40000, 40000, 1, gdal.GDT_Byte, options).FlushCache()
    with pytest.raises(InputError, match="expected blocks of at most 512 MiB"):
        open_raster(path)


def test_values_with_a_scale_of_their_own_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "dem.tif", relief(20, 20))
    dataset = gdal.Open(str(path), gdal.GA_Update)
    dataset.GetRasterBand(1).SetScale(0.5)
    dataset.FlushCache()
    with pytest.raises(InputError, match=r"stored with scale 0.5 .* `gdal_translate -unscale"):
        open_raster(path)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("/vsicurl/https://example.org/x.tif", "expected a VRT of local files, found a source"),
        ("/vsizip/x.zip/x.tif", "expected a VRT of local files"),
        ("WMS:https://example.org", "expected a VRT of local files"),
        ("absent.tif", "expected a VRT of local files"),
        ("inner.vrt", "expected a VRT of plain rasters"),
        ("picture.png", "expected a VRT of files for GTiff or VRT, found 'picture.png'"),
    ],
)
def test_a_vrt_reaches_local_rasters_only(source: str, message: str, tmp_path: Path) -> None:
    write(tmp_path / "dem.tif", relief(20, 20))
    gdal.Translate(str(tmp_path / "inner.vrt"), str(tmp_path / "dem.tif"), format="VRT").FlushCache()
    gdal.Translate(str(tmp_path / "picture.png"), str(tmp_path / "dem.tif"), outputType=gdal.GDT_Byte)
    text = (tmp_path / "inner.vrt").read_text()
    (tmp_path / "outer.vrt").write_text(text.replace("dem.tif</", f"{source}</"))
    with pytest.raises(InputError, match="expected a raster that GDAL's GTiff driver reads"):
        open_raster(tmp_path / "inner.vrt")
    pixels = read_window(open_raster(tmp_path / "inner.vrt", ("GTiff", "VRT")), Window(0, 0, 20, 20))
    np.testing.assert_array_equal(pixels[0], relief(20, 20))
    (tmp_path / "outer.vrt").write_text(
        (tmp_path / "outer.vrt").read_text().replace('relativeToVRT="1">/', 'relativeToVRT="0">/')
    )
    with pytest.raises(InputError, match=message):
        open_raster(tmp_path / "outer.vrt", ("GTiff", "VRT"))
