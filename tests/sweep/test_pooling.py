"""Cross-validation: its flags, each fold, their mean, and the pooled score."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import pytest
from stand_in import StandIn, write_data

from mmls_tf.config import TrainConfig
from mmls_tf.errors import MmlsError
from mmls_tf.evaluation.confusion import Confusion
from mmls_tf.sweeping.plan import plan_cells
from mmls_tf.sweeping.pooling import write_pooled
from mmls_tf.sweeping.run import Sweep, data_fingerprints, run_sweep

COUNTS = {"fold=0": Confusion(4, 1, 1, 6), "fold=1": Confusion(1, 2, 0, 9), "fold=2": Confusion(2, 0, 2, 8)}


def plan_folds(data: Path, out: Path, folds: str, **flags: Any) -> Sweep:
    config = TrainConfig(data=str(data), folds=folds, **flags)
    cells = plan_cells(config, {"fold": range(3)}, out, f"--folds={folds}")
    return Sweep(cells, out, data_fingerprints(cells), ("val",), "last")


@pytest.fixture
def launch() -> StandIn:
    stand_in = StandIn()
    stand_in.counts = COUNTS
    return stand_in


def rows(text: str) -> dict[str, list[str]]:
    """Cells of the table by the first of a row."""
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    return {line[0]: line[1:] for line in lines if line[0].strip("-")}


def test_the_table_has_each_fold_their_mean_and_one_matrix_over_all_of_them(
    tmp_path: Path, launch: StandIn
) -> None:
    sweep = plan_folds(write_data(tmp_path / "data"), tmp_path / "out", "random:3")
    run_sweep(sweep, launch, lambda: None)
    found = rows(write_pooled(sweep, "a test"))
    assert found["fold"][:3] == ["tiles", "mIoU", "IoU landslide"]
    landslide = [4 / 6, 1 / 3, 2 / 4]
    background = [6 / 8, 9 / 11, 8 / 10]
    for fold in range(3):
        miou = (landslide[fold] + background[fold]) / 2
        assert found[str(fold)][:3] == ["4", f"{miou:.3f}"[1:], f"{landslide[fold]:.3f}"[1:]]
    deviation = statistics.stdev(landslide)
    assert found["mean of 3"][2] == f".500 ± {deviation:.3f}".replace("0.", ".")
    assert found["pooled"][:3] == ["12", f"{(7 / 13 + 23 / 29) / 2:.3f}"[1:], f"{7 / 13:.3f}"[1:]]
    value = json.loads((tmp_path / "out" / "crossval.json").read_text())
    assert value["pooled"]["miou"] == pytest.approx((7 / 13 + 23 / 29) / 2)
    assert value["pooled"]["true_positive"] == 7
    assert [run["fold"] for run in value["runs"]] == [0, 1, 2]
    assert (value["folds"], value["weights"]) == ("random:3", "last")
    page = (tmp_path / "out" / "crossval.md").read_text()
    assert "random:3, last weights" in page
    assert launch.scored() == [(f"fold={fold}", "val", "last") for fold in range(3)]
    assert {given["folds"] for command, given in launch.started if command == "mmls_tf.train"} == {"random:3"}


def test_before_all_folds_are_done_nothing_is_pooled(tmp_path: Path, launch: StandIn) -> None:
    sweep = plan_folds(write_data(tmp_path / "data"), tmp_path / "out", "random:3")
    tables: list[str] = []
    run_sweep(sweep, launch, lambda: tables.append(write_pooled(sweep, "a test")))
    assert ["pooled" in rows(text) for text in tables] == [False, False, True]
    assert "mean of 2" in rows(tables[1])
    assert rows(tables[0])["mean of 1"][1].endswith("± -")


def test_folds_that_do_not_score_every_tile_once_are_not_pooled(tmp_path: Path, launch: StandIn) -> None:
    sweep = plan_folds(write_data(tmp_path / "data", train=9), tmp_path / "out", "random:3")
    run_sweep(sweep, launch, lambda: None)
    with pytest.raises(MmlsError, match="each of 13 tiles once, found 12 scores"):
        write_pooled(sweep, "a test")


def test_blocks_need_not_score_tiles_whose_place_is_unknown(tmp_path: Path, launch: StandIn) -> None:
    sweep = plan_folds(write_data(tmp_path / "data", placed=False), tmp_path / "out", "blocks:3")
    run_sweep(sweep, launch, lambda: None)
    with pytest.raises(MmlsError, match="each of 0 tiles once, found 12 scores"):
        write_pooled(sweep, "a test")
    write_data(tmp_path / "data")
    assert rows(write_pooled(sweep, "a test"))["pooled"][0] == "12"


def test_a_metric_that_is_undefined_in_a_fold_has_no_mean(tmp_path: Path, launch: StandIn) -> None:
    launch.counts = {**COUNTS, "fold=1": Confusion(0, 0, 3, 9)}
    sweep = plan_folds(write_data(tmp_path / "data"), tmp_path / "out", "random:3")
    run_sweep(sweep, launch, lambda: None)
    found = rows(write_pooled(sweep, "a test"))
    precision = found["fold"].index("precision")
    assert found["1"][precision] == found["mean of 3"][precision] == "undefined"
    assert found["pooled"][precision] == f"{6 / 7:.3f}"[1:]


def test_the_table_states_which_surroundings_were_seen(tmp_path: Path, launch: StandIn) -> None:
    sweep = plan_folds(write_data(tmp_path / "data"), tmp_path / "out", "random:3", context=32)
    run_sweep(sweep, launch, lambda: None)
    found = rows(write_pooled(sweep, "a test"))
    assert found["fold"][:4] == ["tiles", "context", "context_from", "mIoU"]
    assert {tuple(found[name][1:3]) for name in ("0", "1", "2", "mean of 3", "pooled")} == {("32", "split")}
