"""The floor: band table, errors, the contract on disk, and how commands start and end."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import permutations
from pathlib import Path

import pytest

from mmls_tf.bands import BAND_NAMES, BANDS, parse_bands
from mmls_tf.errors import InputError, Issue, MmlsError, UsageError
from mmls_tf.schema import Manifest, read_manifest, shard_path

ROOT = Path(__file__).parents[1]
RED, GREEN, BLUE, DEM, SLOPE, THERMAL, GRAY = range(7)


def test_the_band_table_is_the_published_one() -> None:
    assert [(band.name, band.offset, band.scale) for band in BANDS] == [
        ("red", 18, 189),
        ("green", 18, 213),
        ("blue", 18, 237),
        ("dem", -5834, 12822),
        ("slope", 0, 62.8026087),
        ("thermal_inertia", 0, 254),
        ("gray", 0, 254),
    ]


@pytest.mark.parametrize(
    ("text", "bands"),
    [
        ("all", (RED, GREEN, BLUE, DEM, SLOPE, THERMAL, GRAY)),
        ("rgb", (RED, GREEN, BLUE)),
        ("optical", (RED, GREEN, BLUE, GRAY)),
        ("terrain", (DEM, SLOPE)),
        ("thermal", (THERMAL,)),
        ("gray+dem", (DEM, GRAY)),
        ("slope+rgb", (RED, GREEN, BLUE, SLOPE)),
        ("dem+terrain+dem", (DEM, SLOPE)),
        ("optical + terrain + thermal", (RED, GREEN, BLUE, DEM, SLOPE, THERMAL, GRAY)),
    ],
)
def test_bands_are_a_union_in_canonical_order(text: str, bands: tuple[int, ...]) -> None:
    assert parse_bands(text) == bands


def test_the_order_of_the_names_does_not_matter() -> None:
    for names in permutations(["gray", "rgb", "dem", "thermal"]):
        assert parse_bands("+".join(names)) == (RED, GREEN, BLUE, DEM, THERMAL, GRAY)


@pytest.mark.parametrize(
    ("text", "wrong"), [("", ""), ("rgb+", ""), ("rgb+nir", "nir"), ("RGB", "RGB"), ("rgb,dem", "rgb,dem")]
)
def test_a_name_that_is_no_band_is_refused_and_the_names_are_told(text: str, wrong: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_bands(text)
    assert f"found {wrong!r}" in str(caught.value)
    for name in (*BAND_NAMES, "all", "rgb", "optical", "terrain", "thermal"):
        assert name in str(caught.value)


def test_an_input_error_counts_files_and_lists_every_issue() -> None:
    issues = [
        Issue("a.tif", "7 bands", "6"),
        Issue("a.tif", "data", "none"),
        Issue("b.tif", "a mask", "none"),
    ]
    error = InputError(issues, "Nothing was written.")
    assert str(error).splitlines() == [
        "2 files cannot be used:",
        "  a.tif: expected 7 bands, found 6",
        "  a.tif: expected data, found none",
        "  b.tif: expected a mask, found none",
        "Nothing was written.",
    ]
    assert error.issues == tuple(issues)
    assert str(InputError(issues[:2])).startswith("1 file cannot be used:")


def test_every_error_of_ours_is_the_users_to_mend_and_ends_with_2() -> None:
    kinds = MmlsError.__subclasses__()
    assert UsageError in kinds and InputError in kinds
    assert {kind.exit_code for kind in kinds} == {2}


def test_shard_paths_are_spelt_out() -> None:
    assert shard_path("train", 0, 4) == "train/train-00000-of-00004.tfrecord"
    assert shard_path("isolated", 11, 12) == "isolated/isolated-00011-of-00012.tfrecord"


def test_a_manifest_survives_the_disk(built_data: Path) -> None:
    manifest = read_manifest(built_data / "dataset.json")
    assert manifest.to_json() == (built_data / "dataset.json").read_text()
    train = manifest.split("train")
    assert train is not None
    assert (train.name, train.shards[0].path.split("/")[0]) == ("train", "train")
    assert manifest.split("a split that is not there") is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda fields: fields.update(schema_version=fields["schema_version"] + 1),
        lambda fields: fields.pop("schema_version"),
        lambda fields: fields.pop("fingerprint"),
        lambda fields: fields.pop("splits"),
        lambda fields: fields.update(colour="red"),
        lambda fields: fields["splits"][0]["shards"][0].pop("sha256"),
        lambda fields: fields.update(tiles=None),
    ],
)
def test_another_manifest_is_refused(built_data: Path, damage: object) -> None:
    fields = json.loads((built_data / "dataset.json").read_text())
    damage(fields)  # type: ignore[operator]
    with pytest.raises((ValueError, KeyError, TypeError)):
        Manifest.from_json(json.dumps(fields))


SCRIPT = '''
from dataclasses import dataclass
from mmls_tf.entry import command_line, config_from_flags, define_flags, option, run
from mmls_tf.errors import UsageError

@dataclass(frozen=True)
class Config:
    """What the script does."""
    end: str = option(None, "How to end.")
    rate: float = option(0.5, "A number.")
    count: int = option(3, "A whole number.")
    loud: bool = option(False, "A switch.")
    kind: str = option("one", "A choice.", ("one", "two"))

define_flags(Config)

def main():
    config = config_from_flags(Config)
    if config.end == "usage":
        raise UsageError("--end=usage: expected another")
    if config.end == "disk":
        open("/absent/file")
    if config.end == "bug":
        raise ZeroDivisionError("ours")
    if config.end == "interrupt":
        raise KeyboardInterrupt
    if config.end == "much":
        print("word " * 100_000)
    print(config)
    print(command_line())

if __name__ == "__main__":
    run(main)
'''


def script(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "script.py").write_text(SCRIPT)
    return subprocess.run(
        [sys.executable, "-m", "script", *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_flags_become_a_configuration_and_the_later_wins(tmp_path: Path) -> None:
    (tmp_path / "recipe.flags").write_text("# a recipe\n--count=7\n--kind=two\n--rate=0.25\n")
    done = script(tmp_path, "--end", "a word", "--flagfile=recipe.flags", "--loud", "--count=8")
    assert done.returncode == 0, done.stderr
    config, command = done.stdout.splitlines()
    assert config == "Config(end='a word', rate=0.25, count=8, loud=True, kind='two')"
    assert command == "python -m script --end 'a word' --flagfile=recipe.flags --loud --count=8"


@pytest.mark.parametrize(
    ("end", "code", "message"),
    [
        ("usage", 2, "error: --end=usage: expected another\n"),
        ("disk", 2, "error: [Errno 2] No such file or directory: '/absent/file'\n"),
        ("interrupt", 130, "error: interrupted\n"),
    ],
)
def test_a_users_mistake_is_one_message_and_an_exit_code(
    tmp_path: Path, end: str, code: int, message: str
) -> None:
    done = script(tmp_path, f"--end={end}")
    assert (done.returncode, done.stdout, done.stderr) == (code, "", message)


@pytest.mark.parametrize("end", ["much", "little"])
def test_a_reader_that_has_seen_enough_ends_the_command_without_a_word(tmp_path: Path, end: str) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    words = [sys.executable, "-m", "script", f"--end={end}"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(words, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, **pipes) as process:
        assert process.stdout and process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_a_fault_of_ours_is_a_traceback_and_1(tmp_path: Path) -> None:
    done = script(tmp_path, "--end=bug")
    assert done.returncode == 1
    assert "Traceback" in done.stderr and "ZeroDivisionError: ours" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "end"),
        (("--end=a", "--kind=three"), "one|two"),
        (("--end=a", "--nope"), "nope"),
        (("--end=a", "b"), "'b'"),
    ],
)
def test_flags_that_cannot_be_end_with_2(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    done = script(tmp_path, *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and message in done.stderr


@pytest.mark.parametrize("word", ["--help", "--helpfull", "-?"])
def test_a_request_for_help_is_no_failure(tmp_path: Path, word: str) -> None:
    done = script(tmp_path, word)
    assert done.returncode == 0, done.stderr
    for name in ("--end:", "--rate:", "--count:", "--[no]loud:", "--kind:"):
        assert name in done.stdout
