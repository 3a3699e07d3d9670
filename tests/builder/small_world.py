"""Tiny seeded tiles in both layouts, and what a record of theirs must hold, without the product's readers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tifffile
from osgeo import gdal, osr

from mmls_tf.schema import Manifest
from tfrecords_builder.build import build
from tfrecords_builder.config import BuildConfig

gdal.UseExceptions()
osr.UseExceptions()

SIZE = 16
PIXEL = 232.0
CANONICAL = ("red", "green", "blue", "dem", "slope", "thermal_inertia", "gray")
IN_CHALLENGE_FILES = ("thermal_inertia", "slope", "dem", "gray", "red", "green", "blue")
OFFSET = {"red": 18, "green": 18, "blue": 18, "dem": -5834, "slope": 0, "thermal_inertia": 0, "gray": 0}
SCALE = {
    "red": 189, "green": 213, "blue": 237, "dem": 12822, "slope": 62.8026087, "thermal_inertia": 254, "gray": 254,
}  # fmt: skip
MARS = (
    'PROJCS["SimpleCylindrical_Mars",GEOGCS["GCS_Mars",DATUM["D_Mars",SPHEROID["Mars",3396190,0]],'
    'PRIMEM["Reference_Meridian",0],UNIT["degree",0.0174532925199433]],PROJECTION["Equirectangular"],'
    'PARAMETER["standard_parallel_1",0],PARAMETER["central_meridian",0],'
    'PARAMETER["false_easting",0],PARAMETER["false_northing",0],UNIT["metre",1]]'
)
MARS_FROM_180 = MARS.replace('"central_meridian",0', '"central_meridian",180')
Bands = dict[str, np.ndarray]


def place(index: int, size: int = SIZE) -> tuple[float, ...]:
    """Abutting tiles whose corner is no float32: -5513958.3444039 is one of the real files."""
    return (-5513958.3444039 + index * size * PIXEL, PIXEL, 0.0, 1234567.8912345 - index, 0.0, -PIXEL)


def raw_bands(seed: int, size: int = SIZE) -> Bands:
    """Raw values as in the real files: whole numbers in all bands but slope."""
    rng = np.random.default_rng(seed)
    bands = {name: rng.integers(0, 255, (size, size)).astype(np.float32) for name in CANONICAL}
    bands["dem"] = rng.integers(-5834, 9000, (size, size)).astype(np.float32)
    bands["slope"] = rng.uniform(0, 65, (size, size)).astype(np.float32)
    return bands


def labels(seed: int, size: int = SIZE) -> np.ndarray:
    return (np.random.default_rng([seed, 1]).random((size, size)) < 0.3).astype(np.uint8)


def write_gdal(
    path: Path,
    planes: Iterable[np.ndarray],
    transform: tuple[float, ...] | None,
    wkt: str | None = MARS,
    nodata: float | None = None,
    kind: int | None = None,
) -> None:
    """Writes planes [H, W] as one GeoTIFF with plain GDAL."""
    planes = list(planes)
    height, width = planes[0].shape
    kind = kind or (gdal.GDT_Byte if planes[0].dtype == np.uint8 else gdal.GDT_Float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    driver = gdal.GetDriverByName("GTiff")
    file = driver.Create(str(path), width, height, len(planes), kind, ["COMPRESS=LZW", "INTERLEAVE=PIXEL"])
    if transform is not None:
        file.SetGeoTransform(transform)
    if wkt is not None:
        file.SetProjection(wkt)
    for index, plane in enumerate(planes):
        band = file.GetRasterBand(index + 1)
        if nodata is not None:
            band.SetNoDataValue(nodata)
        band.WriteArray(plane)
    file = None


def write_challenge_image(path: Path, bands: Bands, index: int = 0, **how: Any) -> None:
    size = bands["dem"].shape[0]
    write_gdal(path, [bands[name] for name in IN_CHALLENGE_FILES], place(index, size), **how)


def write_challenge_mask(path: Path, mask: np.ndarray, index: int = 0, nodata: float | None = 0) -> None:
    """With the tag `NoData Value=0` that the real masks carry."""
    write_gdal(path, [mask], place(index, mask.shape[0]), nodata=nodata)


def canonical(bands: Bands) -> np.ndarray:
    """[H, W, 7] float32, by the formula, in float64."""
    planes = [(bands[name].astype(np.float64) - OFFSET[name]) / SCALE[name] for name in CANONICAL]
    return np.stack(planes, axis=-1).astype(np.float32)


def write_public_image(path: Path, bands: Bands) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, canonical(bands))


def write_public_mask(path: Path, mask: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, mask, compression="lzw")


def write_source(
    src: Path, counts: dict[str, int], layout: str = "challenge", size: int = SIZE, backwards: bool = False
) -> Path:
    """Writes SPLIT/images/tNN.tif and SPLIT/masks/tNN.tif: the same tiles whatever the layout."""
    tiles = [(split, number) for split, count in counts.items() for number in range(count)]
    for split, number in reversed(tiles) if backwards else tiles:
        seed = tiles.index((split, number))
        image, mask = (src / split / kind / f"t{number:02d}.tif" for kind in ("images", "masks"))
        if layout == "challenge":
            write_challenge_image(image, raw_bands(seed, size), seed)
            write_challenge_mask(mask, labels(seed, size), seed)
        else:
            write_public_image(image, raw_bands(seed, size))
            write_public_mask(mask, labels(seed, size))
    return src


def build_it(src: Path, out: Path, **options: Any) -> Manifest:
    config = BuildConfig(src=str(src), out=str(out), **{"tile_size": SIZE, "workers": 2, **options})
    manifest = build(config, "python -m tfrecords_builder --src raw").manifest
    return manifest


def manifest_of(out: Path) -> dict[str, Any]:
    """The manifest as the JSON that stands on disk."""
    return json.loads((out / "dataset.json").read_text(encoding="utf-8"))


def shard_bytes(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*.tfrecord"))}


def records(out: Path) -> dict[str, dict[str, bytes]]:
    """Key -> feature name -> bytes, of every record in the folder, checked by TensorFlow's own reader."""
    found: dict[str, dict[str, bytes]] = {}
    for shard in sorted(out.rglob("*.tfrecord")):
        for serialized in tf.data.TFRecordDataset(str(shard)).as_numpy_iterator():
            features = tf.train.Example.FromString(serialized).features.feature
            values = {name: feature.bytes_list.value[0] for name, feature in features.items()}
            found[values["key"].decode()] = values
    return found


def image_of(record: dict[str, bytes], size: int = SIZE) -> np.ndarray:
    return np.frombuffer(record["image"], "<f4").reshape(size, size, 7)


def plane_of(record: dict[str, bytes], name: str, size: int = SIZE) -> np.ndarray:
    return np.frombuffer(record[name], np.uint8).reshape(size, size)


def read_by_gdal(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """(canonical image, valid) of a challenge file, by plain GDAL and the rules of the data set."""
    file = gdal.Open(str(path))
    raw = dict(zip(IN_CHALLENGE_FILES, file.ReadAsArray(), strict=True))
    tag = file.GetRasterBand(1).GetNoDataValue()  # a GeoTIFF has one for all bands
    invalid = np.zeros(raw["dem"].shape, bool)
    for plane in raw.values():
        invalid |= np.abs(plane) > 1e30
        if tag is not None:
            invalid |= np.isnan(plane) if np.isnan(tag) else plane == np.float32(tag)
    image = canonical(raw)
    image[invalid] = 0.0
    return image, (~invalid).astype(np.uint8)
