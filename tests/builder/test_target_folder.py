"""What stands at --out is respected, replaced only if asked, and never half written."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_world import SIZE, build_it, manifest_of, records, shard_bytes, write_source

from mmls_tf.errors import InputError, UsageError
from tfrecords_builder.config import BuildConfig
from tfrecords_builder.staging import staged

COUNTS = {"train": 2, "isolated": 1}
LEDGER = '{"run": "runs/a", "miou": 0.71}\n'


@pytest.fixture
def src(tmp_path: Path) -> Path:
    return write_source(tmp_path / "raw", COUNTS)


@pytest.fixture
def out(src: Path, tmp_path: Path) -> Path:
    """A data set of ours with a ledger in it."""
    build_it(src, tmp_path / "data")
    (tmp_path / "data/isolated/ledger.jsonl").write_text(LEDGER)
    return tmp_path / "data"


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def add_train_tile(src: Path) -> None:
    """A third train tile, the copy of the first."""
    for kind in ("images", "masks"):
        (src / f"train/{kind}/t09.tif").write_bytes((src / f"train/{kind}/t00.tif").read_bytes())


def test_a_data_set_is_not_replaced_unasked(src: Path, out: Path) -> None:
    before = snapshot(out)
    with pytest.raises(UsageError, match=r"a data set is there already; give another --out, or --overwrite"):
        build_it(src, out)
    assert snapshot(out) == before


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_foreign_folder_is_never_touched(src: Path, tmp_path: Path, overwrite: bool) -> None:
    out = tmp_path / "photographs"
    (out / "train").mkdir(parents=True)
    (out / "train/cat.jpg").write_text("not ours")
    with pytest.raises(UsageError, match="found something else"):
        build_it(src, out, overwrite=overwrite)
    assert snapshot(out) == {str(out / "train/cat.jpg"): b"not ours"}


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_is_never_replaced(src: Path, tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(UsageError, match="found something else"):
        build_it(src, tmp_path / "data", overwrite=overwrite)
    assert (tmp_path / "data").read_text() == "a file"


@pytest.mark.parametrize("overwrite", [False, True])
def test_the_source_itself_is_never_replaced(src: Path, overwrite: bool) -> None:
    before = snapshot(src)
    with pytest.raises(UsageError):
        build_it(src, src, overwrite=overwrite)
    assert snapshot(src) == before


def test_an_empty_folder_and_a_new_one_in_new_folders_are_taken(src: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    one = build_it(src, tmp_path / "empty")
    other = build_it(src, tmp_path / "a/b/c")
    assert one == other
    assert shard_bytes(tmp_path / "empty") == shard_bytes(tmp_path / "a/b/c")


def test_overwrite_replaces_everything_but_the_ledger(src: Path, out: Path, tmp_path: Path) -> None:
    (out / "train/stale.tfrecord").write_text("stale")
    old = manifest_of(out)["fingerprint"]
    add_train_tile(src)
    build_it(src, out, overwrite=True)
    assert manifest_of(out)["fingerprint"] != old
    assert not (out / "train/stale.tfrecord").exists()
    assert len(records(out)) == 4
    assert (out / "isolated/ledger.jsonl").read_text() == LEDGER
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "raw"]


def test_the_ledger_outlives_a_build_without_an_isolated_split(src: Path, out: Path) -> None:
    (src / "isolated").rename(src / "put_aside")
    build_it(src, out, overwrite=True)
    (src / "put_aside").rename(src / "isolated")
    build_it(src, out, overwrite=True)
    assert (out / "isolated/ledger.jsonl").read_text() == LEDGER


def test_a_failed_overwrite_leaves_the_old_data_set_as_it_was(src: Path, out: Path, tmp_path: Path) -> None:
    before = snapshot(out)
    (src / "train/images/t01.tif").write_text("not a raster")
    with pytest.raises(InputError, match="Nothing was written"):
        build_it(src, out, overwrite=True)
    assert snapshot(out) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "raw"]


@pytest.mark.parametrize("failure", [UsageError, OSError])
def test_nothing_is_left_of_a_build_that_the_user_has_to_put_right(
    tmp_path: Path, failure: type[Exception]
) -> None:
    with pytest.raises(failure), staged(tmp_path / "data", "plan") as staging:
        (staging / "train").mkdir()
        (staging / "train/shard").write_text("half")
        assert not (tmp_path / "data").exists()
        raise failure
    assert not list(tmp_path.iterdir())


def crash(out: Path, plan: str) -> None:
    with pytest.raises(KeyboardInterrupt), staged(out, plan) as staging:
        (staging / "stale.tfrecord").write_text("stale")
        raise KeyboardInterrupt


def test_what_a_crash_left_goes_into_the_next_build_of_the_same_plan(tmp_path: Path) -> None:
    crash(tmp_path / "data", "plan")
    assert not (tmp_path / "data").exists()
    with staged(tmp_path / "data", "plan") as staging:
        assert (staging / "stale.tfrecord").read_text() == "stale"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


def test_what_a_crash_left_does_not_get_into_a_build_of_another_plan(tmp_path: Path) -> None:
    crash(tmp_path / "data", "plan")
    with staged(tmp_path / "data", "another plan") as staging:
        assert not (staging / "stale.tfrecord").exists()
        (staging / "dataset.json").write_text("{1}")
    assert snapshot(tmp_path / "data") == {str(tmp_path / "data/dataset.json"): b"{1}"}


def test_two_builds_of_one_data_set_at_a_time_are_refused(tmp_path: Path) -> None:
    with staged(tmp_path / "data", "plan"):
        with (
            pytest.raises(UsageError, match="another build is writing it"),
            staged(tmp_path / "data", "plan"),
        ):
            pass
        assert (tmp_path / ".data.building").exists(), "the first build goes on"


def test_a_data_set_put_aside_by_a_killed_overwrite_comes_back(tmp_path: Path) -> None:
    (tmp_path / ".data.replaced").mkdir()
    (tmp_path / ".data.replaced/dataset.json").write_text("old")
    with pytest.raises(UsageError), staged(tmp_path / "data", "plan"):
        raise UsageError("no more disk")
    assert (tmp_path / "data/dataset.json").read_text() == "old"


@pytest.mark.parametrize(("name", "value"), [("tile_size", 7), ("shard_mb", 0), ("workers", -1)])
def test_numbers_out_of_range_are_refused(name: str, value: int) -> None:
    with pytest.raises(UsageError, match=rf"--{name}={value}: expected \d or more"):
        BuildConfig(src="raw", **{name: value})


def test_every_core_gets_a_thread_but_no_more_than_eight(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, threads in ((1, 1), (4, 4), (64, 8), (None, 1)):
        monkeypatch.setattr("os.cpu_count", lambda cores=cores: cores)
        assert BuildConfig(src="raw").threads == threads
    assert BuildConfig(src="raw", workers=24).threads == 24


def test_a_failed_build_in_new_folders_publishes_nothing(src: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        build_it(src, tmp_path / "a/b/data", tile_size=2 * SIZE)
    assert not [path for path in (tmp_path / "a").rglob("*") if path.name != "b"]
