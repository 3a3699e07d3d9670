"""Opens a data set that the builder made, and refuses one that its manifest does not match."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmls_tf.errors import DatasetError
from mmls_tf.schema import (
    MANIFEST_NAME,
    TRAINING_SPLITS,
    Manifest,
    SplitEntry,
    read_manifest,
    shard_problem,
)


@dataclass(frozen=True)
class Dataset:
    """A folder and the manifest in it.

    Attributes:
      dealt: split by key for tiles of train and val that were dealt anew; empty: as the manifest says.
    """

    root: Path
    manifest: Manifest
    dealt: Mapping[str, str] = field(default_factory=dict)

    def split(self, name: str) -> SplitEntry:
        """Returns a split's entry.

        Raises:
          DatasetError: the data set has no such split.
        """
        split = self.manifest.split(name)
        if split is None:
            there = ", ".join(entry.name for entry in self.manifest.splits)
            raise DatasetError(f"{self.root}: expected a split {name!r}, found {there}")
        return split

    def labelled_split(self, name: str) -> SplitEntry:
        """Returns the entry of a split that has masks.

        Raises:
          DatasetError: there is no such split, or its tiles have no masks.
        """
        split = self.split(name)
        if not split.labelled:
            raise DatasetError(
                f"{self.root}: expected masks in split {name!r}, found images only (its masks were withheld, or "
                "were not in the source folder when the data set was built); it can be predicted, not scored"
            )
        return split

    def tiles(self, name: str) -> int:
        """Returns the number of tiles in a split."""
        if self.dealt and name in TRAINING_SPLITS:
            return sum(split == name for split in self.dealt.values())
        return self.split(name).tiles

    def has(self, key: str, name: str) -> bool:
        """Returns whether a tile, SPLIT/STEM, belongs to a split."""
        if self.dealt and name in TRAINING_SPLITS:
            return self.dealt.get(key) == name
        return key.partition("/")[0] == name

    def shard_files(self, name: str) -> list[str]:
        """Returns the paths of the shards that hold a split; where it was dealt anew, they hold others' tiles too."""
        names = TRAINING_SPLITS if self.dealt and name in TRAINING_SPLITS else (name,)
        return [str(self.root / shard.path) for part in names for shard in self.split(part).shards]


def open_dataset(root: Path) -> Dataset:
    """Opens the data set at `root` by its manifest.

    Raises:
      DatasetError: there is none, or its manifest cannot be read.
    """
    path = root / MANIFEST_NAME
    if not path.is_file():
        raise DatasetError(
            f"{root}: expected a data set with {MANIFEST_NAME}, found none; "
            f"build one with `python -m tfrecords_builder --src raw/ --out {root}`"
        )
    try:
        return Dataset(root, read_manifest(path))
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"{path}: expected a manifest of this version of mmls_tf, found {error}"
        ) from error


def verify_splits(dataset: Dataset, names: Sequence[str]) -> None:
    """Compares every shard of the splits with the manifest: presence, size, SHA-256.

    A shard that was cut at a record boundary reads short without any error, so the hash is worth its time
    (about a second for 1 GB).

    Raises:
      DatasetError: lists the shards that differ.
    """
    problems = []
    for name in names:
        split = dataset.split(name)
        if split.tiles != sum(shard.records for shard in split.shards):
            problems.append(f"split {name}: {split.tiles} tiles, but its shards hold another number")
        problems += [problem for shard in split.shards if (problem := shard_problem(dataset.root, shard))]
    if problems:
        raise DatasetError(
            f"{dataset.root}: does not match its manifest; build it again:\n  " + "\n  ".join(problems)
        )
