"""Runs whose networks are known exactly, and scenes to predict with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from map_world import give_pointwise, scene_pixels, write_raster


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
