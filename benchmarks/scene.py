"""Times maps of whole scenes beside bare forward passes and beside a plain sliding window in PyTorch.

    python -m benchmarks.scene --out=docs/results/scene.json [--torch_python=/path/to/python] [--rounds=3]

Every run is a process of its own, in turn. Ours is `mmls_tf.predict` with its default settings on a U-Net of
configs/unet.flags with random weights, from a GeoTIFF to the finished folder; then, in the same process, as many
forward passes of the same network on one batch that is in memory. PyTorch's is the loop that people write: the scene in
memory, windows in batches, blended sums, the same network, precision, batch and overlap, from a file to two arrays. The
large scene is a VRT that repeats one block, mapped without overlap, for the sake of its memory. `others` is the share
of all CPU time that other processes took: figures with more than a few per cent of it mean little. Writes one JSON
object.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.models import busy_seconds, own_seconds, versions
from mmls_tf.entry import command_line, config_from_flags, define_flags, option, run
from mmls_tf.errors import UsageError
from mmls_tf.files import write_json
from mmls_tf.raster.geotiff import load_gdal
from mmls_tf.raster.layouts import CHALLENGE
from mmls_tf.raster.mars import MARS_WKT, PIXEL_M

OVERLAPS = (0.0, 0.5)
_BLOCK = 500
_BAND = '<VRTRasterBand dataType="Float32" band="{band}"><Description>{name}</Description>{sources}</VRTRasterBand>'
_SOURCE = (
    '<SimpleSource><SourceFilename relativeToVRT="1">block.tif</SourceFilename><SourceBand>{band}</SourceBand>'
    '<SrcRect xOff="0" yOff="0" xSize="{side}" ySize="{side}"/>'
    '<DstRect xOff="{col}" yOff="{row}" xSize="{side}" ySize="{side}"/></SimpleSource>'
)


@dataclass(frozen=True)
class SceneConfig:
    """What to run, how often."""

    out: str = option(None, "JSON file to write.")
    torch_python: str = option("", "Python interpreter that has PyTorch and NumPy; empty: without PyTorch.")
    rounds: int = option(3, "Rounds of all timed runs in turn.")
    rows: int = option(2000, "Rows of the timed scene, a multiple of 500.")
    columns: int = option(2000, "Its columns, a multiple of 500.")
    large_rows: int = option(20000, "Rows of the large scene, a multiple of 500; 0: none.")
    large_columns: int = option(5000, "Its columns, a multiple of 500.")
    filters: int = option(16, "Width of the U-Net.")

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise UsageError(f"--rounds={self.rounds}: expected 1 or more")
        for name in ("rows", "columns", "large_rows", "large_columns"):
            value = getattr(self, name)
            if value % _BLOCK or value < (0 if name == "large_rows" else _BLOCK):
                raise UsageError(f"--{name}={value}: expected a multiple of {_BLOCK}")


def block_pixels() -> np.ndarray:
    """Returns raw values in the challenge's order, float32 [7, 500, 500], which fit together when repeated."""
    row, col = np.mgrid[:_BLOCK, :_BLOCK] * (2 * np.pi / _BLOCK)
    waves = np.sin(3 * col) * np.cos(2 * row) + 0.4 * np.sin(17 * col + 11 * row)
    random = np.random.default_rng(0)
    optical = [np.clip(100 + 30 * waves + random.normal(0, 8, waves.shape), 0, 255) for _ in range(5)]
    bands = dict(zip(("red", "green", "blue", "gray", "thermal_inertia"), optical, strict=True))
    bands |= {"dem": 1000 * waves, "slope": 12 + 5 * waves}
    return np.stack([np.rint(bands[name]) for name in CHALLENGE.order]).astype(np.float32)


