"""Records are written and read without TensorFlow, in TensorFlow's format to the last byte."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from small_world import build_it

from mmls_tf.example import decode_example, encode_example
from mmls_tf.tfrecord import DamageError, read_records, write_records

LENGTHS = (0, 1, 127, 128, 300, 16_383, 16_384, 2_100_000)


def contents(seed: int = 0) -> list[bytes]:
    rng = np.random.default_rng(seed)
    return [rng.bytes(length) for length in LENGTHS]


def by_tensorflow(features: dict[str, bytes]) -> bytes:
    example = tf.train.Example(
        features=tf.train.Features(
            feature={
                name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
                for name, value in features.items()
            }
        )
    )
    return bytes(example.SerializeToString(deterministic=True))


def test_a_file_is_the_one_that_tensorflow_writes(tmp_path: Path) -> None:
    with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as writer:
        for content in contents():
            writer.write(content)
    count, sha256 = write_records(tmp_path / "ours", contents())
    ours = (tmp_path / "ours").read_bytes()
    assert count == len(LENGTHS)
    assert ours == (tmp_path / "theirs").read_bytes()
    assert sha256 == __import__("hashlib").sha256(ours).hexdigest()


def test_both_read_what_either_writes(tmp_path: Path) -> None:
    write_records(tmp_path / "file", contents())
    assert list(read_records(tmp_path / "file")) == contents()
    assert list(tf.data.TFRecordDataset(str(tmp_path / "file")).as_numpy_iterator()) == contents()


def test_an_example_is_the_one_that_tensorflow_serializes_whatever_the_order_of_its_features() -> None:
    features = dict(zip(("key", "image", "valid", "mask", "a" * 200, "é", "z", "0"), contents(), strict=True))
    assert encode_example(features) == by_tensorflow(features)
    assert encode_example(dict(reversed(features.items()))) == by_tensorflow(features)
    assert decode_example(by_tensorflow(features)) == features
    assert decode_example(b"") == {}


@pytest.mark.parametrize("step", [1, 7])
def test_every_flipped_bit_of_a_file_is_noticed(tmp_path: Path, step: int) -> None:
    path = tmp_path / "file"
    write_records(path, [b"first", b"second record"])
    whole = path.read_bytes()
    for place in range(0, len(whole), step):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        with pytest.raises(DamageError):
            list(read_records(path))


def test_every_cut_is_noticed_but_the_one_between_two_records(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_records(path, [b"first", b"second record"])
    whole = path.read_bytes()
    between = 8 + 4 + len(b"first") + 4
    for length in range(1, len(whole)):
        path.write_bytes(whole[:length])
        if length == between:
            assert list(read_records(path)) == [b"first"]
        else:
            with pytest.raises(DamageError, match=r"ends within a record|checksum"):
                list(read_records(path))


def test_mutated_examples_are_refused_or_decoded_as_tensorflow_does() -> None:
    rng = np.random.default_rng(0)
    whole = by_tensorflow({"key": b"train/a", "mask": bytes(300), "valid": b"\1" * 40})
    refused = 0
    for _ in range(3000):
        damaged = bytearray(whole[: rng.integers(1, len(whole) + 1)])
        damaged[rng.integers(len(damaged))] = rng.integers(256)
        try:
            found = decode_example(bytes(damaged))
        except ValueError:
            refused += 1
            continue
        theirs = tf.train.Example.FromString(bytes(damaged)).features.feature
        assert found == {name: feature.bytes_list.value[0] for name, feature in theirs.items()}
    assert 500 < refused < 3000


@pytest.mark.parametrize(
    "feature",
    [
        tf.train.Feature(float_list=tf.train.FloatList(value=[1.0])),
        tf.train.Feature(int64_list=tf.train.Int64List(value=[1])),
        tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"a", b"b"])),
        tf.train.Feature(),
    ],
    ids=["floats", "integers", "two values", "nothing"],
)
def test_features_of_another_kind_are_refused(feature: tf.train.Feature) -> None:
    example = tf.train.Example(features=tf.train.Features(feature={"key": feature}))
    with pytest.raises(ValueError, match=r"no tf\.train\.Example"):
        decode_example(example.SerializeToString())


def test_building_auditing_and_verifying_load_no_tensorflow(challenge_src: Path, tmp_path: Path) -> None:
    build_it(challenge_src, tmp_path / "data")
    program = (
        "import sys; sys.modules['tensorflow'] = sys.modules['keras'] = None\n"
        "from pathlib import Path\n"
        "from tfrecords_builder.build import build\n"
        "from tfrecords_builder.config import BuildConfig\n"
        "from tfrecords_builder.stored import open_stored, stored_contents\n"
        "from tfrecords_builder.verify.check import verify_stored\n"
        "build(BuildConfig(src=sys.argv[1], out=sys.argv[2], tile_size=16), 'a test')\n"
        "manifest = open_stored(Path(sys.argv[2]))\n"
        "print(manifest.fingerprint, list(verify_stored(Path(sys.argv[2]), manifest)),\n"
        "      len(stored_contents(Path(sys.argv[2]), manifest)) == len(manifest.tiles))\n"
    )
    words = [sys.executable, "-c", program, str(challenge_src), str(tmp_path / "other")]
    result = subprocess.run(words, capture_output=True, text=True, check=True)
    from tfrecords_builder.stored import open_stored

    assert result.stdout.strip() == f"{open_stored(tmp_path / 'data').fingerprint} [] True"
