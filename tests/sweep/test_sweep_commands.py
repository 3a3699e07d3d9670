"""`mmls_tf.sweep` and `mmls_tf.crossval` as users type them; one small grid is trained for good."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from stand_in import write_data

from mmls_tf.sweeping.names import name_problem

Command = Callable[..., "subprocess.CompletedProcess[str]"]
TILE, COUNTS = 32, {"train": 10, "val": 3}  # of `built_data`
CONFUSION = ("true_positive", "false_positive", "false_negative", "true_negative")
SMALL = ("--flagfile=configs/unet.flags", "--filters=3", "--epochs=1", "--batch=4", "--precision=float32")


def test_a_dry_run_prints_the_folders_and_trains_none(tmp_path: Path, command: Command) -> None:
    out = tmp_path / "out"
    words = ("--flagfile=configs/unet.flags", "--grid=bands=rgb,all;seed=0,1", f"--out={out}", "--dry_run")
    result = command("mmls_tf.sweep", *words)
    assert (result.returncode, result.stderr) == (0, "")
    names = ["bands=rgb,seed=0", "bands=rgb,seed=1", "bands=all,seed=0", "bands=all,seed=1"]
    assert result.stdout.splitlines() == [f"{out}/{name}" for name in names]
    result = command("mmls_tf.crossval", "--folds=3", f"--out={out}", "--dry_run")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [f"{out}/fold={fold}" for fold in range(3)]
    result = command("mmls_tf.crossval", "--folds=blocks", f"--out={out}", "--dry_run")
    assert result.stdout.splitlines() == [f"{out}/fold={fold}" for fold in range(5)]
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("mmls_tf.sweep",), "--grid"),
        (("mmls_tf.sweep", "--grid=seeds=1"), "--grid=seeds=1: expected flags of mmls_tf.train"),
        (("mmls_tf.sweep", "--grid=seed=0", "--run=runs/x"), "--run=runs/x: expected --out"),
        (("mmls_tf.sweep", "--grid=seed=0", "-run", "runs/x"), "-run: expected --out"),
        (("mmls_tf.sweep", "--grid=seed=0", "--epochs=0"), "--epochs=0: expected 1 or more"),
        (("mmls_tf.sweep", "--grid=seed=0", "--evaluate=test,isolated"), "a job of its own"),
        (("mmls_tf.sweep", "--grid=seed=0", "--evaluate=train"), "--evaluate=train: expected val, test or val,test"),
        (("mmls_tf.sweep", "--grid=seed=0", "--evaluate=val,val"), "--evaluate=val,val: expected val, test or"),
        (
            ("mmls_tf.sweep", "--grid=ema=0.9,0", "--evaluate=val", "--weights=ema"),
            "--weights=ema: expected --ema of every run, found ema=0.0 without",
        ),
        (("mmls_tf.sweep", "--grid=seed=0", "--data=no/data"), "no/data: expected a data set"),
        (("mmls_tf.crossval",), "--folds=: expected a number of folds"),
        (("mmls_tf.crossval", "--folds=1"), "--folds=1: expected a number of folds"),
        (("mmls_tf.crossval", "--folds=stripes:4"), "--folds=stripes:4: expected a number of folds"),
        (("mmls_tf.crossval", "--folds=5", "--fold=0"), "--fold=0: expected none"),
        (("mmls_tf.crossval", "--folds=5", "--run=runs/x"), "--run=runs/x: expected --out"),
        (("mmls_tf.crossval", "--folds=5", "--weights=ema"), "--weights=ema: expected --ema"),
    ],
)  # fmt: skip
def test_a_mistake_costs_exit_code_2_and_nothing_is_made(
    words: tuple[str, ...], message: str, tmp_path: Path, command: Command
) -> None:
    result = command(*words, f"--out={tmp_path}/out")
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_decoder_or_encoder_that_does_not_exist_is_found_before_the_first_run(
    tmp_path: Path, command: Command
) -> None:
    data = write_data(tmp_path / "data")
    words = (f"--data={data}", f"--out={tmp_path}/out", "--grid=encoder=plain,vgg16")
    result = command("mmls_tf.sweep", *words)
    assert result.returncode == 2
    assert "--encoder=vgg16: expected one of" in result.stderr
    assert not (tmp_path / "out").exists()
    assert name_problem([("unet", "plain"), ("u-net", "plain")], "auto").startswith(
        "--model=u-net: expected one of"
    )
    assert name_problem([("unet", "plain")], "auto") == ""


@pytest.mark.slow  # six processes that start TensorFlow; what they do is tested within one in this folder
def test_folds_are_trained_scored_and_pooled_and_a_sweep_over_them_finds_all_of_it_done(
    built_data: Path, tmp_path: Path, command: Command
) -> None:
    out = tmp_path / "out"
    words = (*SMALL, f"--data={built_data}", f"--out={out}", "--weights=last")
    result = command("mmls_tf.crossval", *words, "--folds=2")
    assert (result.returncode, result.stderr) == (0, "")
    for fold in (0, 1):
        run = out / f"fold={fold}"
        config = json.loads((run / "summary.json").read_text())["config"]
        assert (config["folds"], config["fold"], config["filters"]) == ("random:2", fold, 3)
        assert (
            f"python -m mmls_tf.train --data={built_data}" in (out / "logs" / f"fold={fold}.log").read_text()
        )
    report = json.loads((out / "crossval.json").read_text())
    assert report["pooled"]["tiles"] == COUNTS["train"] + COUNTS["val"]
    assert sum(report["pooled"][count] for count in CONFUSION) == report["pooled"]["tiles"] * TILE**2
    for count in CONFUSION:
        assert report["pooled"][count] == sum(run[count] for run in report["runs"])
    assert (out / "crossval.md").read_text().splitlines()[4] in result.stdout

    before = (out / "fold=0" / "summary.json").stat().st_mtime_ns
    again = command("mmls_tf.sweep", *words, "--folds=random:2", "--grid=fold=0,1", "--evaluate=val")
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout.count("is finished") == 2
    assert "training" not in again.stdout
    assert "evaluating" not in again.stdout
    assert (out / "fold=0" / "summary.json").stat().st_mtime_ns == before
    lines = json.loads((out / "sweep.json").read_text())["lines"]
    assert [line["figures"]["evaluated.val.miou"]["mean"] for line in lines] == [
        run["miou"] for run in report["runs"]
    ]
    assert (out / "sweep.md").read_text().splitlines()[4] in again.stdout
