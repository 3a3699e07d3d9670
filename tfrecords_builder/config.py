"""The configuration of a build."""

from __future__ import annotations

import os
from dataclasses import dataclass

from mmls_tf.entry import option
from mmls_tf.errors import UsageError
from mmls_tf.raster.layouts import LAYOUTS
from tfrecords_builder.sources import split_names_help
from tfrecords_builder.splits import METHODS, parse_shares

RUNNERS = ("local", "beam")


@dataclass(frozen=True)
class BuildConfig:
    """What to build, from what, to where. Every field is a flag of `python -m tfrecords_builder`."""

    src: str = option(None, f"Folder of split folders with images and masks. {split_names_help()}")
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
        "fail",
        "What to do with bad input. fail: list all of it, write nothing, exit code 2. skip: leave those tiles out, "
        "list them on the screen and in the manifest, exit code 3.",
        ("fail", "skip"),
    )
    overwrite: bool = option(False, "Replace a data set at --out; its ledger of isolated evaluations stays.")
    check_order: bool = option(
        True, "Check the order of bands by their values and by slope = Horn(elevation)."
    )
    drivers: str = option(
        "GTiff", "GDAL drivers that may open files, joined by commas, such as GTiff,JP2OpenJPEG."
    )
    split_by: str = option(
        "folders",
        "Who goes into which split. folders: as found. random, blocks (contiguous along the map): tiles of all "
        "labelled folders are pooled and dealt anew by --shares; unlabelled folders stay as they are.",
        METHODS,
    )
    shares: str = option(
        "train=0.7,val=0.1,test=0.1,isolated=0.1", "Shares of the splits for random and blocks."
    )
    split_seed: int = option(0, "Seed of the dealing for random and blocks.")
    buffer_tiles: float = option(1.0, "Least gap between blocks, in tiles.")
    buffer_km: float = option(0.0, "Least gap between blocks in kilometres; the larger of both counts.")
    dry_run: bool = option(
        False, "Check all tiles and show the splits with their band shifts; write nothing."
    )
    halo: int = option(
        0, "Pixels of surroundings to store with each tile, taken from the images of other tiles."
    )
    halo_from: str = option(
        "split",
        "Which tiles lend pixels to the halo. split: those of the same split. all: those of all splits but "
        "isolated, which takes from itself only.",
        ("split", "all"),
    )
    runner: str = option("local", "local: threads of this process. beam: an Apache Beam pipeline.", RUNNERS)
    beam_args: str = option("", "Arguments for Beam, such as '--runner=FlinkRunner --parallelism=8'.")

    def __post_init__(self) -> None:
        least = {"tile_size": 8, "shard_mb": 1, "workers": 0, "halo": 0, "buffer_tiles": 0, "buffer_km": 0}
        for name, smallest in least.items():
            if not getattr(self, name) >= smallest:
                raise UsageError(f"--{name}={getattr(self, name)}: expected {smallest} or more")
        if self.halo > self.tile_size:
            raise UsageError(f"--halo={self.halo}: expected at most the tile size, {self.tile_size}")
        if self.beam_args and self.runner != "beam":
            raise UsageError(
                f"--beam_args={self.beam_args}: only --runner=beam takes them, found {self.runner}"
            )
        parse_shares(self.shares)

    @property
    def threads(self) -> int:
        """The number of worker threads."""
        return self.workers or min(8, os.cpu_count() or 1)

    @property
    def split_description(self) -> str:
        """How tiles are dealt to splits, for the manifest."""
        if self.split_by == "folders":
            return "folders"
        text = f"{self.split_by} {self.shares} seed {self.split_seed}"
        if self.split_by == "random":
            return text
        return f"{text} buffer {self.buffer_tiles:g} tiles {self.buffer_km:g} km"
