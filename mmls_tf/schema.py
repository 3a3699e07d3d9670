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
    halo_image    float32 [height + 2 halo, width + 2 halo, 7], only if the manifest's `halo` is not 0
    halo_valid    uint8 [height + 2 halo, width + 2 halo], likewise
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
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
class Place:
    """The upper left corner of a tile in pixels, x to the east and y to the south.

    Attributes:
      frame: tiles of one frame can be compared: `map PIXELSIZE` by georeference, `grid REGION` by name.
      pixel_m: size of a pixel in metres; None where it is not known.
    """

    frame: str
    x: float
    y: float
    pixel_m: float | None


@dataclass(frozen=True)
class Skipped:
    """A tile that was left out of the data set because it could not be used, and what was wrong with it."""

    path: str
    expected: str
    found: str


@dataclass(frozen=True)
class TileEntry:
    """One tile: where it came from, what it holds, where it lies.

    Attributes:
      place: None where it is not known.
      neighbours: tiles that abut it exactly, by direction (N, NE, E, SE, S, SW, W, NW); keys say their splits.
      train_overlap: largest share of its pixels that it has in common with one train tile (itself apart).
      touches_train: whether it shares an edge or pixels with a train tile (itself apart).
    """

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
    place: Place | None = None
    neighbours: dict[str, str] = field(default_factory=dict)
    train_overlap: float = 0.0
    touches_train: bool = False


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
    """All that `dataset.json` says. `fingerprint` depends on the records alone, not on their sharding.

    Attributes:
      scaling: mmlsv2 for canonical values as in `mmls_tf.bands`, mmls_v1 for the older release's own.
      halo: pixels of surroundings in each record; 0 for none.
      split_by: how tiles were dealt to splits, with the parameters.
      skipped: what was left out with --on_error=skip.
    """

    schema_version: int
    fingerprint: str
    layout: str
    scaling: str
    tile_size: int
    halo: int
    split_by: str
    bands: tuple[dict[str, Any], ...]
    crs_wkt: str | None
    splits: tuple[SplitEntry, ...]
    statistics: tuple[BandStatistics, ...]
    tiles: tuple[TileEntry, ...]
    skipped: tuple[Skipped, ...]
    versions: dict[str, str]
    command: str

    def split(self, name: str) -> SplitEntry | None:
        """Returns the split of that name, None where the data set has none."""
        return next((split for split in self.splits if split.name == name), None)

    def to_json(self) -> str:
        """Returns the text of `dataset.json`."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        tiles = fields.pop("tiles")
        head = json.dumps(fields, indent=1, default=vars).removesuffix("\n}")
        # One tile a line: a million of them are still written in seconds, and `grep` finds one.
        lines = ",\n  ".join(json.dumps(vars(tile), default=vars) for tile in tiles)
        return f'{head},\n "tiles": [\n  {lines}\n ]\n}}\n'

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
        tiles = tuple(
            TileEntry(**{**tile, "place": Place(**tile["place"]) if tile["place"] else None})
            for tile in fields["tiles"]
        )
        skipped = tuple(Skipped(**tile) for tile in fields["skipped"])
        bands = tuple(fields["bands"])
        return Manifest(
            **{
                **fields,
                "bands": bands,
                "splits": splits,
                "statistics": statistics,
                "tiles": tiles,
                "skipped": skipped,
            }
        )


def read_manifest(path: Path) -> Manifest:
    """Reads a manifest file; errors as in `Manifest.from_json`, and OSError."""
    return Manifest.from_json(path.read_text(encoding="utf-8"))


def shard_problem(root: Path, shard: ShardEntry) -> str | None:
    """Returns how a shard on disk differs from its entry (presence, size, SHA-256), None where it does not."""
    path = root / shard.path
    if not path.is_file():
        return f"{shard.path}: expected a file, found none"
    size = path.stat().st_size
    if size != shard.bytes:
        return f"{shard.path}: expected {shard.bytes} bytes, found {size}"
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(1 << 22):
            digest.update(chunk)
    if digest.hexdigest() != shard.sha256:
        return f"{shard.path}: expected SHA-256 {shard.sha256[:12]}..., found {digest.hexdigest()[:12]}..."
    return None
