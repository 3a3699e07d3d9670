"""Mutated rasters are refused by name or read as another reader reads them; nothing crashes, hangs or grows."""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzzing import GOOD, SIZE, campaign, seeds

from mmls_tf.raster.layouts import LAYOUTS


def test_the_files_that_are_mutated_are_sound(tmp_path: Path) -> None:
    for name, (layout, kind, content) in seeds().items():
        path = tmp_path / f"{name}.tif"
        path.write_bytes(content)
        read = LAYOUTS[layout].read_image if kind == "image" else LAYOUTS[layout].read_mask
        assert read(str(path), SIZE, ("GTiff",)).pixels.shape == (7 if kind == "image" else 1, SIZE, SIZE)


@pytest.mark.parametrize(("count", "seed"), [(39, 11), pytest.param(520, 12, marks=pytest.mark.slow)])
def test_mutated_files(count: int, seed: int, tmp_path: Path) -> None:
    results = campaign(tmp_path, count, seed)
    assert len(results) == count
    assert [result for result in results if result[2] not in GOOD] == []
    assert {result[2] for result in results} == set(GOOD)
