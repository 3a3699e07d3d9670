"""Generates the sample: `python -m tfrecords_builder.sample --out raw_sample`."""

from __future__ import annotations

from mmls_tf.entry import config_from_flags, define_flags, run
from tfrecords_builder.sample.config import SampleConfig
from tfrecords_builder.sample.write import write_sample

define_flags(SampleConfig)


def main() -> None:
    """Writes the sample that the flags describe and prints the tiles of every split."""
    config = config_from_flags(SampleConfig)
    counts = write_sample(config)
    print(f"{config.out}: " + ", ".join(f"{split} {tiles}" for split, tiles in counts.items()))


if __name__ == "__main__":
    run(main)
