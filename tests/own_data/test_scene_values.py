"""Values in other units than MMLSv2's are told before anything is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from own_world import ORDER, read, write, write_scene

from mmls_tf.bands import BANDS
from mmls_tf.errors import InputError
from tfrecords_builder.tile.config import TileConfig
from tfrecords_builder.tile.cut import cut_scene


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene in raw values."""
    root = tmp_path_factory.mktemp("values")
    write_scene(root / "scene.tif", 64, 64)
    return root


def tile(scene: Path, out: Path, **flags: Any) -> None:
    cut_scene(TileConfig(scene=str(scene), out=str(out / "raw"), tile_size=32, **flags))


@pytest.mark.parametrize(
    ("band", "gain", "offset", "message"),
    [
        (
            "dem",
            0.001,
            0.0,
            r"expected dem in m, not km .* found a 1 % quantile of -[\d.]+ and a 99 % quantile of",
        ),
        ("dem", 1000.0, 0.0, r"expected dem in m, -9000 to 22000, found a 1 % quantile"),
        ("red", 1 / 255, 0.0, r"expected red in raw DN up to about 207, not scaled to \[0, 1\]"),
        ("gray", 256.0, 0.0, r"expected gray in DN, 0 to 255"),
        ("slope", -1.0, -5.0, r"expected slope in degree, 0 to 90"),
        ("thermal_inertia", 4.0, 0.0, r"expected thermal_inertia in DN, 0 to 255, .* 99 % quantile of 9\d\d"),
    ],
)
def test_values_in_other_units(
    band: str, gain: float, offset: float, message: str, world: Path, tmp_path: Path
) -> None:
    scene = read(world / "scene.tif")
    index = ORDER.index(band)
    scene[index] = scene[index] * gain + offset
    write(tmp_path / "scene.tif", scene)
    with pytest.raises(InputError, match=message):
        tile(tmp_path / "scene.tif", tmp_path)
    assert not (tmp_path / "raw").exists()
    tile(tmp_path / "scene.tif", tmp_path, rescale=f"{band}={1 / gain!r},{-offset / gain!r}")
    tile(tmp_path / "scene.tif", tmp_path, rescale=f"{band}=1,0", split="val")
    found = read(tmp_path / "raw/val/images/col00000_row00000.tif")
    np.testing.assert_array_equal(found, scene[:, :32, :32])


def test_a_wrong_rescaling_is_refused_too(world: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected red in DN"):
        tile(world / "scene.tif", tmp_path, rescale="red=255,0")


def test_a_scene_scaled_as_the_public_release_is_told_how_to_undo_it(world: Path, tmp_path: Path) -> None:
    raw = read(world / "scene.tif")
    scaled = raw.copy()
    for band in BANDS:
        index = ORDER.index(band.name)
        scaled[index] = (raw[index] - band.offset) / band.scale
    write(tmp_path / "scene.tif", scaled)
    with pytest.raises(InputError) as caught:
        tile(tmp_path / "scene.tif", tmp_path)
    assert len(caught.value.issues) == 7
    rescale = str(caught.value).split('--rescale="')[1].split('"')[0]
    tile(tmp_path / "scene.tif", tmp_path, rescale=rescale)
    found = read(tmp_path / "raw/train/images/col00000_row00000.tif")
    np.testing.assert_allclose(found, raw[:, :32, :32], atol=1e-2)


def test_a_band_without_any_data(world: Path, tmp_path: Path) -> None:
    scene = read(world / "scene.tif")
    scene[3] = np.nan
    write(tmp_path / "scene.tif", scene)
    with pytest.raises(InputError, match="expected data in band gray, found none"):
        tile(tmp_path / "scene.tif", tmp_path)
