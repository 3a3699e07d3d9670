"""The gallery."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib import image as images

from mmls_tf.evaluation.config import EvaluateConfig
from mmls_tf.evaluation.confusion import Confusion
from mmls_tf.evaluation.counting import TileScore
from mmls_tf.evaluation.job import evaluate
from mmls_tf.evaluation.pictures import choose_tiles, hill_shade


def tile(key: str, iou_percent: int | None) -> TileScore:
    counts = Confusion(true_negative=5) if iou_percent is None else Confusion(iou_percent, 100 - iou_percent)
    return TileScore(key, counts, counts)


def test_it_shows_the_best_the_middle_and_the_worst_tiles_in_which_there_is_something_to_score() -> None:
    tiles = [tile(f"t{percent}", percent) for percent in range(0, 100, 10)] + [tile("empty", None)]
    chosen = [(group, score.key) for group, score in choose_tiles(tiles)]
    assert chosen == [
        ("best", "t90"),
        ("best", "t80"),
        ("middle", "t50"),
        ("middle", "t40"),
        ("worst", "t10"),
        ("worst", "t0"),
    ]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5])
def test_a_small_split_shows_each_tile_once(count: int) -> None:
    chosen = [score.key for _, score in choose_tiles([tile(f"t{i}", 10 * i) for i in range(count)])]
    assert len(set(chosen)) == len(chosen) == count


def test_hill_shade_is_the_one_of_gdaldem() -> None:
    gdal = pytest.importorskip("osgeo.gdal", reason="GDAL's Python bindings are not installed")
    gdal.UseExceptions()
    rows, columns = np.mgrid[0:40, 0:50].astype(np.float64)
    elevation = 800 * np.sin(rows / 7) + 600 * np.cos(columns / 9) + 20 * columns
    source = gdal.GetDriverByName("MEM").Create("", 50, 40, 1, gdal.GDT_Float64)
    source.SetGeoTransform((0, 232, 0, 0, 0, -232))
    source.GetRasterBand(1).WriteArray(elevation)
    options = {"format": "MEM", "azimuth": 315, "altitude": 45, "zFactor": 2, "computeEdges": True}
    shaded = gdal.DEMProcessing("", source, "hillshade", **options).ReadAsArray().astype(float)
    ours = 255 * hill_shade(elevation, 232.0)
    # gdaldem averages over three rows, we take central differences: alike where the ground is smooth.
    np.testing.assert_allclose(ours[2:-2, 2:-2], shaded[2:-2, 2:-2], atol=6)


def test_the_picture_is_written_and_has_something_on_it(own_run: Path, own_data: Path) -> None:
    evaluate(EvaluateConfig(run=str(own_run), data=str(own_data), split="test"), "a test")
    picture = images.imread(own_run / "evaluations" / "test.png")
    assert picture.shape[0] > 500
    assert picture.std() > 0.1
