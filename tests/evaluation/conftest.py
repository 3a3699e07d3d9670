"""Evaluations without the second that drawing a gallery takes, for tests that are about something else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from mmls_tf.evaluation import pictures


@pytest.fixture
def quick_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Writes an empty file in the place of the drawn gallery; what is drawn stands in the archive beside it."""

    def write(path: Path, rows: Sequence[pictures.Row]) -> None:
        path.touch()

    monkeypatch.setattr(pictures, "_draw", write)
