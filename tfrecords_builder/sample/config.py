"""The flags of `python -m tfrecords_builder.sample`."""

from __future__ import annotations

from dataclasses import dataclass

from mmls_tf.entry import option
from mmls_tf.errors import UsageError

SPLITS = ("train", "val", "test", "isolated")
MIN_TILE_SIZE = 16
MAX_REGION_PIXELS = 1 << 24  # regions are made in memory, and may not grow into each other on the map


@dataclass(frozen=True)
class SampleConfig:
    """What to generate and where; every field is a flag.

    Raises:
      UsageError: a count, the tile size or the seed is out of range.
    """

    out: str = option(None, "folder to write, with train/, val/, test/ and isolated/ in the challenge layout")
    seed: int = option(0, "seed of the terrain, the landslides and the splits; 0 or more")
    tile_size: int = option(128, f"height and width of a tile in pixels, at least {MIN_TILE_SIZE}")
    train: int = option(144, "number of train tiles, at least 1")
    val: int = option(24, "number of val tiles, from the same region as train")
    test: int = option(24, "number of test tiles, from the same region as train")
    isolated: int = option(24, "number of isolated tiles, from a region of their own")
    overwrite: bool = option(False, "replace an earlier sample in OUT")

    def __post_init__(self) -> None:
        least = {"seed": 0, "tile_size": MIN_TILE_SIZE, "train": 1, "val": 0, "test": 0, "isolated": 0}
        for name, lowest in least.items():
            if getattr(self, name) < lowest:
                raise UsageError(f"--{name}: expected {lowest} or more, found {getattr(self, name)}")
        if not self.out:
            raise UsageError("--out: expected a folder to write, found nothing; pass --out raw_sample, say")
        for names, tiles in (("--train + --val + --test", self.base), ("--isolated", self.isolated)):
            if tiles * self.tile_size**2 > MAX_REGION_PIXELS:
                raise UsageError(
                    f"{names}: expected at most {MAX_REGION_PIXELS // self.tile_size**2} tiles of "
                    f"--tile_size={self.tile_size}, found {tiles}; ask for fewer or smaller tiles"
                )

    @property
    def base(self) -> int:
        """The number of tiles of the base region, which train, val and test share."""
        return self.train + self.val + self.test
