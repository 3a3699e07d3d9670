"""Images of a challenge's phase, and what is submitted of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from submission_world import read_back

from mmls_tf.submission.config import SubmitConfig
from mmls_tf.submission.job import Submission, submit


@pytest.fixture
def images(raw_folder: Path, tmp_path: Path) -> Path:
    """A copy of the isolated images, without masks, as a challenge hands them out."""
    return Path(shutil.copytree(raw_folder / "isolated" / "images", tmp_path / "phase" / "images")).parent


@pytest.fixture
def sent(
    own_run: Path, images: Path, tmp_path: Path
) -> Callable[..., tuple[Submission, dict[str, np.ndarray]]]:
    """Submits and returns what was said, and the masks in the archive."""

    def send(**flags: object) -> tuple[Submission, dict[str, np.ndarray]]:
        config = {"run": str(own_run), "images": str(images), "out": str(tmp_path / "out.zip"), **flags}
        result = submit(SubmitConfig(**config))  # type: ignore[arg-type]
        return result, read_back(tmp_path / "out.zip")

    return send
