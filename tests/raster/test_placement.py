"""Places read from headers alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mmls_tf.raster.geotiff import read_geotiff, write_geotiff
from mmls_tf.raster.mars import MARS_WKT
from mmls_tf.raster.placement import read_geotransform

PLACE = (-5187302.344403904, 232.0, 0.0, -251619.2345385598, 0.0, -232.0)


def test_the_place_is_that_of_the_pixels_whatever_a_world_file_beside_it_says(tmp_path: Path) -> None:
    for name, place in (("placed", PLACE), ("bare", (0.0, 1.0, 0.0, 0.0, 0.0, 1.0))):
        path = tmp_path / f"{name}.tif"
        write_geotiff(path, np.zeros((8, 8, 1), np.uint8), place, MARS_WKT if name == "placed" else "")
        path.with_suffix(".tfw").write_text("1000\n0\n0\n-1000\n5\n5\n")
    assert (
        read_geotransform(tmp_path / "placed.tif")
        == PLACE
        == read_geotiff(tmp_path / "placed.tif", 1, 8).geotransform
    )
    assert read_geotransform(tmp_path / "bare.tif") is None


def test_what_is_no_raster_has_no_place(tmp_path: Path) -> None:
    (tmp_path / "x.tif").write_text("no raster")
    assert read_geotransform(tmp_path / "x.tif") is None
    assert read_geotransform(tmp_path / "absent.tif") is None
