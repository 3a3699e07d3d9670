"""Kill -9 at any moment leaves no data set or a complete one, and the next build goes on."""

from __future__ import annotations

import errno
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_world import build_it, shard_bytes, write_source

from mmls_tf.errors import InputError, UsageError
from tfrecords_builder import shard_job
from tfrecords_builder.stored import open_stored
from tfrecords_builder.verify.check import verify_stored

COUNTS = {"train": 24, "val": 4, "isolated": 4}
BIG = 64  # a megabyte of shard holds eight such tiles
ROOT = Path(__file__).parents[2]
# A process that says when it begins, so that the parent can kill it at any moment it likes.
CHILD = """
import sys
from pathlib import Path
from tfrecords_builder.build import build
from tfrecords_builder.config import BuildConfig
print("ready", flush=True)
sys.stdin.readline()
build(BuildConfig(src=sys.argv[1], out=sys.argv[2], tile_size=64, shard_mb=1, workers=2), "a test")
print("done", flush=True)
"""


@pytest.fixture(scope="module")
def src(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_source(tmp_path_factory.mktemp("resume") / "raw", COUNTS, size=BIG)


def build_big(src: Path, out: Path, **options: object) -> None:
    build_it(src, out, tile_size=BIG, shard_mb=1, **options)


@pytest.fixture(scope="module")
def whole(src: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "data"
    build_big(src, out)
    return out


def child(src: Path, out: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(src), str(out)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def start(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def check_complete(out: Path, whole: Path) -> None:
    assert shard_bytes(out) == shard_bytes(whole)
    assert open_stored(out).fingerprint == open_stored(whole).fingerprint
    assert open_stored(out).statistics == open_stored(whole).statistics
    assert list(verify_stored(out, open_stored(out))) == []


def kill_and_resume(src: Path, whole: Path, folder: Path, moments: list[float], length: float) -> None:
    for number, moment in enumerate(moments):
        out = folder / f"data{number}"
        process = child(src, out)
        start(process)
        time.sleep(moment * length)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if out.exists():
            check_complete(out, whole)
        else:
            build_big(src, out)
            check_complete(out, whole)
        left = {path.name for path in folder.iterdir()} - {f"data{i}" for i in range(number + 1)}
        assert left <= {f".data{i}.building" for i in range(number)}, left


def length_of_a_build(src: Path, out: Path) -> float:
    process = child(src, out)
    started = time.perf_counter()
    start(process)
    assert process.stdout is not None
    assert process.stdout.readline() == "done\n"
    process.wait()
    return time.perf_counter() - started


def test_builds_killed_at_four_moments_are_absent_or_complete_and_go_on(
    src: Path, whole: Path, tmp_path: Path
) -> None:
    length = length_of_a_build(src, tmp_path / "timing")
    (tmp_path / "kills").mkdir()
    kill_and_resume(src, whole, tmp_path / "kills", [0.15, 0.4, 0.65, 0.9], length)


@pytest.mark.slow
def test_builds_killed_at_twenty_five_seeded_moments_are_absent_or_complete_and_go_on(
    src: Path, whole: Path, tmp_path: Path
) -> None:
    length = length_of_a_build(src, tmp_path / "timing")
    (tmp_path / "kills").mkdir()
    moments = [random.Random(seed).random() * 1.1 for seed in range(25)]
    kill_and_resume(src, whole, tmp_path / "kills", moments, length)


@pytest.mark.parametrize("after", [1, 3, 4])
def test_finished_shards_are_not_done_again(
    src: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    written: list[str] = []
    write = shard_job.write_shard

    def counting(root: Path, path: str, records: object) -> object:
        if len(written) == after:
            raise KeyboardInterrupt
        entry = write(root, path, records)
        written.append(path)
        return entry

    monkeypatch.setattr(shard_job, "write_shard", counting)
    with pytest.raises(KeyboardInterrupt):
        build_big(src, tmp_path / "data")
    first = list(written)
    after = 100
    build_big(src, tmp_path / "data")
    assert sorted(written) == sorted(shard_bytes(whole)), "every shard was written once"
    assert written[: len(first)] == first
    check_complete(tmp_path / "data", whole)


def test_a_source_that_changed_in_between_is_read_again(src: Path, tmp_path: Path, monkeypatch) -> None:
    own = write_source(tmp_path / "raw", {"train": 12}, size=BIG)
    write = shard_job.write_shard

    def failing(root: Path, path: str, records: object) -> object:
        if "00001" in path.partition("-of-")[0]:
            raise KeyboardInterrupt
        return write(root, path, records)

    monkeypatch.setattr(shard_job, "write_shard", failing)
    with pytest.raises(KeyboardInterrupt):
        build_big(own, tmp_path / "data")
    monkeypatch.setattr(shard_job, "write_shard", write)
    for path in (own / "train/images").iterdir():
        path.write_bytes(path.read_bytes() + b"\0")  # the same pixels, another file
    build_big(own, tmp_path / "data")
    hashes = {tile.image_sha256 for tile in open_stored(tmp_path / "data").tiles}
    assert hashes == {
        __import__("hashlib").sha256(p.read_bytes()).hexdigest() for p in (own / "train/images").iterdir()
    }


def test_a_full_disk_says_so_and_leaves_nothing_half_made(src: Path, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))  # a shard needs 900 kB
    try:
        with pytest.raises(
            UsageError, match=r"train-00000-of-00003\.tfrecord: cannot be written: File too large"
        ):
            build_big(src, tmp_path / "data")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_read_is_listed_like_any_other(src: Path, tmp_path: Path, monkeypatch) -> None:
    read = Path.read_bytes

    def broken(path: Path) -> bytes:
        if path.name == "t05.tif" and path.parent.name == "masks":
            raise OSError(errno.EIO, "Input/output error", str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", broken)
    with pytest.raises(InputError) as caught:
        build_big(src, tmp_path / "data")
    assert "t05.tif: expected a file that can be read, found" in str(caught.value)
    assert list(tmp_path.iterdir()) == []
