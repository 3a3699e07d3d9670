"""Tiles for tests of the input side: terrain whose slope is Horn's, colours that are those of Mars."""

from __future__ import annotations

import functools
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from osgeo import gdal

from mmls_tf.raster.layouts import LAYOUTS
from mmls_tf.raster.mars import MARS_WKT
from mmls_tf.raster.raster import Raster

gdal.UseExceptions()
CONSTANTS = {
    "red": (18, 189), "green": (18, 213), "blue": (18, 237), "dem": (-5834, 12822), "slope": (0, 62.8026087),
    "thermal_inertia": (0, 254), "gray": (0, 254),
}  # fmt: skip
UNPACK = Path(__file__).parents[2] / "../shared/mmls/unpack.py"
needs_real_tiles = pytest.mark.skipif(not UNPACK.exists(), reason=f"no real tiles at {UNPACK}")
Bands = dict[str, np.ndarray]


def smooth(rng: np.random.Generator, size: int, passes: int = 6) -> np.ndarray:
    field = rng.normal(size=(size + 2, size + 2))
    for _ in range(passes):
        field = sum(np.roll(field, (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1)) / 9
    return field / field.std()


def mars(seed: int = 0, size: int = 64, pixel: float = 232.0) -> Bands:
    """Raw bands [size, size]; the slope is that which `gdaldem` computes."""
    rng = np.random.default_rng(seed)
    dem = np.rint(1000 + 400 * smooth(rng, size)).astype(np.float32)
    memory = gdal.GetDriverByName("MEM").Create("", size + 2, size + 2, 1, gdal.GDT_Float32)
    memory.SetGeoTransform((0, pixel, 0, 0, 0, -pixel))
    memory.GetRasterBand(1).WriteArray(dem)
    slope = gdal.DEMProcessing("", memory, "slope", format="MEM", alg="Horn").ReadAsArray()
    light, noise = smooth(rng, size)[1:-1, 1:-1], rng.normal(size=(3, size, size))
    red = 120 + 20 * light + 4 * noise[0]
    green = 90 + 15 * light + noise[1]
    blue = green - 2 + noise[2]
    bands = {"red": red, "green": green, "blue": blue, "gray": 100 + 30 * smooth(rng, size)[1:-1, 1:-1]}
    bands["thermal_inertia"] = 120 + 20 * smooth(rng, size)[1:-1, 1:-1]
    bands = {name: np.clip(np.rint(band), 18, 207) for name, band in bands.items()}
    return bands | {"dem": dem[1:-1, 1:-1], "slope": slope[1:-1, 1:-1]}


def scaled(bands: Bands) -> Bands:
    return {name: (band - CONSTANTS[name][0]) / CONSTANTS[name][1] for name, band in bands.items()}


def raster(bands: Bands, order: tuple[str, ...], pixel: float | None = 232.0) -> Raster:
    pixels = np.stack([bands[name] for name in order]).astype(np.float32)
    transform = None if pixel is None else (0.0, pixel, 0.0, 0.0, 0.0, -pixel)
    return Raster(pixels, (None,) * len(order), transform, None if pixel is None else MARS_WKT)


def write(path: Path, bands: Bands, layout: str = "challenge", order: tuple[str, ...] | None = None) -> Path:
    """Writes an image in a layout, in its order of bands or in another."""
    path.parent.mkdir(parents=True, exist_ok=True)
    order = order or LAYOUTS[layout].order
    values = bands if layout == "challenge" else scaled(bands)
    array = np.stack([values[name] for name in order], axis=-1).astype(np.float32)
    if layout != "challenge":
        tifffile.imwrite(path, array)
        return path
    size = array.shape[0]
    file = gdal.GetDriverByName("GTiff").Create(str(path), size, size, len(order), gdal.GDT_Float32)
    file.SetGeoTransform((0, 232.0, 0, 0, 0, -232.0))
    file.SetProjection(MARS_WKT)
    file.WriteArray(np.moveaxis(array, -1, 0))
    file = None
    return path


def write_mask(path: Path, size: int = 64, dtype: type = np.uint8) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, np.eye(size, dtype=dtype), compression=None if dtype is np.float32 else "lzw")
    return path


@functools.cache
def _unpacker() -> object:
    spec = importlib.util.spec_from_file_location("unpack_tiles_for_input", UNPACK)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.load = functools.cache(module.load)  # type: ignore[attr-defined]
    return module


def unpack(dest: Path, *words: str) -> Path:
    """Writes real tiles as `unpack.py DEST WORDS...` does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["unpack.py", str(dest), *words])
        _unpacker().main()  # type: ignore[attr-defined]
    return dest