def write_scenes(folder: Path, config: SceneConfig) -> None:
    """Writes the timed scene as scene.tif and scene.npy, and the large one as large.vrt over block.tif."""
    pixels = block_pixels()
    whole = np.tile(pixels, (1, config.rows // _BLOCK, config.columns // _BLOCK))
    _write_tif(folder / "scene.tif", whole)
    np.save(folder / "scene.npy", whole)
    _write_tif(folder / "block.tif", pixels)
    if config.large_rows:
        _write_vrt(folder / "large.vrt", config.large_rows, config.large_columns)


def _write_tif(path: Path, pixels: np.ndarray) -> None:
    gdal = load_gdal()
    bands, rows, columns = pixels.shape
    options = ["TILED=YES", "INTERLEAVE=PIXEL", "COMPRESS=LZW"]
    dataset = gdal.GetDriverByName("GTiff").Create(str(path), columns, rows, bands, gdal.GDT_Float32, options)
    dataset.SetGeoTransform((0.0, PIXEL_M, 0.0, 0.0, 0.0, -PIXEL_M))
    dataset.SetProjection(MARS_WKT)
    dataset.WriteArray(pixels)
    dataset.FlushCache()


def _write_vrt(path: Path, rows: int, columns: int) -> None:
    places = [(row, col) for row in range(0, rows, _BLOCK) for col in range(0, columns, _BLOCK)]
    bands = []
    for band, name in enumerate(CHALLENGE.order, 1):
        sources = (_SOURCE.format(band=band, side=_BLOCK, row=row, col=col) for row, col in places)
        bands.append(_BAND.format(band=band, name=name, sources="".join(sources)))
    path.write_text(
        f'<VRTDataset rasterXSize="{columns}" rasterYSize="{rows}"><SRS>{MARS_WKT.replace(chr(34), "&quot;")}</SRS>'
        f"<GeoTransform>0, {PIXEL_M}, 0, 0, 0, {-PIXEL_M}</GeoTransform>{''.join(bands)}</VRTDataset>",
        encoding="utf-8",
    )


def measured(python: str, module: str, *words: object) -> dict[str, Any]:
    """Runs a module in a new process and returns what it says, with the share that other processes took.

    Raises:
      UsageError: it fails.
    """
    command = [python, "-m", f"benchmarks.{module}", *map(str, words)]
    busy, own, started = busy_seconds(), own_seconds(), time.perf_counter()
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise UsageError(f"{' '.join(command)}: expected a result, found:\n{result.stderr[-2000:]}")
    all_cores = (time.perf_counter() - started) * (os.cpu_count() or 1)
    others = (busy_seconds() - busy - (own_seconds() - own)) / all_cores
    found = {**json.loads(result.stdout.splitlines()[-1]), "others": round(max(0.0, others), 3)}
    print(f"{' '.join(command[2:4])} {words}: {found}", file=sys.stderr, flush=True)
    return found


def timed(config: SceneConfig, folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Returns all rounds of all timed runs by name."""
    found: dict[str, list[dict[str, Any]]] = {}
    for number in range(config.rounds):
        for overlap in OVERLAPS:
            out = folder / f"map{number}_{overlap}"
            ours = measured(
                sys.executable,
                "scene_map",
                folder / "scene.tif",
                folder / "run",
                out,
                overlap,
                config.filters,
            )
            found.setdefault(f"mmls_tf, overlap {overlap}", []).append(ours)
            if config.torch_python:
                theirs = measured(
                    config.torch_python,
                    "torch_scene",
                    folder / "scene.npy",
                    overlap,
                    ours["precision"],
                    config.filters,
                )
                found.setdefault(f"PyTorch, overlap {overlap}", []).append(theirs)
    return found


def summary(found: dict[str, list[dict[str, Any]]], megapixels: float) -> dict[str, Any]:
    """Returns medians, and ratios round by round."""
    result: dict[str, Any] = {}
    for name, rounds in found.items():
        result[name] = {
            "megapixels_per_second": _spread([megapixels / one["seconds"] for one in rounds]),
            "peak_memory_mb": max(one["peak_memory_mb"] for one in rounds),
            "rounds": rounds,
        }
        if "bare_seconds" in rounds[0]:
            result[name]["whole / bare forward passes"] = _spread(
                [one["seconds"] / one["bare_seconds"] for one in rounds]
            )
    for overlap in OVERLAPS:
        ours, theirs = (found.get(f"{side}, overlap {overlap}") for side in ("mmls_tf", "PyTorch"))
        if ours and theirs:
            ratios = [one["seconds"] / other["seconds"] for one, other in zip(theirs, ours, strict=True)]
            result[f"speed of mmls_tf / PyTorch, overlap {overlap}"] = _spread(ratios)
    return result


def _spread(values: list[float]) -> dict[str, Any]:
    digits = 3 - math.ceil(math.log10(max(abs(value) for value in values)))
    return {
        "median": round(statistics.median(values), digits),
        "rounds": [round(value, digits) for value in values],
    }


def main() -> None:
    """Makes the scenes, runs everything, and writes the result."""
    config = config_from_flags(SceneConfig)
    with tempfile.TemporaryDirectory(prefix="scene-") as name:
        folder = Path(name)
        write_scenes(folder, config)
        megapixels = config.rows * config.columns / 1e6
        result: dict[str, Any] = {
            "command": command_line(),
            "cores": os.cpu_count(),
            "versions": versions(config.torch_python) if config.torch_python else {},
            "scene": f"{config.rows} rows x {config.columns} columns",
            **summary(timed(config, folder), megapixels),
        }
        if config.large_rows:
            large = measured(
                sys.executable,
                "scene_map",
                folder / "large.vrt",
                folder / "run",
                folder / "large",
                0.0,
                config.filters,
            )
            result["large scene"] = {
                "size": f"{config.large_rows} rows x {config.large_columns} columns",
                **large,
            }
    write_json(Path(config.out), result)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    define_flags(SceneConfig)
    run(main)
