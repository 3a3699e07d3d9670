"""Verifies a data set: `python -m tfrecords_builder.verify --data=data/ --src=raw/`."""

from __future__ import annotations

from pathlib import Path

from mmls_tf.entry import config_from_flags, define_flags, run
from mmls_tf.errors import DatasetError
from tfrecords_builder.verify.config import VerifyConfig

define_flags(VerifyConfig)


def main() -> None:
    """Verifies what the flags describe; raises DatasetError with everything that is wrong."""
    config = config_from_flags(VerifyConfig)
    from tfrecords_builder.stored import open_stored
    from tfrecords_builder.verify.check import verify_sources, verify_stored

    data = Path(config.data)
    manifest = open_stored(data)
    problems = list(verify_stored(data, manifest))
    if config.src:
        problems += verify_sources(data, manifest, Path(config.src), config.drivers)
    if problems:
        raise DatasetError(f"{data}: {len(problems)} problems:\n  " + "\n  ".join(problems))
    shards = sum(len(split.shards) for split in manifest.splits)
    compared = f", and each is what its files under {config.src} give" if config.src else ""
    print(f"{data}: {len(manifest.tiles)} tiles in {shards} shards are as stated{compared}")


if __name__ == "__main__":
    run(main)
