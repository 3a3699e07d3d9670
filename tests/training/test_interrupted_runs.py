"""Runs that are interrupted, and go on."""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from mmls_tf.config import TrainConfig
from mmls_tf.errors import RunFolderError
from mmls_tf.training import callbacks, trainer
from mmls_tf.training.run_folder import RunFolder, locked
from mmls_tf.training.trainer import train
from tests.small_networks import small_networks
from tests.training.killed_run import strike_at

ROOT = Path(__file__).parents[2]
OPTIONS = {
    "filters": 2,
    "epochs": 4,
    "batch": 4,
    "precision": "float32",
    "ema": 0.8,
    "augment": "d4+noise+crop",
}


def config(data: Path, run: Path, **changes: object) -> TrainConfig:
    return TrainConfig(data=str(data), run=str(run), **{**OPTIONS, **changes})


def history(run: Path) -> list[dict[str, float]]:
    with (run / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    timed = ("train_seconds", "input_share")
    return [{name: float(value) for name, value in row.items() if name not in timed} for row in rows]


def weights(run: Path, which: str) -> list[np.ndarray]:
    return RunFolder(run).load_model(which).get_weights()


def assert_same_result(one: Path, other: Path) -> None:
    for some, others in zip(history(one), history(other), strict=True):
        assert some == pytest.approx(others, rel=1e-4, abs=1e-5)
    for which in ("best", "last", "ema"):
        for some_weights, other_weights in zip(weights(one, which), weights(other, which), strict=True):
            np.testing.assert_allclose(some_weights, other_weights, rtol=1e-3, atol=1e-5)


small_network = pytest.mark.usefixtures("small_network")


@small_network
@pytest.mark.parametrize(
    "way", ["memory", *(pytest.param(way, marks=pytest.mark.slow) for way in ("disk", "device"))]
)
def test_a_run_that_went_on_ends_as_if_nothing_had_happened(
    built_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    reference, run = tmp_path / "reference", tmp_path / "run"
    train(config(built_data, reference, input=way), "a test")
    with monkeypatch.context() as patch:
        patch.setattr(callbacks, "write_text", interrupt_at(run, epoch=2))
        with pytest.raises(KeyboardInterrupt):
            train(config(built_data, run, input=way), "a test")
    assert not RunFolder(run).finished
    assert len(history(run)) == 2
    train(config(built_data, run, input=way, resume=True), "a test")
    assert RunFolder(run).finished
    assert not RunFolder(run).checkpoint.exists()
    assert_same_result(run, reference)


def interrupt_at(run: Path, epoch: int) -> object:
    """Stands in for the writer of the history: interrupts after `epoch` epochs, models saved and checkpoint not."""
    from mmls_tf.files import write_text

    def write(path: Path, text: str) -> None:
        if text.count("\n") == epoch + 2:
            raise KeyboardInterrupt
        write_text(path, text)

    return write


class Killed(BaseException):
    """Ends a run as a kill does."""


FILES = (
    "flags.txt",
    "run.json",
    "last.keras",
    "best.keras",
    "ema.keras",
    "history.csv",
    "checkpoint.npz",
    "summary.json",
)
MOMENTS = ["within checkpoint.npz", *(f"{when} {name}" for name in FILES for when in ("before", "after"))]
QUICK = ["within checkpoint.npz", "after ema.keras", "before summary.json"]


@small_network
@pytest.mark.parametrize(
    "what", [*QUICK, *(pytest.param(m, marks=pytest.mark.slow) for m in MOMENTS if m not in QUICK)]
)
def test_killed_while_it_writes_a_run_goes_on_and_ends_as_if_nothing_had_happened(
    built_data: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def die() -> None:
        raise Killed

    moments = (whole / "moments").read_text().splitlines()
    chosen = random.Random(what).choice([number for number, one in enumerate(moments) if one == what])
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        came = strike_at(chosen, die, patch.setattr)
        with pytest.raises(Killed):
            train(config(built_data, run, epochs=3), "a test")
    assert came == moments[: chosen + 1]
    assert RunFolder(run).finished == (what == "after summary.json")
    train(config(built_data, run, epochs=3, resume=True), "a test")
    assert RunFolder(run).finished
    assert not list(run.glob(".*")), "nothing half written is left"
    assert_same_result(run, whole)


@pytest.fixture(scope="module")
def whole(built_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An uninterrupted run of three epochs, and a list of the moments at which it wrote something."""
    root = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "build_with_auxiliary", small_networks)
        moments = strike_at(-1, lambda: None, patch.setattr)
        train(config(built_data, root, epochs=3), "a test")
    (root / "moments").write_text("\n".join(moments))
    yield root


def test_a_finished_run_is_left_alone(
    own_run: Path, built_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, record = RunFolder.open(own_run)
    before = {path: path.stat().st_mtime_ns for path in own_run.rglob("*") if path.is_file()}
    train(TrainConfig(**{**asdict(record.config), "run": str(own_run), "resume": True}), "a test")
    assert "is finished already" in capsys.readouterr().out
    assert before == {path: path.stat().st_mtime_ns for path in own_run.rglob("*") if path.is_file()}


def test_other_flags_than_at_the_start_are_refused_by_name(own_run: Path, built_data: Path) -> None:
    _, record = RunFolder.open(own_run)
    changed = {**asdict(record.config), "run": str(own_run), "resume": True, "epochs": 9, "loss": "dice"}
    with pytest.raises(RunFolderError, match=r"--epochs=9 instead of 3, --loss=dice instead of bce_dice"):
        train(TrainConfig(**changed), "a test")


def test_another_data_set_at_the_same_place_is_refused(own_run: Path, own_data: Path) -> None:
    path = own_run / "run.json"
    fields = json.loads(path.read_text())
    fields["fingerprint"] = "0" * 64
    path.write_text(json.dumps(fields))
    _, record = RunFolder.open(own_run)
    again = TrainConfig(**{**asdict(record.config), "run": str(own_run), "resume": True})
    with pytest.raises(RunFolderError, match=r"expected the data set .*0000.*found another"):
        train(again, "a test")


def test_a_damaged_checkpoint_is_refused_and_nothing_is_lost(own_run: Path, built_data: Path) -> None:
    _, record = RunFolder.open(own_run)
    (own_run / "summary.json").unlink()
    (own_run / "checkpoint.npz").write_bytes(b"PK\x03\x04 damaged")
    best = (own_run / "best.keras").read_bytes()
    again = TrainConfig(**{**asdict(record.config), "run": str(own_run), "resume": True})
    with pytest.raises(RunFolderError, match=r"checkpoint\.npz: expected a checkpoint"):
        train(again, "a test")
    assert (own_run / "best.keras").read_bytes() == best


@small_network
def test_resuming_where_there_is_nothing_starts_a_run(built_data: Path, tmp_path: Path) -> None:
    assert train(config(built_data, tmp_path / "run", epochs=1, resume=True), "a test").finished


def test_resuming_never_takes_a_folder_of_other_things_for_a_run(built_data: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("years of work")
    with pytest.raises(RunFolderError, match="expected a new folder or a run, found something else"):
        train(config(built_data, foreign, resume=True), "a test")
    assert (foreign / "thesis.tex").read_text() == "years of work"


@small_network
def test_what_a_kill_leaves_of_a_folder_that_was_just_being_made_is_in_nobodys_way(
    built_data: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for name in ("flags.txt", ".flags.txt.partial", ".run.json.partial"):
        (run / name).write_text("--epo")
    assert train(config(built_data, run, epochs=1, resume=True), "a test").finished
    assert "--epochs=1" in (run / "flags.txt").read_text().splitlines()
    assert not list(run.glob(".*"))


@pytest.mark.parametrize("deletions", range(1, 6))
def test_a_run_whose_replacement_was_interrupted_is_not_taken_for_a_finished_one(
    own_run: Path, monkeypatch: pytest.MonkeyPatch, deletions: int
) -> None:
    _, record = RunFolder.open(own_run)
    removed: list[Path] = []

    def remove(path: Path) -> None:
        if len(removed) == deletions:
            raise KeyboardInterrupt
        removed.append(path.rename(own_run.with_name(f"removed{len(removed)}")))

    monkeypatch.setattr(Path, "unlink", remove)
    monkeypatch.setattr(shutil, "rmtree", remove)
    with pytest.raises(KeyboardInterrupt):
        RunFolder.create(own_run, record)
    assert RunFolder(own_run).started
    assert not RunFolder(own_run).finished


def test_a_folder_in_use_is_refused(built_data: Path, tmp_path: Path) -> None:
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom mmls_tf.training.run_folder import locked\n"
        "with locked(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    run = tmp_path / "run"
    words = [sys.executable, "-c", program, str(run)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, cwd=ROOT, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RunFolderError, match="another process is training there"):
            train(config(built_data, run), "a test")
        holder.kill()
    with locked(run):
        pass


@small_network
def test_patience_ends_a_run_and_a_resumed_one_does_not_go_beyond_it(
    built_data: Path, tmp_path: Path
) -> None:
    options = {"epochs": 30, "patience": 2, "learning_rate": 1e-9, "ema": 0.0}
    folder = train(config(built_data, tmp_path / "run", **options), "a test")
    rows = history(folder.root)
    values = [row["val_miou"] for row in rows]
    assert len(rows) == values.index(max(values)) + 1 + 2 < 30
    assert folder.read_summary()["epochs"] == len(rows)


def command_of(data: Path, run: Path, kind: int = 0, moment: int = -1) -> list[str]:
    words = [f"--{name}={value}" for name, value in {**OPTIONS, "epochs": 6}.items()]
    program = [sys.executable, "-m", "tests.training.killed_run", str(int(kind)), str(moment)]
    return [*program, f"--data={data}", f"--run={run}", "--resume", *words]


def killed_until_done(data: Path, run: Path, kills: int, seed: int) -> None:
    """Starts the same command again and again, and kills it, hard or softly: every other time as the clock has it,
    or while it writes one of its files."""
    draw = random.Random(seed)
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "KERAS_BACKEND": "tensorflow"}
    for number in range(kills):
        kind = (signal.SIGKILL, signal.SIGTERM)[number // 2 % 2]
        writing = number % 2 == 0
        moment = draw.randint(0, 40) if writing else -1
        process = subprocess.Popen(
            command_of(data, run, kind, moment),
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        if not writing:
            wait_for_epoch(run, process, draw.randint(1, 5))
            time.sleep(draw.uniform(0, 0.3))
            process.send_signal(kind)
        process.communicate()
        assert process.returncode in (-kind, 0)
        for final in run.glob("[!.]*.keras"):  # hidden ones are files that the kill left half written
            with zipfile.ZipFile(final) as archive:
                assert archive.testzip() is None
    result = subprocess.run(
        command_of(data, run), cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr[-2000:]


def wait_for_epoch(run: Path, process: subprocess.Popen[bytes], epoch: int) -> None:
    """Returns once the history has one line more than before, or the process has ended."""
    before = len(history(run)) if (run / "history.csv").exists() else 0
    wanted = min(before + 1, epoch)
    while process.poll() is None and not (
        (run / "history.csv").exists() and len(history(run)) >= max(wanted, before + 1)
    ):
        time.sleep(0.02)


@pytest.mark.parametrize("kills", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_whatever_kills_it_the_result_is_that_of_an_uninterrupted_run(
    built_data: Path, tmp_path: Path, kills: int
) -> None:
    done = 0
    killed_until_done(built_data, tmp_path / "whole", kills=0, seed=0)
    while done < kills:
        run = tmp_path / f"run{done}"
        killed_until_done(built_data, run, min(4, kills - done), seed=done)
        done += 4
        assert RunFolder(run).finished
        assert_same_result(run, tmp_path / "whole")
