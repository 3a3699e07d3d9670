"""The configuration of a verification."""

from __future__ import annotations

from dataclasses import dataclass

from mmls_tf.entry import option


@dataclass(frozen=True)
class VerifyConfig:
    """What to verify. Every field is a flag of `python -m tfrecords_builder.verify`."""

    data: str = option(None, "Data set made by tfrecords_builder.")
    src: str = option(
        "", "Source folder that it was built from, to compare every tile with its files; empty: not."
    )
    drivers: str = option("GTiff", "GDAL drivers that may open source files, joined by commas.")
