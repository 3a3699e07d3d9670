"""Runs become one small JSON file: what is kept, what is refused, and no path of anybody's machine."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from stand_in import write_data, write_evaluation, write_robustness, write_run

from mmls_tf.config import TrainConfig
from mmls_tf.errors import RunFolderError, UsageError
from mmls_tf.evaluation.confusion import Confusion
from mmls_tf.sweeping.collection import collect, to_json

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two finished runs, a and b, the second with scores; and c, which was interrupted."""
    data = write_data(tmp_path / "data")
    root = tmp_path / "runs"
    changed: dict[str, dict[str, Any]] = {
        "a": {},
        "b": {"seed": 2, "ema": 0.9, "bands": "rgb", "pretrained": str(tmp_path / "other" / "best.keras")},
        "c": {},
    }
    for name, flags in changed.items():
        write_run(root / name, TrainConfig(data=str(data), run=str(root / name), resume=True, **flags))
    write_evaluation(root / "b", "test", "ema", Confusion(3, 1, 1, 5))
    write_evaluation(root / "b", "val", "best", Confusion(3, 0, 1, 6), tiles=3)
    (root / "c" / "summary.json").unlink()
    return root


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from strings(inner)
    if isinstance(value, str):
        yield value


def test_an_entry_holds_what_was_trained_how_it_scored_and_on_what(runs: Path) -> None:
    first, second = collect([runs / "a", runs / "b"])
    assert first["name"] == "runs/a"
    assert first["config"] == {}
    assert first["evaluations"] == {}
    assert second["config"] == {"bands": "rgb", "pretrained": "best.keras", "ema": 0.9}
    assert (second["seed"], second["fingerprint"], second["epochs"]) == (2, "f" * 64, 60)
    assert second["val"] == pytest.approx(
        {"best_miou": 0.52, "best_epoch": 2, "last_miou": 0.42, "ema_miou": 0.62}
    )
    assert first["val"]["ema_miou"] is None
    test = second["evaluations"]["test"]
    assert (test["weights"], test["tiles"]) == ("ema", 4)
    assert test["confusion"] == {
        "true_positive": 3, "false_positive": 1, "false_negative": 1, "true_negative": 5,
    }  # fmt: skip
    assert {
        name: test[name] for name in ("iou_landslide", "iou_background", "f1", "precision", "recall")
    } == (
        pytest.approx(
            {"iou_landslide": 3 / 5, "iou_background": 5 / 7, "f1": 6 / 8, "precision": 0.75, "recall": 0.75}
        )
    )
    assert test["miou"] == pytest.approx((3 / 5 + 5 / 7) / 2)
    assert second["evaluations"]["val"]["tiles"] == 3
    kept = ("seconds", "machine", "commit", "device", "precision", "jit", "backend", "versions")
    assert [second[name] for name in kept] == [
        12.5, {"cores": 2, "processor": "Z80"}, "c0ffee", "CPU (Z80), Keras on tensorflow", "float32", False,
        "tensorflow", {"keras": "3.15.0", "mmls_tf": "0.1.0"},
    ]  # fmt: skip


def test_no_path_of_a_machine_is_kept(runs: Path, tmp_path: Path) -> None:
    summary = json.loads((runs / "a" / "summary.json").read_text())
    (runs / "a" / "summary.json").write_text(
        json.dumps({**summary, "machine": {"processor": "/opt/simulator/z80"}})
    )
    text = to_json(collect([runs / "a", runs / "b"]))
    assert "z80" in text
    found = list(strings(json.loads(text)))
    assert len(found) > 50
    assert [word for word in found if word.startswith(("/", "~")) or str(tmp_path) in word] == []


