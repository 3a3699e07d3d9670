"""Times the builder beside a plain loop over the same files, in turn, every run in a process of its own.

    python -m benchmarks.builder --src=raw [--public=raw_public] [--rounds=3] [--many=5000]

The plain loop is what a user would write first: gdal.Open, ReadAsArray, tf.train.Example with raw bytes,
TFRecordWriter; no checks, no hashes, no statistics, no manifest. What a side needs (GDAL; for the loop TensorFlow)
is imported, and one file is read, before the clock starts. `--many` builds that many tiles (copies of the files of
--src, moved) to see what memory does. Prints one JSON object; ratios are of runs that follow one another.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from osgeo import gdal

from mmls_tf.entry import config_from_flags, define_flags, option, run

_APART_M = 1e7  # more than the train tiles span


@dataclass(frozen=True)
class BenchmarkConfig:
    """What to build, how often."""

    src: str = option(None, "Folder of challenge GeoTIFFs, as for the builder.")
    public: str = option("", "The same tiles in the public layout; empty: not timed.")
    rounds: int = option(3, "Rounds of all variants in turn, after one that is not counted.")
    many: int = option(0, "Number of tiles of the largest build; a tenth of it is built beside it. 0: none.")


_SETUP = """
import json, resource, sys, time
from pathlib import Path
from osgeo import gdal
from tfrecords_builder.build import build
from tfrecords_builder.config import BuildConfig
gdal.UseExceptions()
if sys.argv[3] == "0":
    from mmls_tf.quiet import load_tensorflow
    load_tensorflow()
    import tensorflow as tf
src, out, workers = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])

def plain():
    def feature(value):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
    for split in sorted(path for path in src.iterdir() if path.is_dir()):
        with tf.io.TFRecordWriter(str(out / f"{split.name}.tfrecord")) as writer:
            for image in sorted((split / "images").iterdir()):
                bands = gdal.Open(str(image)).ReadAsArray()
                mask = gdal.Open(str(split / "masks" / image.name)).ReadAsArray()
                features = {"image": feature(bands.tobytes()), "mask": feature(mask.tobytes())}
                example = tf.train.Example(features=tf.train.Features(feature=features))
                writer.write(example.SerializeToString())

def ours():
    build(BuildConfig(src=str(src), out=str(out / "data"), workers=workers), "benchmark")

gdal.Open(str(next((src / "train/images").iterdir())))
started = time.perf_counter()
plain() if workers == 0 else ours()
seconds = time.perf_counter() - started
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
size = sum(path.stat().st_size for path in out.rglob("*.tfrecord"))
print(json.dumps({"seconds": seconds, "peak_mib": peak, "megabytes": size / 1e6}))
"""


def measure(src: Path, workers: int) -> dict[str, float]:
    """Builds `src` once in a new process; 0 workers is the plain loop."""
    with tempfile.TemporaryDirectory() as out:
        words = [sys.executable, "-c", _SETUP, str(src), out, str(workers)]
        result = subprocess.run(words, capture_output=True, text=True, check=True)
    return dict(json.loads(result.stdout))


def multiply(src: Path, out: Path, tiles: int) -> None:
    """Fills `out` with copies of the train tiles of `src`, each set of copies at places of its own on the map."""
    names = sorted(path.name for path in (src / "train/images").iterdir())
    for kind in ("images", "masks"):
        (out / "train" / kind).mkdir(parents=True)
    for number in range(tiles):
        copy, name = number // len(names), names[number % len(names)]
        for kind in ("images", "masks"):
            target = out / "train" / kind / f"copy{copy:04d}_{name}"
            shutil.copyfile(src / "train" / kind / name, target)
            dataset = gdal.Open(str(target), gdal.GA_Update)
            west, *rest = dataset.GetGeoTransform()
            dataset.SetGeoTransform((west + copy * _APART_M, *rest))
            dataset.FlushCache()


def summarise(runs: list[dict[str, float]], tiles: int, plain: list[float] | None) -> dict[str, Any]:
    """Medians of one variant, its spread, and its ratio to the plain loop pair by pair."""
    seconds = [round(run["seconds"], 2) for run in runs]
    result = {
        "seconds": seconds,
        "tiles_per_second": round(tiles / statistics.median(seconds), 1),
        "peak_mib": round(max(run["peak_mib"] for run in runs)),
        "megabytes": round(runs[0]["megabytes"], 1),
    }
    if plain:
        result["speed_over_plain"] = [round(p / s, 2) for p, s in zip(plain, seconds, strict=True)]
    return result


def main() -> None:
    """Times all variants in turn and prints the result."""
    config = config_from_flags(BenchmarkConfig)
    src = Path(config.src)
    tiles = len(list(src.glob("*/images/*.tif")))
    variants = {"plain loop": (src, 0), "builder, 1 worker": (src, 1), "builder, 2 workers": (src, 2)}
    if config.public:
        variants["builder, public layout, 2 workers"] = (Path(config.public), 2)
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in variants}
    for number in range(-1, config.rounds):
        for name, (folder, workers) in variants.items():
            found = measure(folder, workers)
            if number >= 0:
                runs[name].append(found)
    plain = [run["seconds"] for run in runs["plain loop"]]
    result: dict[str, Any] = {"tiles": tiles, "cores": os.cpu_count()}
    for name, found_runs in runs.items():
        result[name] = summarise(found_runs, tiles, None if name == "plain loop" else plain)
    for count in (config.many // 10, config.many) if config.many else ():
        with tempfile.TemporaryDirectory(dir=src.parent) as folder:
            multiply(src, Path(folder), count)
            result[f"{count} tiles, 2 workers"] = summarise([measure(Path(folder), 2)], count, None)
    print(json.dumps(result, indent=1))


gdal.UseExceptions()

if __name__ == "__main__":
    define_flags(BenchmarkConfig)
    run(main)
