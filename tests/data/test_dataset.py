"""A data set that its manifest does not match is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tensorflow as tf

from mmls_tf.data.dataset import open_dataset, verify_splits
from mmls_tf.errors import DatasetError


def verify(root: Path) -> None:
    verify_splits(open_dataset(root), ("train", "val"))


def a_train_shard(root: Path) -> Path:
    return sorted((root / "train").glob("*.tfrecord"))[0]


def test_a_data_set_as_built_is_accepted(built_data: Path) -> None:
    verify(built_data)


def test_a_missing_shard_is_named(own_data: Path) -> None:
    a_train_shard(own_data).unlink()
    with pytest.raises(DatasetError, match=r"train-00000-of-00001\.tfrecord: expected a file, found none"):
        verify(own_data)


def test_a_shard_cut_at_a_record_boundary_is_refused_though_it_reads_without_error(own_data: Path) -> None:
    shard = a_train_shard(own_data)
    records = list(tf.data.TFRecordDataset(str(shard)).as_numpy_iterator())
    with tf.io.TFRecordWriter(str(shard)) as writer:
        for record in records[:-1]:
            writer.write(record)
    assert len(list(tf.data.TFRecordDataset(str(shard)).as_numpy_iterator())) == len(records) - 1
    with pytest.raises(DatasetError, match=r"train-00000-of-00001\.tfrecord: expected \d+ bytes"):
        verify(own_data)


def test_a_flipped_bit_is_refused(own_data: Path) -> None:
    shard = a_train_shard(own_data)
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(bytes(content))
    with pytest.raises(DatasetError, match=r"train-00000-of-00001\.tfrecord: expected SHA-256"):
        verify(own_data)


def test_a_manifest_that_contradicts_itself_is_refused(own_data: Path) -> None:
    manifest = own_data / "dataset.json"
    fields = json.loads(manifest.read_text())
    fields["splits"][0]["tiles"] += 1
    manifest.write_text(json.dumps(fields))
    with pytest.raises(DatasetError, match="split train: 11 tiles, but its shards hold another number"):
        verify(own_data)


def test_a_folder_without_manifest_is_no_data_set_and_the_message_says_how_to_build_one(
    own_data: Path,
) -> None:
    (own_data / "dataset.json").unlink()
    with pytest.raises(DatasetError, match=r"expected a data set.*python -m tfrecords_builder --src raw/"):
        open_dataset(own_data)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"schema_version": 999}'])
def test_an_unreadable_manifest_is_an_error_that_names_the_file(own_data: Path, text: str) -> None:
    (own_data / "dataset.json").write_text(text)
    with pytest.raises(DatasetError, match=r"dataset\.json: expected a manifest of this version"):
        open_dataset(own_data)


def test_a_split_that_is_absent_is_an_error_that_lists_those_that_are_there(built_data: Path) -> None:
    with pytest.raises(DatasetError, match="expected a split 'extra', found train, val, test, isolated"):
        open_dataset(built_data).split("extra")
