"""Real tiles, where this machine has them: joined and cut again they are the same files, bit for bit."""

from __future__ import annotations

import functools
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal
from own_world import NODATA, read, transform_of

from tfrecords_builder.stack.config import StackConfig
from tfrecords_builder.stack.stack import make_mosaic
from tfrecords_builder.tile.config import TileConfig
from tfrecords_builder.tile.cut import cut_scene

UNPACK = Path(__file__).parents[2] / "../shared/mmls/unpack.py"
TILE_M = 128 * 232.0
COLUMNS = range(72, 84)
pytestmark = pytest.mark.skipif(not UNPACK.exists(), reason=f"no real tiles at {UNPACK}")


@pytest.fixture(scope="module")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The easternmost columns of protocol `blocks`."""
    spec = importlib.util.spec_from_file_location("unpack_for_mosaics", UNPACK)
    assert spec is not None and spec.loader is not None
    unpack = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(unpack)
    names, splits, places, images, masks, v1 = unpack.load()
    splits = unpack.assign(names, splits, places, "blocks")
    column = np.rint((places[:, 0] - unpack.X0) / TILE_M).astype(int)
    chosen = (splits == "isolated") & np.isin(column, COLUMNS)
    subset = (names[chosen], splits[chosen], places[chosen], images[chosen], masks[chosen], v1)
    unpack.load = functools.partial(lambda: subset)  # type: ignore[attr-defined]
    unpack.assign = lambda *_: splits[chosen]  # type: ignore[attr-defined]
    root = tmp_path_factory.mktemp("real") / "raw"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["unpack.py", str(root)])
        unpack.main()
    return root / "isolated/images"


@pytest.fixture(scope="module")
def mosaic(tiles: Path) -> Path:
    path = tiles.parents[2] / "mosaic.tif"
    make_mosaic(StackConfig(out=str(path), tiles=str(tiles)))
    return path


def test_joined_and_cut_again_tiles_are_the_same(tiles: Path, mosaic: Path, tmp_path: Path) -> None:
    cut_scene(TileConfig(scene=str(mosaic), out=str(tmp_path / "raw"), min_valid=0.9))
    again = {_place(path): path for path in (tmp_path / "raw/train/images").iterdir()}
    originals = sorted(tiles.iterdir())
    assert len(originals) > 40
    for path in originals:
        twin = again[_place(path)]
        np.testing.assert_array_equal(
            read(path).view(np.uint32), read(twin).view(np.uint32), err_msg=path.name
        )
        np.testing.assert_allclose(transform_of(path), transform_of(twin), rtol=0, atol=1e-6)
        assert gdal.Open(str(path)).GetProjection() == gdal.Open(str(twin)).GetProjection()


def test_slope_derived_from_the_dem_is_the_slope_band(mosaic: Path, tmp_path: Path) -> None:
    bands = {"thermal_inertia": 1, "dem": 3, "gray": 4, "red": 5, "green": 6, "blue": 7}
    flags = {name: f"{mosaic}:{band}" for name, band in bands.items()}
    make_mosaic(StackConfig(out=str(tmp_path / "derived.tif"), **flags))
    given, derived = read(mosaic), read(tmp_path / "derived.tif")
    both = (given[1] != NODATA) & (derived[1] != NODATA)
    assert both.mean() > 0.4
    assert np.abs(given[1][both] - derived[1][both]).max() < 1e-4
    np.testing.assert_array_equal(np.delete(given, 1, axis=0), np.delete(derived, 1, axis=0))


def _place(path: Path) -> tuple[int, int]:
    transform = transform_of(path)
    return round(transform[0] / 232.0), round(transform[3] / 232.0)
