"""Untrusted files: what is no plain local TIFF is refused before a library opens it, and nothing is read beyond."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest
from osgeo import gdal
from own_tiles import mars, write

from mmls_tf.errors import UsageError
from mmls_tf.raster.foreign import driver_names
from mmls_tf.raster.layouts import CHALLENGE, LAYOUTS
from mmls_tf.raster.raster import RasterError

SIZE = 64
TIFF, WITH_VRT = ("GTiff",), ("GTiff", "VRT")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", ["read_image", "read_mask"])
@pytest.mark.parametrize(
    "name",
    [
        "/vsicurl/http://127.0.0.1:9/a.tif",
        "/vsimem/a.tif",
        "http://127.0.0.1:9/a.tif",
        "/dev/zero",
        "/dev/null",
        "/",
    ],
)
def test_what_is_no_plain_local_file_is_refused(layout: str, kind: str, name: str) -> None:
    with pytest.raises(RasterError) as caught:
        getattr(LAYOUTS[layout], kind)(name, SIZE, TIFF)
    assert caught.value.issues[0].path == name


@pytest.mark.parametrize("drivers", [TIFF, WITH_VRT])
def test_a_named_pipe_does_not_keep_us_waiting(tmp_path: Path, drivers: tuple[str, ...]) -> None:
    os.mkfifo(tmp_path / "pipe.tif")
    with pytest.raises(RasterError, match=r"pipe.tif"):
        CHALLENGE.read_image(str(tmp_path / "pipe.tif"), SIZE, drivers)


def test_a_large_file_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "large.tif").open("wb") as file:
        file.write(b"II*\0")
        file.truncate(1 << 40)  # a terabyte of nothing
    with pytest.raises(RasterError, match=r"at most \d+ MB, found 1,099,512 MB"):
        CHALLENGE.read_image(str(tmp_path / "large.tif"), SIZE, TIFF)


@pytest.mark.parametrize("layout", ["challenge", "public"])
def test_pages_that_run_in_a_circle_end(tmp_path: Path, layout: str) -> None:
    path = write(tmp_path / "a.tif", mars(), layout)
    content = bytearray(path.read_bytes())
    (first,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, first)
    struct.pack_into("<I", content, first + 2 + 12 * count, first)
    path.write_bytes(content)
    with pytest.raises(RasterError, match="circle"):
        LAYOUTS[layout].read_image(str(path), SIZE, TIFF)


def test_a_block_that_would_take_all_memory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    options = ["TILED=YES", "BLOCKXSIZE=32768", "BLOCKYSIZE=32768", "SPARSE_OK=TRUE", "COMPRESS=LZW"]
    gdal.GetDriverByName("GTiff").Create(str(path), SIZE, SIZE, 7, gdal.GDT_Float32, options)
    with pytest.raises(RasterError, match="tiles of 32768 x 32768"):
        CHALLENGE.read_image(str(path), SIZE, TIFF)


def test_a_neighbouring_file_is_not_believed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", mars())
    (tmp_path / "a.tif.aux.xml").write_text(
        '<PAMDataset><PAMRasterBand band="1"><NoDataValue>5</NoDataValue></PAMRasterBand></PAMDataset>'
    )
    assert CHALLENGE.read_image(str(path), SIZE, TIFF).nodata == (None,) * 7


def vrt(path: Path, source: Path) -> Path:
    gdal.GetDriverByName("VRT").CreateCopy(str(path), gdal.Open(str(source)))
    return path


def test_other_formats_are_read_by_those_who_ask(tmp_path: Path) -> None:
    sound = write(tmp_path / "sound.tif", mars())
    path = str(vrt(tmp_path / "a.vrt", sound))
    with pytest.raises(RasterError, match=r"a.vrt"):
        CHALLENGE.read_image(path, SIZE, TIFF)
    found = CHALLENGE.read_image(path, SIZE, WITH_VRT).pixels
    assert (found == CHALLENGE.read_image(str(sound), SIZE, WITH_VRT).pixels).all()


def test_a_file_may_not_draw_on_others_outside_its_folder(tmp_path: Path) -> None:
    outside = write(tmp_path / "secret.tif", mars())
    (tmp_path / "images").mkdir()
    path = vrt(tmp_path / "images/a.vrt", outside)
    with pytest.raises(RasterError, match=r"a.vrt: expected pixels in files of its own folder"):
        CHALLENGE.read_image(str(path), SIZE, WITH_VRT)


@pytest.mark.parametrize(
    "name", ["/vsicurl/http://127.0.0.1:9/a.tif", "http://127.0.0.1:9/a.tif", "/etc/passwd"]
)
def test_a_vrt_reaches_neither_the_network_nor_other_files(tmp_path: Path, name: str) -> None:
    path = vrt(tmp_path / "a.vrt", write(tmp_path / "sound.tif", mars()))
    text = path.read_text().replace('relativeToVRT="1"', 'relativeToVRT="0"').replace("sound.tif", name)
    path.write_text(text)
    with pytest.raises(RasterError, match=r"a.vrt"):
        CHALLENGE.read_image(str(path), SIZE, WITH_VRT)


def test_an_unknown_driver_is_refused() -> None:
    assert driver_names("GTiff") == TIFF
    with pytest.raises(UsageError, match="--drivers=GTiff,Nonsense"):
        driver_names("GTiff,Nonsense")
