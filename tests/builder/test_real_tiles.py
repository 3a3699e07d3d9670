"""Real tiles, where this machine has them: both layouts, against plain GDAL."""

from __future__ import annotations

import functools
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal
from small_world import build_it, image_of, manifest_of, plane_of, read_by_gdal, records

UNPACK = Path(__file__).parents[2] / "../shared/mmls/unpack.py"
SIZE = 128
pytestmark = pytest.mark.skipif(not UNPACK.exists(), reason=f"no real tiles at {UNPACK}")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three tiles a split in each layout, raw and built."""
    root = tmp_path_factory.mktemp("real")
    spec = importlib.util.spec_from_file_location("unpack_real_tiles", UNPACK)
    assert spec is not None and spec.loader is not None
    unpack = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(unpack)
    unpack.load = functools.cache(unpack.load)  # type: ignore[attr-defined]
    for layout in ("challenge", "public"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                sys, "argv", ["unpack.py", str(root / f"raw_{layout}"), "--layout", layout, "--limit", "3"]
            )
            unpack.main()
        build_it(root / f"raw_{layout}", root / layout, tile_size=SIZE)
    return {path.name: path for path in root.iterdir()}


def test_records_are_what_gdal_reads(folders: dict[str, Path]) -> None:
    found = records(folders["challenge"])
    assert len(found) == 12
    for key, record in found.items():
        split, stem = key.split("/")
        path = folders["raw_challenge"] / split / "images" / f"{stem}.tif"
        image, valid = read_by_gdal(path)
        np.testing.assert_array_equal(image_of(record, SIZE), image)
        np.testing.assert_array_equal(plane_of(record, "valid", SIZE), valid)
        mask = gdal.Open(str(path).replace("/images/", "/masks/")).ReadAsArray()
        np.testing.assert_array_equal(plane_of(record, "mask", SIZE), mask)
        transform = np.frombuffer(record["geotransform"], "<f8")
        assert tuple(transform) == gdal.Open(str(path)).GetGeoTransform()


def test_both_releases_give_the_same_values(folders: dict[str, Path]) -> None:
    one, other = records(folders["challenge"]), records(folders["public"])
    assert one.keys() == other.keys()
    for key in one:
        valid = plane_of(one[key], "valid", SIZE) == 1
        np.testing.assert_array_equal(image_of(one[key], SIZE)[valid], image_of(other[key], SIZE)[valid])
        assert one[key]["mask"] == other[key]["mask"]


def test_statistics_agree_with_numpy_and_between_the_releases(folders: dict[str, Path]) -> None:
    tiles = [read_by_gdal(path) for path in (folders["raw_challenge"] / "train/images").iterdir()]
    pixels = np.concatenate([image[valid == 1] for image, valid in tiles]).astype(np.float64)
    for name in ("challenge", "public"):
        statistics = manifest_of(folders[name])["statistics"]
        np.testing.assert_allclose([band["mean"] for band in statistics], pixels.mean(axis=0), rtol=1e-9)
        np.testing.assert_allclose([band["std"] for band in statistics], pixels.std(axis=0), rtol=1e-9)
