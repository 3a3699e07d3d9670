"""Runs whose networks are known exactly, and scenes to predict with them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from map_world import give_pointwise, mapped, scene_pixels, write_raster

from mmls_tf.inference import products


@pytest.fixture
def pointwise_run(own_run: Path) -> Path:
    """A run whose network looks at one pixel at a time."""
    return give_pointwise(own_run)


@pytest.fixture(scope="session")
def pixels() -> np.ndarray:
    """A scene of 75 x 100 pixels with some nodata, in the challenge's order."""
    found = scene_pixels(75, 100)
    found[:, 10:14, 60:80] = np.float32(-3.4028235e38)
    found[1, :, 99] = np.float32(-3.4028235e38)
    return found


@pytest.fixture
def scene_file(pixels: np.ndarray, tmp_path: Path) -> Path:
    """The scene as a GeoTIFF."""
    return write_raster(tmp_path / "scene.tif", pixels)


@pytest.fixture(scope="session")
def run(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose network looks at single pixels; not to be changed."""
    copy = tmp_path_factory.mktemp("pointwise") / "run"
    return give_pointwise(Path(shutil.copytree(trained_run, copy)))


@pytest.fixture(scope="session")
def scene(pixels: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scene as a GeoTIFF; not to be changed."""
    return write_raster(tmp_path_factory.mktemp("scene") / "scene.tif", pixels)


@pytest.fixture(scope="session")
def finished(run: Path, scene: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished map; not to be changed."""
    out = tmp_path_factory.mktemp("maps") / "map"
    mapped(run, scene, out)
    return out


@pytest.fixture
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures and pages take longer than these maps, and have tests of their own; `finished` has real ones."""

    def touch(*words: Any) -> None:
        next(word for word in words if isinstance(word, Path) and word.suffix in (".png", ".html")).touch()

    monkeypatch.setattr(products, "write_quicklook", touch)
    monkeypatch.setattr(products, "write_map_page", touch)
