"""Tables of a sweep: means and deviations over seeds, and nothing where nothing is known."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import pytest
from stand_in import StandIn, plan, write_data

from mmls_tf.errors import RunFolderError
from mmls_tf.evaluation.confusion import Confusion
from mmls_tf.sweeping.report import write_report
from mmls_tf.sweeping.run import Sweep, run_sweep
from mmls_tf.sweeping.spread import number_text, spread, spread_text

COMMAND = "python -m mmls_tf.sweep --grid=..."


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_data(tmp_path / "data")


def finish(sweep: Sweep, launch: StandIn | None = None) -> list[list[str]]:
    """Runs a sweep and returns the cells of its table, the head first."""
    run_sweep(sweep, launch or StandIn(), lambda: None)
    return rows(write_report(sweep, COMMAND))


def rows(text: str) -> list[list[str]]:
    lines = text.splitlines()
    assert set(lines[1]) == set("|-")
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in (lines[0], *lines[2:])]


def test_a_deviation_is_that_of_a_sample_and_unknown_for_one_run() -> None:
    found = spread([0.7576, 0.7758, 0.7982])
    assert found.mean == pytest.approx(0.7772)
    assert found.sd == pytest.approx(0.020336, abs=1e-6)
    assert spread_text(found) == ".777 ± .020"
    assert spread([0.5]).sd is None
    assert spread_text(spread([0.5])) == ".500 ± -"


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, ".000"), (1.0, "1.000"), (0.9996, "1.000"), (10.25, "10.250")]
)
def test_numbers_are_written_without_the_zero_before_the_point(value: float, text: str) -> None:
    assert number_text(value) == text


def test_a_line_sums_up_the_seeds_of_every_combination_of_the_other_flags(data: Path, tmp_path: Path) -> None:
    sweep = plan(data, tmp_path / "out", "bands=rgb,all;seed=1,2,4")
    head, *lines = finish(sweep)
    assert head == ["bands", "n", "val mIoU, best epoch", "val mIoU, last epoch"]
    deviation = f"{statistics.stdev([1, 2, 4]) / 100:.3f}"[1:]
    assert lines == [[bands, "3", f".523 ± {deviation}", f".423 ± {deviation}"] for bands in ("rgb", "all")]


def test_lines_state_which_surroundings_were_seen_whatever_the_grid_says(data: Path, tmp_path: Path) -> None:
    head, *lines = finish(plan(data, tmp_path / "out", "windows=tiles,anywhere"))
    assert head[:4] == ["windows", "context", "context_from", "n"]
    assert [line[:3] for line in lines] == [["tiles", "0", "split"], ["anywhere", "0", "split"]]
    head, *lines = finish(plan(data, tmp_path / "other", "context=8,16;context_from=all"))
    assert head[:3] == ["context", "context_from", "n"]
    assert [line[:2] for line in lines] == [["8", "all"], ["16", "all"]]


def test_one_run_has_a_dash_in_place_of_a_deviation(data: Path, tmp_path: Path) -> None:
    _, *lines = finish(plan(data, tmp_path / "out", "bands=rgb,all"))
    assert lines == [[bands, "1", ".500 ± -", ".400 ± -"] for bands in ("rgb", "all")]
    found = json.loads((tmp_path / "out" / "sweep.json").read_text())
    assert found["lines"][0]["figures"]["val.best"] == {"mean": 0.5, "sd": None, "n": 1}


def test_a_grid_of_seeds_alone_is_one_line(data: Path, tmp_path: Path) -> None:
    assert finish(plan(data, tmp_path / "out", "seed=0,2"))[1] == ["2", ".510 ± .014", ".410 ± .014"]


def test_the_average_of_weights_has_a_column_where_some_run_has_one(data: Path, tmp_path: Path) -> None:
    head, without, average = finish(plan(data, tmp_path / "out", "ema=0,0.9;seed=0,2"))
    assert head[-1] == "val mIoU, average"
    assert (without[-1], average[-1]) == ("-", ".610 ± .014")


def test_scores_of_the_evaluated_splits_stand_beside(data: Path, tmp_path: Path) -> None:
    launch = StandIn()
    launch.counts = {"seed=0": Confusion(3, 1, 1, 5), "seed=1": Confusion(5, 0, 0, 5)}
    head, line = finish(plan(data, tmp_path / "out", "seed=0,1", evaluate=("test",)), launch)
    assert head[-2:] == ["test mIoU (best)", "test IoU landslide (best)"]
    miou = [(3 / 5 + 5 / 7) / 2, 1.0]
    mean, deviation = statistics.fmean(miou), statistics.stdev(miou)
    assert line[-2] == f"{mean:.3f} ± {deviation:.3f}".replace("0.", ".")
    assert line[-1] == ".800 ± .283"


def test_a_mean_is_left_out_where_one_seed_has_no_figure(data: Path, tmp_path: Path) -> None:
    launch = StandIn()
    launch.counts = {"seed=1": Confusion(0, 0, 0, 9)}
    head, line = finish(plan(data, tmp_path / "out", "seed=0,1", evaluate=("test",)), launch)
    assert line[head.index("test mIoU (best)")] == "-"
    found = json.loads((tmp_path / "out" / "sweep.json").read_text())
    assert found["lines"][0]["figures"]["evaluated.test.miou"] is None
    assert found["runs"][1]["figures"]["evaluated.test.miou"] is None
    assert found["runs"][0]["figures"]["evaluated.test.miou"] is not None


def test_after_every_run_the_report_says_how_many_of_how_many_are_finished(
    data: Path, tmp_path: Path
) -> None:
    sweep = plan(data, tmp_path / "out", "bands=rgb,all;seed=0,2")
    tables: list[str] = []
    run_sweep(sweep, StandIn(), lambda: tables.append(write_report(sweep, COMMAND)))
    counts = [[line[1] for line in rows(text)[1:]] for text in tables]
    assert counts == [["1 of 2", "0 of 2"], ["2", "0 of 2"], ["2", "1 of 2"], ["2", "2"]]
    assert rows(tables[0])[2] == ["all", "0 of 2", "", ""]


def test_the_json_file_holds_every_run_and_the_page_the_table_and_the_command(
    data: Path, tmp_path: Path
) -> None:
    sweep = plan(data, tmp_path / "out", "seed=0,3", evaluate=("val",), weights="last")
    finish(sweep)
    found = json.loads((tmp_path / "out" / "sweep.json").read_text())
    assert (found["command"], found["evaluate"], found["weights"]) == (COMMAND, ["val"], "last")
    last = found["runs"][1]
    assert (last["name"], last["values"], last["seed"]) == ("seed=3", {"seed": 3}, 3)
    assert (last["finished"], last["best_epoch"], last["seconds"]) == (True, 2, 12.5)
    assert last["figures"]["val.best"] == pytest.approx(0.53)
    assert last["figures"]["evaluated.val.f1"] == pytest.approx(6 / 8)
    page = (tmp_path / "out" / "sweep.md").read_text()
    assert COMMAND in page
    assert "sample standard deviation" in page
    assert "scored with last weights" in page
    assert write_report(sweep, COMMAND) in page


def test_a_score_of_weights_that_were_since_trained_anew_is_not_reported(data: Path, tmp_path: Path) -> None:
    sweep = plan(data, tmp_path / "out", "seed=0", evaluate=("test",))
    finish(sweep)
    (tmp_path / "out" / "seed=0" / "best.keras").write_text("trained anew")
    assert rows(write_report(sweep, COMMAND))[1][-2:] == ["-", "-"]


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"config": {}}'])
def test_a_damaged_summary_is_named(data: Path, tmp_path: Path, text: str) -> None:
    sweep = plan(data, tmp_path / "out", "seed=0")
    finish(sweep)
    (tmp_path / "out" / "seed=0" / "summary.json").write_text(text)
    with pytest.raises(RunFolderError, match="seed=0"):
        write_report(sweep, COMMAND)