def test_a_data_set_that_is_not_called_data_is_named_without_its_place(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data-highland")
    write_run(tmp_path / "run", TrainConfig(data=str(data)))
    assert collect([tmp_path / "run"])[0]["config"] == {"data": "data-highland"}


def test_runs_that_are_not_finished_are_refused_by_name(runs: Path) -> None:
    (runs / "a" / "summary.json").unlink()
    with pytest.raises(RunFolderError) as caught:
        collect([runs / "a", runs / "b", runs / "c"])
    assert "found 2 not finished" in str(caught.value)
    assert [line.strip() for line in str(caught.value).splitlines()[1:]] == [f"{runs}/a", f"{runs}/c"]


def test_an_evaluation_of_weights_that_are_no_more_is_refused(runs: Path) -> None:
    (runs / "b" / "ema.keras").write_text("trained anew")
    with pytest.raises(RunFolderError, match=r"b/evaluations/test\.json: expected scores of the run's ema"):
        collect([runs / "b"])


def test_an_evaluation_on_other_data_says_on_which(runs: Path) -> None:
    path = runs / "b" / "evaluations" / "test.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "data_fingerprint": "e" * 64}))
    found = collect([runs / "b"])[0]["evaluations"]
    assert found["test"]["fingerprint"] == "e" * 64
    assert "fingerprint" not in found["val"]


def test_what_a_changed_input_costs_is_kept_by_change_and_refused_of_weights_that_are_no_more(
    runs: Path,
) -> None:
    write_robustness(runs / "b", "val-isolated", "ema", 0.7, {"shift of both": 0.6, "noise": 0.5})
    first, second = collect([runs / "a", runs / "b"])
    assert first["robustness"] == {}
    assert second["robustness"] == {
        "val-isolated": {
            "weights": "ema",
            "tiles": 4,
            "metric": "miou",
            "clean": 0.7,
            "changed": {"shift of both": 0.6, "noise": 0.5},
        }
    }
    (runs / "b" / "evaluations" / "test.json").unlink()
    (runs / "b" / "ema.keras").write_text("trained anew")
    with pytest.raises(
        RunFolderError, match=r"b/robustness/val-isolated\.json: expected scores of the run's ema"
    ):
        collect([runs / "b"])


def test_what_is_no_run_and_holds_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    for name in ("empty", "file"):
        with pytest.raises(RunFolderError, match=f"{name}: expected a run folder"):
            collect([tmp_path / name])


def test_a_run_named_twice_is_refused(runs: Path) -> None:
    with pytest.raises(UsageError, match="found runs/a 2 times"):
        collect([runs / "a", runs / "b", runs / "a"])


def test_a_run_of_a_version_with_other_flags_is_refused(runs: Path) -> None:
    path = runs / "a" / "summary.json"
    summary = json.loads(path.read_text())
    path.write_text(json.dumps({**summary, "config": {**summary["config"], "speed": "ludicrous"}}))
    with pytest.raises(RunFolderError, match=r"runs/a: expected a run of this version .* 'speed'"):
        collect([runs / "a"])


def test_the_command_takes_patterns_and_folders_of_sweeps_and_writes_one_file(
    runs: Path, tmp_path: Path, command: Command
) -> None:
    (runs / "c").rename(tmp_path / "interrupted")
    (runs / "a").rename(runs / "bands=rgb,seed=0")
    (runs / "logs").mkdir()
    out = tmp_path / "new" / "name.json"
    texts = (
        str(runs),
        f"{runs}/b*",
        f"{runs}/bands=rgb,seed=0,{runs}/b",
        f"{runs}/?, {runs}/bands=rgb,seed=?",
    )
    for text in texts:
        result = command("mmls_tf.results", f"--runs={text}", f"--out={out}")
        assert result.returncode == 0, result.stderr
        assert "2 runs" in result.stdout
        names = {entry["name"] for entry in json.loads(out.read_text())["runs"]}
        assert names == {"runs/bands=rgb,seed=0", "runs/b"}
    assert not list(out.parent.glob(".*"))


def test_the_command_says_what_it_has_not_found_and_writes_nothing(
    runs: Path, tmp_path: Path, command: Command
) -> None:
    out = tmp_path / "name.json"
    for text, message in (
        (
            f"{runs}/a,{runs}/z*",
            f"--runs={runs}/a,{runs}/z*: expected run folders, found none at '{runs}/z*'",
        ),
        (f"{runs}/*", f"{runs}/c"),
        ("", "--runs=: expected run folders"),
    ):
        result = command("mmls_tf.results", f"--runs={text}", f"--out={out}")
        assert result.returncode == 2
        assert message in result.stderr
        assert "Traceback" not in result.stderr
    assert not out.exists()
