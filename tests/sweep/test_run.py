"""Running the cells of a grid: what is skipped, what goes on, what stops it. The commands are stand-ins."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from stand_in import StandIn, plan, write_data, write_run

from mmls_tf.config import TrainConfig
from mmls_tf.errors import DatasetError, RunFolderError, UsageError
from mmls_tf.sweeping.run import RunFailedError, Sweep, locked, process_launcher, run_sweep


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_data(tmp_path / "data")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "sweep"


def go(sweep: Sweep, launch: StandIn) -> int:
    """Runs a sweep and returns how often it reported."""
    reports: list[int] = []
    run_sweep(sweep, launch, lambda: reports.append(1))
    return len(reports)


def test_every_cell_is_trained_with_all_its_flags_and_then_scored(data: Path, out: Path) -> None:
    launch = StandIn()
    sweep = plan(data, out, "seed=0,1", {"epochs": 3, "ema": 0.9}, evaluate=("val", "test"), weights="ema")
    assert go(sweep, launch) == 2
    assert [command for command, _ in launch.started] == ["mmls_tf.train", *["mmls_tf.evaluate"] * 2] * 2
    _, given = launch.started[3]
    assert given == {
        **{name: str(value) for name, value in dataclasses.asdict(TrainConfig()).items()},
        **{field.name: str(field.default).lower() for field in dataclasses.fields(TrainConfig) if field.type == "bool"},
        "data": str(data), "run": str(out / "seed=1"), "seed": "1", "epochs": "3", "ema": "0.9", "resume": "true",
    }  # fmt: skip
    assert launch.scored() == [(f"seed={seed}", split, "ema") for seed in (0, 1) for split in ("val", "test")]
    assert launch.started[4][1]["backend"] == "auto"


def test_what_is_finished_is_neither_trained_nor_scored_again(data: Path, out: Path) -> None:
    go(plan(data, out, "seed=0,1", evaluate=("val",)), StandIn())
    launch = StandIn()
    go(plan(data, out, "seed=0,1,2", evaluate=("val", "test")), launch)
    assert launch.trained() == ["seed=2"]
    assert launch.scored() == [
        ("seed=0", "test", "best"), ("seed=1", "test", "best"), ("seed=2", "val", "best"), ("seed=2", "test", "best"),
    ]  # fmt: skip


def test_a_score_of_other_weights_or_of_older_ones_is_taken_again(data: Path, out: Path) -> None:
    go(plan(data, out, "seed=0,1,2", evaluate=("val",)), StandIn())
    (out / "seed=1" / "best.keras").write_text("trained further")
    stale = out / "seed=2" / "evaluations" / "val.json"
    stale.write_text(json.dumps({**json.loads(stale.read_text()), "data_fingerprint": "0" * 64}))
    launch = StandIn()
    go(plan(data, out, "seed=0,1,2", evaluate=("val",)), launch)
    assert launch.scored() == [("seed=1", "val", "best"), ("seed=2", "val", "best")]
    launch = StandIn()
    go(plan(data, out, "seed=0", evaluate=("val",), weights="last"), launch)
    assert launch.scored() == [("seed=0", "val", "last")]


def test_an_interrupted_sweep_goes_on_with_the_run_that_was_cut_short(data: Path, out: Path) -> None:
    launch = StandIn()
    launch.cut_short = {"seed=1"}
    with pytest.raises(KeyboardInterrupt):
        go(plan(data, out, "seed=0,1,2"), launch)
    launch = StandIn()
    go(plan(data, out, "seed=0,1,2"), launch)
    assert launch.trained() == ["seed=1", "seed=2"]
    assert launch.started[0][1]["resume"] == "true"
    assert launch.started[0][1]["overwrite"] == "false"


@pytest.mark.parametrize("finished", [True, False])
def test_a_run_of_other_flags_is_refused_before_anything_starts(
    data: Path, out: Path, finished: bool
) -> None:
    write_run(out / "seed=1", TrainConfig(data=str(data), seed=1, epochs=9))
    if not finished:
        (out / "seed=1" / "summary.json").unlink()
    launch = StandIn()
    with pytest.raises(RunFolderError, match=r"seed=1: --epochs: expected '60', found '9'"):
        go(plan(data, out, "seed=0,1"), launch)
    assert launch.started == []


def test_a_run_on_data_that_has_changed_since_is_refused(data: Path, out: Path) -> None:
    go(plan(data, out, "seed=0"), StandIn())
    write_data(data, fingerprint="e" * 64)
    with pytest.raises(
        RunFolderError, match=r"trained on it as it is, eeeeeeeeeeee\.\.\., found ffffffffffff\.\.\."
    ):
        go(plan(data, out, "seed=0"), StandIn())


def test_overwrite_replaces_the_runs_that_differ_and_no_others(data: Path, out: Path) -> None:
    go(plan(data, out, "seed=0"), StandIn())
    write_run(out / "seed=1", TrainConfig(data=str(data), seed=1, epochs=9))
    launch = StandIn()
    go(plan(data, out, "seed=0,1", overwrite=True), launch)
    assert launch.trained() == ["seed=1"]
    assert (launch.started[0][1]["overwrite"], launch.started[0][1]["resume"]) == ("true", "false")


@pytest.mark.parametrize(("code", "exit_code"), [(2, 2), (1, 1), (-9, 1)])
def test_a_failing_run_stops_the_sweep_with_its_last_lines(
    data: Path, out: Path, code: int, exit_code: int
) -> None:
    launch = StandIn()
    launch.fail = {"seed=1": code}
    with pytest.raises(RunFailedError) as caught:
        go(plan(data, out, "seed=0,1,2"), launch)
    assert caught.value.exit_code == exit_code
    assert f"mmls_tf.train failed with exit code {code}; the last lines of {out}/logs/seed=1.log" in str(
        caught.value
    )
    assert str(caught.value).endswith("  line 39\n  error: the disk is full")
    assert "line 10\n" not in str(caught.value)
    assert launch.trained() == ["seed=0", "seed=1"]


def test_with_keep_going_the_others_run_and_the_failed_ones_are_named_at_the_end(
    data: Path, out: Path
) -> None:
    launch = StandIn()
    launch.fail = {"seed=0": 2, "seed=2": 1}
    with pytest.raises(RunFailedError, match="2 of 4 runs failed") as caught:
        go(plan(data, out, "seed=0,1,2,3", keep_going=True), launch)
    assert launch.trained() == ["seed=0", "seed=1", "seed=2", "seed=3"]
    for name in ("seed=0", "seed=2"):
        assert f"  {name}: {out}/logs/{name}.log" in str(caught.value)
    assert "seed=1" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_training_that_ends_well_without_a_finished_run_is_no_success(data: Path, out: Path) -> None:
    with pytest.raises(RunFailedError, match="expected a finished run after training, found none"):
        run_sweep(plan(data, out, "seed=0"), lambda words, log: 0, lambda: None)


def test_a_data_set_that_is_missing_is_found_before_anything_trains(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"nowhere: expected a data set"):
        plan(tmp_path, tmp_path / "sweep", f"data={tmp_path}/nowhere")


def test_a_second_sweep_in_the_same_folder_is_refused_until_the_first_ends(out: Path) -> None:
    with locked(out), pytest.raises(UsageError, match="another sweep is at work in it"), locked(out):
        pass
    with locked(out):
        pass


def test_a_file_in_place_of_the_folder_is_refused(out: Path) -> None:
    out.write_text("")
    with pytest.raises(UsageError, match="expected a folder, found a file"), locked(out):
        pass


def test_output_of_a_command_goes_to_the_log_and_its_exit_code_comes_back(out: Path) -> None:
    log = out / "logs" / "seed=0.log"
    with locked(out) as lock:
        launch = process_launcher(lock)
        assert launch(["this", "-q"], log) == 0
        assert launch(["no_such_module"], log) == 1
    text = log.read_text()
    assert text.startswith("$ python -m this -q\n")
    assert "Beautiful is better than ugly." in text
    assert "No module named no_such_module" in text


_SWEEP_OF_A_SLEEPER = """
import sys
from pathlib import Path
from mmls_tf.sweeping.run import locked, process_launcher
with locked(Path(sys.argv[1])) as lock:
    process_launcher(lock)(["sleeper"], Path(sys.argv[1]) / "log")
