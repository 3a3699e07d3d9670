"""Evaluations without the seconds that drawing a gallery and timing take, for tests that are about something else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from mmls_tf.evaluation import job, pictures


@pytest.fixture
def quick_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Writes an empty file in the place of the drawn gallery, and times nothing.

    What is drawn stands in the archive beside the gallery. Timing would compile two more batch sizes.
    """

    def write(path: Path, rows: Sequence[pictures.Row]) -> None:
        path.touch()

    monkeypatch.setattr(pictures, "_draw", write)
    monkeypatch.setattr(job, "milliseconds_per_tile", lambda predict, images: {"1": 2.0, "16": 1.0})
