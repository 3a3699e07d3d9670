"""Small seeded scenes, runs whose networks are known exactly, and maps made in plain NumPy."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from osgeo import gdal, osr

from mmls_tf.inference.config import PredictConfig
from mmls_tf.inference.job import predict
from mmls_tf.training.run_folder import RunFolder

for module in (gdal, osr):
    module.UseExceptions()

TILE = 32
ALL = {"probability.tif", "mask.tif", "landslides.gpkg", "quicklook.png", "map.html", "prediction.json"}
ORDER = ("thermal_inertia", "slope", "dem", "gray", "red", "green", "blue")  # of the challenge's files
CANONICAL = ("red", "green", "blue", "dem", "slope", "thermal_inertia", "gray")
OFFSET = np.array([18, 18, 18, -5834, 0, 0, 0], np.float64)
SCALE = np.array([189, 213, 237, 12822, 62.8026087, 254, 254], np.float64)
NODATA = np.float32(-3.4028235e38)
WKT = (
    'PROJCS["SimpleCylindrical_Mars",GEOGCS["GCS_Mars",DATUM["D_Mars",SPHEROID["Mars",3396190,0]],'
    'PRIMEM["Reference_Meridian",0],UNIT["degree",0.0174532925199433]],PROJECTION["Equirectangular"],'
    'PARAMETER["standard_parallel_1",0],PARAMETER["central_meridian",0],PARAMETER["false_easting",0],'
    'PARAMETER["false_northing",0],UNIT["metre",1]]'
)
TRANSFORM = (-5187302.3444, 232.0, 0.0, -251619.2345, 0.0, -232.0)


def scene_pixels(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A scene in the challenge's order, raw, float32 [7, height, width]; slope is GDAL's of the elevation."""
    rng = np.random.default_rng(seed)
    row, col = np.mgrid[:height, :width]
    waves = sum(
        rng.uniform(50, 400) * np.sin(col / rng.uniform(5, 40) + row / rng.uniform(5, 40) + phase)
        for phase in range(5)
    )
    dem = np.rint(waves + rng.uniform(-20, 20, (height, width))).astype(np.float32)
    source = gdal.GetDriverByName("MEM").Create("", width, height, 1, gdal.GDT_Float32)
    source.SetGeoTransform(TRANSFORM)
    source.WriteArray(dem)
    slope = gdal.DEMProcessing("", source, "slope", format="MEM", computeEdges=True).ReadAsArray()
    bands = {name: rng.integers(60, 200, (height, width)).astype(np.float32) for name in ORDER}
    bands |= {"dem": dem, "slope": slope, "red": bands["green"] + 20}
    return np.stack([bands[name] for name in ORDER])


def write_raster(
    path: Path,
    pixels: np.ndarray,
    transform: Sequence[float] | None = TRANSFORM,
    wkt: str = WKT,
    nodata: float | None = None,
    names: Sequence[str] = (),
) -> Path:
    """Writes [bands, height, width] or [height, width] as a float32 GeoTIFF."""
    planes = pixels if pixels.ndim == 3 else pixels[None]
    bands, height, width = planes.shape
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset = gdal.GetDriverByName("GTiff").Create(str(path), width, height, bands, gdal.GDT_Float32)
    if transform is not None:
        dataset.SetGeoTransform(transform)
        dataset.SetProjection(wkt)
    for index, plane in enumerate(planes):
        band = dataset.GetRasterBand(index + 1)
        band.WriteArray(np.ascontiguousarray(plane))
        if nodata is not None:
            band.SetNoDataValue(nodata)
        if names:
            band.SetDescription(names[index])
    dataset.FlushCache()
    return path


def moved(col: int, row: int) -> tuple[float, ...]:
    """The geotransform of a tile of the scene whose first pixel is that one."""
    return (TRANSFORM[0] + 232.0 * col, 232.0, 0.0, TRANSFORM[3] - 232.0 * row, 0.0, -232.0)


def read(path: Path) -> np.ndarray:
    """All pixels, as stored."""
    return gdal.Open(str(path)).ReadAsArray()


def set_record(run: Path, **changes: object) -> None:
    """Changes flags that a run says it was trained with."""
    path = run / "run.json"
    record = json.loads(path.read_text())
    record["config"].update(changes)
    path.write_text(json.dumps(record))


