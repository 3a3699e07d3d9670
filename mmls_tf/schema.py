"""The contract on disk between the builder and everything that reads its data sets.

A data set is a folder:

    OUT/dataset.json                                the manifest, written last: without it there is no data set
    OUT/SPLIT/SPLIT-00000-of-00004.tfrecord         shards of train, val and test
    OUT/isolated/isolated-00000-of-00002.tfrecord   the isolated split, and the ledger of its evaluations

A record is a `tf.train.Example` of bytes features:

    key           SPLIT/STEM of the source file
    image         float32 little-endian [height, width, 7], canonical bands, 0.0 where invalid
    valid         uint8 [height, width], 1 where every band has data
    mask          uint8 [height, width], 0 background, 1 landslide, 255 label unknown; absent if unlabelled
    geotransform  six float64 little-endian (a TFRecord float list would lose half a metre); absent if unknown
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCHEMA_VERSION = 1
SPLITS = ("train", "val", "test", "isolated")
TRAINING_SPLITS = ("train", "val")
MANIFEST_NAME = "dataset.json"
LEDGER_NAME = "ledger.jsonl"
UNKNOWN_LABEL = 255


def shard_path(split: str, index: int, count: int) -> str:
    """Returns a shard's path inside the data set."""
    return f"{split}/{split}-{index:05d}-of-{count:05d}.tfrecord"


@dataclass(frozen=True)
class ShardEntry:
    """One shard as it was written: path inside the data set, records, size and SHA-256."""

    path: str
    records: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class TileEntry:
    """One tile: where it came from, what it holds, where it lies."""

    key: str
    split: str
    image: str
    image_sha256: str
    mask: str | None
    mask_sha256: str | None
    record_sha256: str
    foreground_pixels: int | None
    labelled_pixels: int
    valid_pixels: int
    geotransform: tuple[float, ...] | None


@dataclass(frozen=True)
class SplitEntry:
    """One split: whether it has masks, its totals, its shards."""

    name: str
    labelled: bool
    tiles: int
    foreground_share: float | None
    valid_share: float
    shards: tuple[ShardEntry, ...]


@dataclass(frozen=True)
class BandStatistics:
    """Statistics of one band over the valid pixels of the train split, in canonical values."""

    band: str
    pixels: int
    mean: float
    std: float
    min: float
    max: float


@dataclass(frozen=True)
class Manifest:
    """All that `dataset.json` says. `fingerprint` depends on the records alone, not on their sharding."""

    schema_version: int
    fingerprint: str
    layout: str
    tile_size: int
    bands: tuple[dict[str, Any], ...]
    crs_wkt: str | None
    splits: tuple[SplitEntry, ...]
    statistics: tuple[BandStatistics, ...]
    tiles: tuple[TileEntry, ...]
    versions: dict[str, str]
    command: str

    def split(self, name: str) -> SplitEntry | None:
        """Returns the split of that name, None where the data set has none."""
        return next((split for split in self.splits if split.name == name), None)

    def to_json(self) -> str:
        """Returns the text of `dataset.json`."""
        return json.dumps(dataclasses.asdict(self), indent=1) + "\n"

    @staticmethod
    def from_json(text: str) -> Manifest:
        """Reads what `to_json` wrote.

        Raises:
          ValueError, KeyError, TypeError: the text is not a manifest of this schema version.
        """
        fields = json.loads(text)
        if fields["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"schema version {fields['schema_version']}, not {SCHEMA_VERSION}")
        splits = tuple(
            SplitEntry(**{**split, "shards": tuple(ShardEntry(**shard) for shard in split["shards"])})
            for split in fields["splits"]
        )
        statistics = tuple(BandStatistics(**band) for band in fields["statistics"])
        tiles = tuple(TileEntry(**tile) for tile in fields["tiles"])
        bands = tuple(fields["bands"])
        return Manifest(
            **{**fields, "bands": bands, "splits": splits, "statistics": statistics, "tiles": tiles}
        )


def read_manifest(path: Path) -> Manifest:
    """Reads a manifest file; errors as in `Manifest.from_json`, and OSError."""
    return Manifest.from_json(path.read_text(encoding="utf-8"))
