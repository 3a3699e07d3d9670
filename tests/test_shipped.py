"""Runs that come with the package: found by name, small, with a card, and of use from any folder."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import mmls_tf
from benchmarks.ship import ShipConfig, ship, without_paths
from mmls_tf.errors import RunFolderError
from mmls_tf.shipped import find_run, shipped_runs
from mmls_tf.training.run_folder import RunFolder

WEIGHTS = Path(mmls_tf.__file__).parent / "weights"
UNPACK = Path(__file__).parents[1] / "../shared/mmls/unpack.py"
MOST_BYTES = 4_000_000


def test_a_name_means_a_shipped_run_unless_something_of_that_name_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "light" in shipped_runs()
    assert find_run(Path("light")) == WEIGHTS / "light"
    for other in ("runs/light", "heavy", str(tmp_path / "light")):
        assert find_run(Path(other)) == Path(other)
    Path("light").mkdir()
    assert find_run(Path("light")) == Path("light")


def test_nothing_is_written_into_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunFolderError, match=r"found no run\.json; light comes with the package, .*: copy "):
        RunFolder.open(Path("light"))


@pytest.mark.parametrize("name", shipped_runs())
def test_a_shipped_run_is_small_and_has_a_card_and_no_path_of_the_machine_that_trained_it(name: str) -> None:
    folder = WEIGHTS / name
    assert sum(path.stat().st_size for path in folder.iterdir()) < MOST_BYTES
    card = (folder / "README.md").read_text(encoding="utf-8")
    for heading in ("## Data", "## Scores", "## Limits", "## Licence"):
        assert heading in card
    assert "CC BY 4.0" in card
    for record in ("run.json", "summary.json"):
        text = (folder / record).read_text(encoding="utf-8")
        assert re.findall(r'"[^"]*(?:^|")[/~]', text) == []
        assert json.loads(text)["config"]["run"] == f"runs/{name}"


@pytest.mark.parametrize("name", shipped_runs())
def test_a_shipped_run_maps_a_scene_from_any_folder(name: str, tmp_path: Path) -> None:
    scene = np.random.default_rng(0).normal(100.0, 20.0, (140, 150, 7)).astype(np.float32)
    scene[:9, :9] = np.nan
    np.save(tmp_path / "scene.npy", scene)
    program = (
        "import numpy as np\n"
        "from mmls_tf.inference.predictor import Predictor\n"
        f"np.save('map.npy', Predictor.load({name!r}).predict(np.load('scene.npy')))\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, capture_output=True)
    found = np.load(tmp_path / "map.npy")
    assert found.shape == (140, 150)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(scene[..., 0]))
    assert 0.0 <= np.nanmin(found) < np.nanmax(found) <= 1.0


def test_a_run_is_shipped_with_its_average_and_records_alone(trained_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "weights" / "small"
    ship(ShipConfig(run=str(trained_run), out=str(out)))
    _, record = RunFolder.open(out)
    kept = "ema" if record.config.ema else "best"
    assert sorted(path.name for path in out.iterdir()) == [f"{kept}.keras", "run.json", "summary.json"]
    assert zipfile.is_zipfile(out / f"{kept}.keras")
    assert (record.config.data, record.config.run, record.command) == ("data", "runs/small", "")


def test_a_run_that_is_not_finished_is_not_shipped(own_run: Path, tmp_path: Path) -> None:
    (own_run / "summary.json").unlink()
    with pytest.raises(RunFolderError, match="expected a finished run"):
        ship(ShipConfig(run=str(own_run), out=str(tmp_path / "out")))


def test_other_fields_are_shipped_as_they_are() -> None:
    fields = {"config": {"data": "/home", "epochs": 3}, "tile_size": 128}
    assert without_paths(fields, "a") == {
        "config": {"data": "data", "run": "runs/a", "epochs": 3},
        "tile_size": 128,
    }
