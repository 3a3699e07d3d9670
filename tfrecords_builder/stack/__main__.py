"""Makes a mosaic: `python -m tfrecords_builder.stack --dem dem.tif --red colour.tif:1 ... --out mosaic.tif`."""

from __future__ import annotations

from mmls_tf.entry import config_from_flags, define_flags, run
from tfrecords_builder.stack.config import StackConfig
from tfrecords_builder.stack.stack import make_mosaic
from tfrecords_builder.stack.summary import summary

define_flags(StackConfig)


def main() -> None:
    """Writes the mosaic that the flags describe and prints a summary."""
    config = config_from_flags(StackConfig)
    print(summary(config, make_mosaic(config)))


if __name__ == "__main__":
    run(main)
