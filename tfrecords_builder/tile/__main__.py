"""Cuts a mosaic: `python -m tfrecords_builder.tile --scene mosaic.tif --polygons slides.gpkg --out raw`."""

from __future__ import annotations

from mmls_tf.entry import config_from_flags, define_flags, run
from tfrecords_builder.tile.config import TileConfig
from tfrecords_builder.tile.cut import cut_scene
from tfrecords_builder.tile.summary import summary

define_flags(TileConfig)


def main() -> None:
    """Cuts what the flags describe and prints a summary."""
    config = config_from_flags(TileConfig)
    print(summary(config, cut_scene(config)))


if __name__ == "__main__":
    run(main)
