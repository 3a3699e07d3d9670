"""The configuration of a build."""

from __future__ import annotations

import os
from dataclasses import dataclass

from mmls_tf.entry import option
from mmls_tf.errors import UsageError
from mmls_tf.raster.layouts import LAYOUTS


@dataclass(frozen=True)
class BuildConfig:
    """What to build, from what, to where. Every field is a flag of `python -m tfrecords_builder`."""

    src: str = option(None, "Folder with {train,val,test,isolated}/{images,masks}/*.tif.")
    out: str = option("data", "Folder of the data set; it must not exist yet, or be empty.")
    layout: str = option(
        "auto",
        "Form of the source files; auto recognises it from the files. "
        + " ".join(f"{layout.name}: {layout.about}." for layout in LAYOUTS.values()),
        ("auto", *LAYOUTS),
    )
    tile_size: int = option(128, "Height and width that every tile must have, in pixels.")
    shard_mb: int = option(32, "Largest size of a shard, in megabytes of 10^6 bytes.")
    workers: int = option(0, "Threads that read and check tiles; 0: one a core, at most 8.")
    on_error: str = option(
        "fail", "What to do with bad input; fail: list all of it and write nothing.", ("fail",)
    )
    overwrite: bool = option(False, "Replace a data set at --out; its ledger of isolated evaluations stays.")

    def __post_init__(self) -> None:
        for name, least in (("tile_size", 8), ("shard_mb", 1), ("workers", 0)):
            if getattr(self, name) < least:
                raise UsageError(f"--{name}={getattr(self, name)}: expected {least} or more")

    @property
    def threads(self) -> int:
        """The number of worker threads."""
        return self.workers or min(8, os.cpu_count() or 1)
