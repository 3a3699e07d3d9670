"""Builds a data set: `python -m tfrecords_builder --src raw/ --out data`."""

from __future__ import annotations

from mmls_tf.entry import command_line, config_from_flags, define_flags, run
from mmls_tf.quiet import load_tensorflow
from tfrecords_builder.config import BuildConfig

define_flags(BuildConfig)


def main() -> None:
    """Builds what the flags describe and prints a summary."""
    config = config_from_flags(BuildConfig)
    load_tensorflow()
    from tfrecords_builder.build import build  # after TensorFlow, so that its start stays quiet
    from tfrecords_builder.summary import summary

    manifest, seconds = build(config, command_line())
    print(summary(manifest, seconds, config.out))


if __name__ == "__main__":
    run(main)
