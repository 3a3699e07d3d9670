"""Made runs and the report of them, shared by the tests of a session."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

import pytest
from made_runs import add_evaluation, add_robustness, make_run
from matplotlib.figure import Figure

from mmls_tf.reporting.job import ReportConfig, write_report


@pytest.fixture
def quick_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty drawings in the place of plots, which take the longest, for tests that are about something else."""

    def save(figure: Figure, file: TextIO, **ways: object) -> None:
        file.write('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 4 3"/>')

    monkeypatch.setattr(Figure, "savefig", save)


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of a U-Net, one on RGB with an evaluation by symmetries, and a SegFormer scored on test alone."""
    root = tmp_path_factory.mktemp("made") / "runs"
    make_run(root / "unet_s0", 0.3)
    make_run(root / "unet_s1", 0.35, seed=1)
    make_run(root / "unet_rgb", 0.5, bands="rgb")
    make_run(root / "segformer", 0.4, ("test",), model="segformer")
    add_evaluation(root / "unet_rgb", "test", 0.45, "test-d4")
    add_robustness(root / "unet_s0")
    (root / "notes").mkdir()
    return root


@pytest.fixture(scope="session")
def report(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the report of `runs`; not to be changed by tests."""
    out = tmp_path_factory.mktemp("reports") / "report"
    write_report(ReportConfig(runs=f"{runs}/*", out=str(out), detailed=2), "a test")
    return out
