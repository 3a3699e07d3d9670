"""The download, against a stand-in for the hub: whole, pinned, resumed, checked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_stand_in import COMMIT, Hub, serve

pytest.importorskip("huggingface_hub", reason="the download's extra is not installed")
ROOT = Path(__file__).parents[2]
TILES = {"train": 3, "val": 1, "test": 2}
PROGRAM = """
import json, sys
from mmls_tf.errors import MmlsError
from tfrecords_builder.download.config import DownloadConfig
from tfrecords_builder.download.fetch import download
try:
    receipt = download(DownloadConfig(**json.loads(sys.argv[1])), json.loads(sys.argv[2]))
except MmlsError as error:
    sys.exit(f"{type(error).__name__}: {error}")
print(receipt.commit)
"""


def release(tiles: dict[str, int] = TILES) -> dict[str, bytes]:
    files = {
        f"{split}/{kind}/col{number:05d}_row00000.tif": f"{split} {kind} {number} ".encode() * 4000
        for split, count in tiles.items()
        for number in range(count)
        for kind in ("images", "masks")
    }
    return files | {"README.md": b"read me", "mmlsv2.zip": b"zip" * 100, "assets/figure.tif": b"figure"}


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serve(Hub(release())) as running:
        yield running


def run(
    hub: Hub, out: Path, tiles: dict[str, int] = TILES, **options: object
) -> subprocess.CompletedProcess[str]:
    config = {"out": str(out), "workers": 2, **options}
    home = out.parent / "home"
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(config), json.dumps(tiles)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={
            **os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        },
        timeout=120,
        check=False,
    )  # fmt: skip


def content(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def wanted(hub: Hub) -> dict[str, bytes]:
    return {name: data for name, data in hub.files.items() if name.split("/")[0] in TILES}


def test_the_split_folders_and_nothing_else_arrive(hub: Hub, tmp_path: Path) -> None:
    done = run(hub, tmp_path / "raw")
    assert done.stdout.strip() == COMMIT, done.stderr
    found = content(tmp_path / "raw")
    receipt = json.loads(found.pop("download.json"))
    assert found == wanted(hub)
    assert (receipt["commit"], receipt["revision"], receipt["complete"]) == (COMMIT, "main", True)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "home") == ["raw"]


def test_a_second_run_asks_nothing_and_keeps_to_the_commit(hub: Hub, tmp_path: Path) -> None:
    run(hub, tmp_path / "raw")
    before, asked = content(tmp_path / "raw"), hub.asked.total()
    hub.commit = "f" * 40
    assert run(hub, tmp_path / "raw").stdout.strip() == COMMIT
    assert (content(tmp_path / "raw"), hub.asked.total()) == (before, asked)


def test_a_transfer_that_breaks_off_is_taken_up_where_it_stopped(hub: Hub, tmp_path: Path) -> None:
    name = "train/images/col00001_row00000.tif"
    hub.files[name] = b"a file of several of the library's chunks " * 700_000
    hub.cut[name] = 2
    assert run(hub, tmp_path / "raw").stdout.strip() == COMMIT
    assert hub.ranges[name] >= 1
    assert content(tmp_path / "raw")[name] == hub.files[name]


def test_what_a_failed_run_left_is_not_taken_for_complete_and_the_next_run_goes_on(
    hub: Hub, tmp_path: Path
) -> None:
    name = "val/images/col00000_row00000.tif"
    lost = hub.files.pop(name)
    hub.files[name] = lost
    hub.cut[name] = 1000
    failed = run(hub, tmp_path / "raw")
    assert failed.returncode != 0
    assert "DownloadError" in failed.stderr
    assert "again" in failed.stderr
    assert not (tmp_path / "raw").exists()
    fetched = hub.asked.copy()
    hub.cut.clear()
    hub.commit = "f" * 40  # the branch moves on between the runs
    assert run(hub, tmp_path / "raw").stdout.strip() == COMMIT
    again = [path for path in wanted(hub) if fetched[path] and hub.asked[path] > fetched[path]]
    assert again == [name]
    assert hub.revisions == ["main"]
    found = content(tmp_path / "raw")
    found.pop("download.json")
    assert found == wanted(hub)


@pytest.mark.parametrize("kind", ["images", "masks"])
def test_a_wrong_hash_is_refused_and_the_file_is_fetched_again(hub: Hub, tmp_path: Path, kind: str) -> None:
    name = f"test/{kind}/col00001_row00000.tif"
    hub.spoiled.add(name)
    failed = run(hub, tmp_path / "raw")
    assert failed.returncode != 0
    assert f"{name}: expected" in failed.stderr
    assert "hash" in failed.stderr
    assert not (tmp_path / "raw").exists()
    hub.spoiled.clear()
    assert run(hub, tmp_path / "raw").stdout.strip() == COMMIT
    assert content(tmp_path / "raw")[name] == hub.files[name]


def test_a_wrong_count_is_refused_before_anything_is_fetched(hub: Hub, tmp_path: Path) -> None:
    del hub.files["train/masks/col00002_row00000.tif"]
    failed = run(hub, tmp_path / "raw")
    assert "train/masks: expected 3 files, found 2" in failed.stderr
    assert not (tmp_path / "raw").exists()
    assert not hub.asked


def test_a_file_damaged_later_is_found(hub: Hub, tmp_path: Path) -> None:
    run(hub, tmp_path / "raw")
    (tmp_path / "raw/val/masks/col00000_row00000.tif").write_bytes(b"x")
    failed = run(hub, tmp_path / "raw")
    assert "val/masks/col00000_row00000.tif: expected" in failed.stderr


def test_another_folder_is_not_touched(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/mine.txt").write_text("mine")
    failed = run(hub, tmp_path / "raw")
    assert "--out=" in failed.stderr
    assert content(tmp_path / "raw") == {"mine.txt": b"mine"}


def test_another_revision_does_not_mix_with_what_is_there(hub: Hub, tmp_path: Path) -> None:
    run(hub, tmp_path / "raw")
    failed = run(hub, tmp_path / "raw", revision="v2")
    assert "--revision=v2" in failed.stderr
    assert COMMIT in failed.stderr
    assert run(hub, tmp_path / "raw", revision=COMMIT).stdout.strip() == COMMIT


def test_names_that_would_leave_the_folder_are_not_followed(hub: Hub, tmp_path: Path) -> None:
    hub.files["train/images/../../../evil.tif"] = b"evil"
    assert run(hub, tmp_path / "raw").stdout.strip() == COMMIT
    assert not list(tmp_path.rglob("evil.tif"))


def test_a_hub_that_cannot_be_reached_is_told_in_a_line(tmp_path: Path) -> None:
    failed = run(Hub({}, url="http://127.0.0.1:9"), tmp_path / "raw")
    assert failed.stderr.startswith("DownloadError: --revision=main of MarsLS/MMLSv2: expected")


def test_without_the_library_the_message_says_what_to_install(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['huggingface_hub'] = None\n"
        "sys.argv = ['x', '--out', sys.argv[1]]\n"
        "import runpy; runpy.run_module('tfrecords_builder.download', run_name='__main__')"
    )
    failed = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "raw")],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert failed.returncode == 2
    assert "pip install" in failed.stderr


@pytest.mark.slow
def test_the_release_has_its_published_numbers(tmp_path: Path) -> None:
    tiles = {"train": 465, "val": 66, "test": 133}
    with serve(Hub(release(tiles))) as hub:
        done = run(hub, tmp_path / "raw", tiles, workers=8)
        assert done.stdout.strip() == COMMIT, done.stderr
    assert len(content(tmp_path / "raw")) == 2 * 664 + 1
