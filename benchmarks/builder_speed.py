"""Times the builder beside a plain loop over the same files, in turn, in one process.

    python -m benchmarks.builder_speed --src=raw [--rounds=3]

The plain loop is what a user would write first: gdal.Open, ReadAsArray, tf.train.Example with raw bytes,
TFRecordWriter; no checks, no hashes, no statistics, no manifest. TensorFlow is imported before the clock starts.
Prints one JSON object: seconds a round for both, and the ratio of each pair.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from mmls_tf.entry import config_from_flags, define_flags, option, run
from mmls_tf.quiet import load_tensorflow


@dataclass(frozen=True)
class SpeedConfig:
    """What to build, how often."""

    src: str = option(None, "Folder of challenge GeoTIFFs, as for the builder.")
    rounds: int = option(3, "Rounds of plain loop and builder in turn.")
    workers: int = option(0, "Worker threads of the builder, as its flag.")


def plain_loop(src: Path, out: Path) -> None:
    """Writes all tiles into one file a split."""
    import tensorflow as tf
    from osgeo import gdal

    gdal.UseExceptions()

    def feature(value: bytes) -> tf.train.Feature:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    for split in sorted(path for path in src.iterdir() if path.is_dir()):
        with tf.io.TFRecordWriter(str(out / f"{split.name}.tfrecord")) as writer:
            for image in sorted((split / "images").iterdir()):
                bands = gdal.Open(str(image)).ReadAsArray()
                mask = gdal.Open(str(split / "masks" / image.name)).ReadAsArray()
                features = {"image": feature(bands.tobytes()), "mask": feature(mask.tobytes())}
                example = tf.train.Example(features=tf.train.Features(feature=features))
                writer.write(example.SerializeToString())


def builder(src: Path, out: Path, workers: int) -> None:
    """Builds the data set as the command does."""
    from tfrecords_builder.build import build
    from tfrecords_builder.config import BuildConfig

    build(BuildConfig(src=str(src), out=str(out / "data"), workers=workers), "benchmark")


def main() -> None:
    """Times both in turn and prints the result."""
    config = config_from_flags(SpeedConfig)
    load_tensorflow()
    src = Path(config.src)
    tiles = len(list(src.glob("*/images/*.tif")))
    seconds: dict[str, list[float]] = {"plain": [], "builder": []}
    for counted in range(-1, config.rounds):  # the first round warms the page cache and is dropped
        for name in seconds:
            with tempfile.TemporaryDirectory() as folder:
                started = time.perf_counter()
                if name == "plain":
                    plain_loop(src, Path(folder))
                else:
                    builder(src, Path(folder), config.workers)
                if counted >= 0:
                    seconds[name].append(round(time.perf_counter() - started, 3))
    ratios = [b / p for b, p in zip(seconds["builder"], seconds["plain"], strict=True)]
    result = {
        "tiles": tiles,
        "cores": os.cpu_count(),
        "workers": config.workers,
        "seconds": seconds,
        "tiles_per_second": {name: round(tiles / statistics.median(times), 1) for name, times in seconds.items()},
        "builder_over_plain": [round(ratio, 3) for ratio in ratios],
    }
    print(json.dumps(result, indent=1))


define_flags(SpeedConfig)

if __name__ == "__main__":
    run(main)
