"""Sources that several tests only read."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_world import write_source

COUNTS = {"train": 4, "val": 2, "test": 2, "isolated": 2}


@pytest.fixture(scope="session")
def challenge_src(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_source(tmp_path_factory.mktemp("challenge") / "raw", COUNTS)


@pytest.fixture(scope="session")
def public_src(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_source(tmp_path_factory.mktemp("public") / "raw", COUNTS, layout="public")