def give_pointwise(run: Path, seed: int = 1, which: str = "best") -> Path:
    """Makes the run one of a network that looks at one pixel at a time: there can be no seams in its maps."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((None, None, 7))
    head = keras.layers.Conv2D(1, 1, kernel_initializer="glorot_normal", bias_initializer="glorot_normal")
    RunFolder(run).save_model(keras.Model(image, head(image)), which)
    return run


def give_smear(run: Path, context: int, seed: int = 1) -> Path:
    """Makes the run one of a network that sees `context` pixels around a tile, and mixes 9 x 9 pixels into one."""
    set_record(run, context=context)
    keras.utils.set_random_seed(seed)
    side = TILE + 2 * context
    image = keras.Input((side, side, 7))
    smear = keras.layers.Conv2D(1, 9, padding="same", kernel_initializer="glorot_normal")
    RunFolder(run).save_model(keras.Model(image, smear(image)), "best")
    return run


def canonical(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(canonical values float64 [height, width, 7], valid bool [height, width]) of raw pixels in file order."""
    stored = np.stack([pixels[ORDER.index(name)].astype(np.float64) for name in CANONICAL], axis=-1)
    valid = (np.abs(stored) < 1e30).all(axis=-1)
    return np.where(valid[..., None], (stored - OFFSET) / SCALE, 0.0), valid


def normalised(run: Path, pixels: np.ndarray) -> np.ndarray:
    """What a network of the run sees, float32 [height, width, 7], 0 where there is no data."""
    normal = json.loads((run / "run.json").read_text())["normalisation"]
    image, valid = canonical(pixels)
    scaled = (image - np.array(normal["mean"])) / np.array(normal["std"])
    return (scaled * valid[..., None]).astype(np.float32)


def network_of(run: Path, which: str = "best") -> Callable[[np.ndarray], np.ndarray]:
    """From images [batch, side, side, 7] to probabilities float64 [batch, side, side], by Keras alone."""
    model = keras.saving.load_model(RunFolder(run).weights(which), compile=False)

    def predict(images: np.ndarray) -> np.ndarray:
        logits = np.asarray(model(images.astype(np.float32), training=False), np.float64)[..., 0]
        return 1.0 / (1.0 + np.exp(-logits))

    return predict


def starts(length: int, tile: int, stride: int) -> list[int]:
    """First pixels of windows that cover a side, the last one moved back; written down anew."""
    last = max(length, tile) - tile
    found = [0]
    while found[-1] < last:
        found.append(min(found[-1] + stride, last))
    return found


def plain_map(
    run: Path,
    pixels: np.ndarray,
    overlap: float,
    context: int = 0,
    which: str = "best",
    told: np.ndarray | None = None,
) -> np.ndarray:
    """A map window by window over the whole scene in memory, float64 [height, width], NaN where there is no data.

    `told` [height, width] is -1, 0 or 1 and is seen around every tile, as one more channel.
    """
    predict = network_of(run, which)
    _, height, width = pixels.shape
    rows, columns = max(height, TILE), max(width, TILE)
    seen = np.zeros((rows + 2 * context, columns + 2 * context, 7), np.float32)
    seen[context : context + height, context : context + width] = normalised(run, pixels)
    if told is not None:
        around = np.zeros((*seen.shape[:2], 1), np.float32)
        around[context : context + height, context : context + width, 0] = told * canonical(pixels)[1]
        seen = np.concatenate([seen, around], axis=-1)
    hann = np.maximum(np.rint(1024 * np.sin(np.pi * (np.arange(TILE) + 0.5) / TILE) ** 2), 1) / 1024
    weight = hann[:, None] * hann[None, :]
    total, weights = np.zeros((rows, columns)), np.zeros((rows, columns))
    stride = max(1, round(TILE * (1 - overlap)))
    side = TILE + 2 * context
    for top in starts(height, TILE, stride):
        for left in starts(width, TILE, stride):
            image = seen[top : top + side, left : left + side].copy()
            image[context : context + TILE, context : context + TILE, 7:] = 0
            found = predict(image[None])[0][context : context + TILE, context : context + TILE]
            total[top : top + TILE, left : left + TILE] += weight * found
            weights[top : top + TILE, left : left + TILE] += weight
    probability = (total / weights)[:height, :width]
    probability[~canonical(pixels)[1]] = np.nan
    return probability


def mapped(run: Path, scene: object, out: Path, **flags: Any) -> dict[str, Any]:
    values = {"batch": 1, "overlap": 0.75, **flags}
    return predict(PredictConfig(run=str(run), scene=str(scene), out=str(out), **values), "a test")


def bytes_of(folder: Path) -> dict[str, bytes]:
    """The files that depend on nothing but scene, run and flags."""
    return {name: (folder / name).read_bytes() for name in ("probability.tif", "mask.tif")}