"""
_SLEEPER = """
import os, signal, sys, time
from pathlib import Path
def leave(*_):
    Path("ended").write_text("")
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
Path("pid").write_text(str(os.getpid()))
Path("pid").rename("started")
time.sleep(120)
"""


@pytest.fixture
def sweep_of_a_sleeper(tmp_path: Path, out: Path) -> subprocess.Popen[bytes]:
    """A process that has started a run which takes two minutes, unless it is told to end."""
    (tmp_path / "sleeper.py").write_text(_SLEEPER)
    process = subprocess.Popen([sys.executable, "-c", _SWEEP_OF_A_SLEEPER, str(out)], cwd=tmp_path)
    wait_for(tmp_path / "started")
    return process


def wait_for(path: Path) -> None:
    for _ in range(600):
        if path.exists():
            return
        time.sleep(0.1)
    raise AssertionError(f"{path} did not appear")


def test_a_sweep_that_is_told_to_end_ends_its_run_first(
    sweep_of_a_sleeper: subprocess.Popen[bytes], tmp_path: Path, out: Path
) -> None:
    sweep_of_a_sleeper.send_signal(signal.SIGTERM)
    assert sweep_of_a_sleeper.wait(60) == 128 + signal.SIGTERM
    assert (tmp_path / "ended").exists()
    with locked(out):
        pass


def test_while_the_run_of_a_killed_sweep_trains_on_no_other_sweep_starts(
    sweep_of_a_sleeper: subprocess.Popen[bytes], tmp_path: Path, out: Path
) -> None:
    sweep_of_a_sleeper.kill()
    sweep_of_a_sleeper.wait()
    with pytest.raises(UsageError, match="or a run that it started before it was killed"), locked(out):
        pass
    os.kill(int((tmp_path / "started").read_text()), signal.SIGTERM)
    wait_for(tmp_path / "ended")
