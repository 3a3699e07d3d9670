"""Records -> tiles in NumPy: for data that is held in memory, under any backend and without TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mmls_tf.bands import BANDS
from mmls_tf.data.dataset import Dataset
from mmls_tf.errors import DatasetError
from mmls_tf.example import decode_example
from mmls_tf.schema import UNKNOWN_LABEL
from mmls_tf.tfrecord import DamageError, read_records


@dataclass(frozen=True)
class Tile:
    """A parsed record.

    Attributes:
      key: SPLIT/STEM.
      image: float32 [size, size, 7], canonical values, 0.0 where invalid.
      valid: uint8 [size, size], 1 where every band has data.
      mask: uint8 [size, size], 0, 1 or 255 (unknown); all 255 if the record has no mask.
    """

    key: str
    image: npt.NDArray[np.float32]
    valid: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.uint8]


def read_tiles(dataset: Dataset, split: str) -> Iterator[Tile]:
    """Yields the tiles of a split, in the order of its shards.

    Raises:
      DatasetError: a shard is damaged, short, or holds something else than records of this schema.
    """
    size, count = dataset.manifest.tile_size, 0
    for path in dataset.shard_files(split):
        try:
            for record in read_records(Path(path)):
                tile = _parse(record, size)
                if dataset.has(tile.key, split):
                    yield tile
                    count += 1
        except (DamageError, ValueError, KeyError) as error:
            raise DatasetError(f"{path}: expected records of mmls_tf.schema, found {error}") from error
    if count != dataset.tiles(split):
        raise DatasetError(f"{dataset.root}: expected {dataset.tiles(split)} tiles in {split}, found {count}")


def _parse(record: bytes, size: int) -> Tile:
    features = decode_example(record)
    plane = (size, size)
    mask = features.get("mask")
    return Tile(
        key=features["key"].decode(),
        image=np.frombuffer(features["image"], "<f4").reshape(*plane, len(BANDS)),
        valid=np.frombuffer(features["valid"], np.uint8).reshape(plane),
        mask=np.full(plane, UNKNOWN_LABEL, np.uint8)
        if mask is None
        else np.frombuffer(mask, np.uint8).reshape(plane),
    )
