"""Data sets whose labels are the opposite of what they were, to see whom they reach."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mmls_tf.data.dataset import Dataset, open_dataset
from mmls_tf.example import decode_example, encode_example
from mmls_tf.tfrecord import read_records, write_records


def poisoned(data: Path, splits: tuple[str, ...], only: str = "") -> Dataset:
    """Turns every label of some splits around, or those of one tile by its key, under the same manifest."""
    for split in splits:
        for shard in (data / split).glob("*.tfrecord"):
            records = [decode_example(record) for record in read_records(shard)]
            for record in records:
                if not only or record["key"].decode() == only:
                    record["mask"] = (1 - np.frombuffer(record["mask"], np.uint8)).tobytes()
            write_records(shard, [encode_example(record) for record in records])
    return open_dataset(data)
