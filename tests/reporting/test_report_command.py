"""What the command refuses, what it replaces, what it needs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from made_runs import add_evaluation, add_robustness, evaluation, make_run
from reading_pages import read_page, table_of

from mmls_tf.errors import RunFolderError, UsageError
from mmls_tf.reporting.folder import write_folder
from mmls_tf.reporting.job import ReportConfig, write_report

pytestmark = pytest.mark.usefixtures("quick_plots")
Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "runs" / "unet", splits=("test",))


def make(run: Path, out: Path, runs: str = "") -> list[str]:
    return write_report(ReportConfig(runs=runs or str(run), out=str(out)), "a test")


def test_the_command_needs_neither_keras_nor_tensorflow_nor_gdal_nor_jax(run: Path, tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from mmls_tf.reporting.job import ReportConfig, write_report\n"
        f"write_report(ReportConfig(runs={str(run)!r}, out={str(tmp_path / 'out')!r}), 'x')\n"
        "print({'tensorflow', 'keras', 'osgeo', 'jax', 'matplotlib.pyplot'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


def test_the_command_says_what_it_wrote_and_mistakes_end_with_exit_code_2(
    run: Path, tmp_path: Path, command: Command
) -> None:
    done = command("mmls_tf.report", f"--runs={run.parent}", f"--out={tmp_path / 'out'}")
    assert done.returncode == 0, done.stderr
    assert "1 run in 1 row" in done.stdout
    assert (tmp_path / "out" / "index.html").exists()
    wrong = command("mmls_tf.report", f"--runs={tmp_path / 'nowhere'}", f"--out={tmp_path / 'out2'}")
    assert wrong.returncode == 2
    assert "expected run folders, found none at" in wrong.stderr


def test_an_earlier_report_is_replaced_and_a_strangers_folder_is_left_alone(
    run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    make(run, out)
    add_evaluation(run, "val", 0.4)
    make(run, out)
    assert (out / "scores-val.csv").exists()
    (run / "evaluations" / "val.json").unlink()
    make(run, out)
    assert not (out / "scores-val.csv").exists()
    (out / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match=r"found 'thesis\.tex' in it, which no report made"):
        make(run, out)
    assert (out / "thesis.tex").read_text() == "years of work"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_file_or_another_folder_at_out_is_refused_before_anything_is_read(
    run: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="found a file or a link"):
        make(run, tmp_path / "file", "nowhere")
    with pytest.raises(UsageError, match=r"found .* in it, which no report made"):
        make(run, run.parent, "nowhere")
    assert (run / "run.json").exists()


def test_a_folder_that_was_filled_while_the_report_was_made_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_folder(out, {"index.html": b"first"}, "a test")
    (out / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match=r"thesis\.tex"):
        write_folder(out, {"index.html": b"second"}, "a test")
    assert sorted(path.name for path in out.iterdir()) == ["index.html", "report.json", "thesis.tex"]
    assert (out / "index.html").read_bytes() == b"first"


def test_a_failing_report_leaves_the_earlier_one(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    make(run, out)
    before = (out / "index.html").read_text()
    (run / "evaluations" / "test.csv").unlink()
    with pytest.raises(RunFolderError, match=r"test\.csv: expected the tiles of an evaluation"):
        make(run, out)
    assert (out / "index.html").read_text() == before


def test_an_evaluation_of_weights_that_have_changed_is_refused(run: Path, tmp_path: Path) -> None:
    (run / "best.keras").write_text("trained on")
    with pytest.raises(RunFolderError, match="best weights as they are now, found one of others"):
        make(run, tmp_path / "out")


def test_an_evaluation_of_another_version_is_refused_with_what_it_lacks(run: Path, tmp_path: Path) -> None:
    found = evaluation(run, "test")
    del found["terrain"], found["labelled_pixels"]["miou"]
    (run / "evaluations" / "test.json").write_text(json.dumps(found))
    with pytest.raises(RunFolderError, match="found none of terrain, labelled_pixels/miou; evaluate again"):
        make(run, tmp_path / "out")


def test_tiles_of_another_evaluation_are_refused(run: Path, tmp_path: Path) -> None:
    add_evaluation(run, "val", 0.9, "other")
    shutil.copy(run / "evaluations" / "other.csv", run / "evaluations" / "test.csv")
    (run / "evaluations" / "other.json").unlink()
    with pytest.raises(
        RunFolderError, match=r"expected the tiles of test\.json, whose pixels they add up to"
    ):
        make(run, tmp_path / "out")


def test_damaged_files_are_named(run: Path, tmp_path: Path) -> None:
    robust = run / "robustness"
    add_robustness(run)
    (robust / "test.json").write_text('{"split": "test", "changes": []}')
    with pytest.raises(
        RunFolderError, match=r"robustness.test\.json: expected a result of mmls_tf\.robustness"
    ):
        make(run, tmp_path / "out")
    (robust / "test.json").write_text("[]")
    with pytest.raises(RunFolderError, match="expected a JSON object, found list"):
        make(run, tmp_path / "out")
    shutil.rmtree(robust)
    (run / "evaluations" / "test.npz").write_bytes(b"nothing")
    with pytest.raises(RunFolderError, match=r"test\.npz: expected the pictures of an evaluation"):
        make(run, tmp_path / "out")


def test_runs_of_the_same_flags_and_seed_are_refused(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, run.with_name("copy"))
    with pytest.raises(UsageError, match=r"to differ in their seed, found seed 0 in .*copy, .*unet"):
        make(run, tmp_path / "out", str(run.parent))
    with pytest.raises(UsageError, match="expected every run once"):
        make(run, tmp_path / "out", f"{run},{run}")


def test_seeds_that_were_scored_differently_are_refused(run: Path, tmp_path: Path) -> None:
    other = make_run(run.with_name("unet1"), splits=("test",), seed=1)
    found = evaluation(other, "test")
    (other / "evaluations" / "test.json").write_text(json.dumps({**found, "threshold": 0.3}))
    with pytest.raises(
        UsageError, match=r"to have the same weights, data and threshold, found best .* 0\.5 in"
    ):
        make(run, tmp_path / "out", str(run.parent))


def test_what_is_no_run_is_an_error_by_name_and_left_out_by_pattern(run: Path, tmp_path: Path) -> None:
    (run.parent / "logs").mkdir()
    with pytest.raises(RunFolderError, match=r"logs: expected a run folder made by mmls_tf\.train"):
        make(run, tmp_path / "out", f"{run},{run.parent / 'logs'}")
    assert any("logs" in line for line in make(run, tmp_path / "out", f"{run.parent}/*"))
    with pytest.raises(RunFolderError, match="found 1 other files or folders"):
        make(run, tmp_path / "out", f"{run.parent}/log*")


def test_runs_without_any_evaluation_give_a_page_that_says_so(tmp_path: Path) -> None:
    make(make_run(tmp_path / "run", splits=()), tmp_path / "out")
    page = read_page(tmp_path / "out")
    assert "No run has an evaluation" in page.text
    assert "No run of this report was scored on isolated as it is: alone, at threshold 0.5." in page.text
    assert "No run has robustness results." in page.text
    assert "No runs that differ in --bands alone: no ladder." in page.text


def test_an_unfinished_run_is_marked_and_never_averaged_with_finished_ones(run: Path, tmp_path: Path) -> None:
    other = make_run(run.with_name("unet1"), splits=(), seed=1)
    (other / "summary.json").unlink()
    add_evaluation(other, "test", 0.4)
    make(run, tmp_path / "out", str(run.parent))
    rows = [row for row in table_of(read_page(tmp_path / "out"), "scores-test") if row["n"] == "1"]
    assert [row["model"] for row in rows] == ["U-Net", "U-Net, not finished"]


def test_runs_on_other_data_are_told_apart_and_not_compared_pair_by_pair(run: Path, tmp_path: Path) -> None:
    other = make_run(run.with_name("unet1"), splits=())
    record = json.loads((other / "run.json").read_text())
    (other / "run.json").write_text(json.dumps({**record, "fingerprint": "e" * 64}))
    add_evaluation(other, "test", 0.4, fingerprint="e" * 64)
    make(run, tmp_path / "out", str(run.parent))
    page = read_page(tmp_path / "out")
    measured = [row for row in table_of(page, "scores-test") if row["n"] == "1"]
    assert [row["data"] for row in measured] == ["ffffffff", "eeeeeeee"]
    assert [row["difference in mIoU"] for row in table_of(page, "paired")] == ["not the same tiles"]
    assert {row["fingerprint"] for row in table_of(page, "data")} == {"f" * 64, "e" * 64}
