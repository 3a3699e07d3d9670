"""Maps that were interrupted go on and end in the same bytes; no product has its name before all are complete."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from map_world import ALL, bytes_of, give_pointwise, mapped, write_raster

from mmls_tf.errors import UsageError
from mmls_tf.inference import job, products
from mmls_tf.inference.map_folder import MapFolder
from mmls_tf.inference.predictor import Predictor

pytestmark = pytest.mark.usefixtures("without_pictures")


class StoppedError(Exception):
    """Stands in for whatever ends a process."""


@contextmanager
def stopping(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, after: int) -> Iterator[None]:
    """Lets a function work so many times, and then no more."""
    work, calls = getattr(owner, name), []

    def limited(*words: Any, **named: Any) -> Any:
        calls.append(name)
        if len(calls) > after:
            raise StoppedError
        return work(*words, **named)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, limited)
        with pytest.raises(StoppedError):
            yield


PLACES = [
    (MapFolder, "save", 0),
    (MapFolder, "save", 2),
    (job.ByteRows, "write", 5),
    (job, "write_products", 0),
    (job, "write_json", 0),
    (MapFolder, "publish", 0),
    (Path, "replace", 0),
]


@pytest.mark.parametrize(("owner", "name", "after"), PLACES)
def test_stopped_anywhere_it_goes_on_and_ends_in_the_same_bytes(
    run: Path,
    scene: Path,
    finished: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    owner: Any,
    name: str,
    after: int,
) -> None:
    out = tmp_path / "map"
    with stopping(monkeypatch, owner, name, after):
        mapped(run, scene, out)
    assert [path.name for path in out.iterdir()] == [".partial"], "no product has its name yet"
    if not MapFolder(out).started:
        mapped(run, scene, out)
        assert bytes_of(out) == bytes_of(finished)
        return
    with pytest.raises(UsageError, match="an interrupted prediction is there already; go on with --resume"):
        mapped(run, scene, out)
    record = mapped(run, scene, out, resume=True)
    assert {path.name for path in out.iterdir()} == ALL
    assert bytes_of(out) == bytes_of(finished)
    assert record["windows"]["predicted"] == 70, "counted over both attempts"


@pytest.mark.parametrize("name", ["probability.tif", "mask.tif"])
def test_a_product_that_cannot_be_written_ends_the_map_whichever_thread_writes_it(
    run: Path, scene: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    write = products.write_cog

    def failing(source: Path, target: Path, layer: Any) -> None:
        if target.name == name:
            raise UsageError(f"{name}: cannot be written")
        write(source, target, layer)

    with monkeypatch.context() as patch:
        patch.setattr(products, "write_cog", failing)
        with pytest.raises(UsageError, match=f"{name}: cannot be written"):
            mapped(run, scene, tmp_path / "map")
    assert [path.name for path in (tmp_path / "map").iterdir()] == [".partial"]
    mapped(run, scene, tmp_path / "map", resume=True)
    assert bytes_of(tmp_path / "map") == bytes_of(finished)


def test_stopped_while_products_get_their_names_it_only_ends_that(
    run: Path, scene: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "map"
    publish, replace, moves = MapFolder.publish, Path.replace, []

    def stopping_half_way(folder: MapFolder) -> None:
        def limited(path: Path, target: Path) -> Path:
            moves.append(path)
            if len(moves) > 2:
                raise StoppedError
            return replace(path, target)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", limited)
            publish(folder)

    with monkeypatch.context() as patch:
        patch.setattr(MapFolder, "publish", stopping_half_way)
        with pytest.raises(StoppedError):
            mapped(run, scene, out)
    assert not (out / "prediction.json").exists()
    with monkeypatch.context() as patch:
        patch.setattr(job, "write_products", None)  # not called again
        mapped(run, scene, out, resume=True)
    assert {path.name for path in out.iterdir()} == ALL
    assert bytes_of(out) == bytes_of(finished)


def test_rows_that_are_finished_are_not_predicted_again(
    run: Path,
    scene: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with stopping(monkeypatch, MapFolder, "save", 1):
        mapped(run, scene, tmp_path / "map")
    capsys.readouterr()
    started = []
    work = Predictor.predict_rows

    def watched(self: Predictor, source: Any, checkpoint: Any = None, mapped: Any = None) -> Any:
        started.append(checkpoint.index)
        return work(self, source, checkpoint, mapped)

    monkeypatch.setattr(Predictor, "predict_rows", watched)
    mapped(run, scene, tmp_path / "map", resume=True)
    assert started[0] > 0
    assert "resumed    after row" in capsys.readouterr().out


def other_run(run: Path, tmp_path: Path) -> Path:
    return give_pointwise(Path(shutil.copytree(run, tmp_path / "other_run")), seed=9)


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        ({"overlap": 0.25}, "overlap: 0.25 instead of 0.75"),
        ({"threshold": "0.4"}, "threshold: 0.4 instead of 0.5"),
        ({"tta": "flips"}, 'tta: "flips" instead of "none"'),
        ({"batch": 2}, "batch: 2 instead of 1"),
        ({"min_area_km2": 1.0}, "min_area_km2: 1.0 instead of 0.0"),
        ({"missing": "gray"}, 'missing: "gray" instead of ""'),
        ("run", "weights_sha256"),
        ("scene", "scene: "),
    ],
)
def test_only_the_same_prediction_is_gone_on_with(
    run: Path, pixels: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: Any, name: str
) -> None:
    scene = write_raster(tmp_path / "scene.tif", pixels)
    with stopping(monkeypatch, MapFolder, "save", 1):
        mapped(run, scene, tmp_path / "map")
    if flags == "run":
        run, flags = other_run(run, tmp_path), {}
    elif flags == "scene":
        os.utime(scene, (1, 1))
        flags = {}
    with pytest.raises(UsageError, match=f"--resume: expected the runs, the scene and the flags .*{name}"):
        mapped(run, scene, tmp_path / "map", resume=True, **flags)


def test_a_finished_map_is_kept_unless_it_is_to_be_replaced(
    run: Path, scene: Path, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = Path(shutil.copytree(finished, tmp_path / "map"))
    with pytest.raises(UsageError, match=r"expected no map there yet, found probability.tif.*--overwrite"):
        mapped(run, scene, out)
    mapped(run, scene, out, resume=True)
    assert "finished already" in capsys.readouterr().out
    assert bytes_of(out) == bytes_of(finished)
    with pytest.raises(UsageError, match=r"threshold: 0.9 instead of 0.5"):
        mapped(run, scene, out, resume=True, threshold="0.9")
    (out / "mine.qgz").write_text("a project of the user's")
    (out / "mask.tif.aux.xml").write_text("statistics of the old mask")
    record = mapped(run, scene, out, overwrite=True, threshold="0.9")
    assert record["threshold"] == 0.9
    assert {path.name for path in out.iterdir()} == ALL | {"mine.qgz"}


def test_the_old_map_stays_until_the_new_one_is_complete(
    run: Path, scene: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = Path(shutil.copytree(finished, tmp_path / "map"))
    with stopping(monkeypatch, job, "write_products", 0):
        mapped(run, scene, out, overwrite=True, threshold="0.9")
    assert bytes_of(out) == bytes_of(finished)
    assert json.loads((out / "prediction.json").read_text())["threshold"] == 0.5
    assert mapped(run, scene, out, resume=True, threshold="0.9")["threshold"] == 0.9


def test_two_processes_do_not_write_one_map(run: Path, scene: Path, tmp_path: Path) -> None:
    out = tmp_path / "map"
    out.mkdir()
    handle = os.open(out, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        with pytest.raises(UsageError, match="another process is predicting there"):
            mapped(run, scene, out)
    finally:
        os.close(handle)


def test_a_process_killed_outright_leaves_what_the_next_one_goes_on_with(
    run: Path, scene: Path, finished: Path, tmp_path: Path
) -> None:
    out = tmp_path / "map"
    program = (
        "import os, signal, sys\n"
        "from mmls_tf.quiet import load_tensorflow\n"
        "load_tensorflow()\n"
        "from mmls_tf.inference import job, map_folder\n"
        "from mmls_tf.inference.config import PredictConfig\n"
        "write, calls = job.ByteRows.write, []\n"
        "def killed(self, row, rows):\n"
        "    write(self, row, rows)\n"
        "    calls.append(row)\n"
        "    if len(calls) == 6:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "job.ByteRows.write = killed\n"
        "run, scene, out = sys.argv[1:]\n"
        "job.predict(PredictConfig(run=run, scene=scene, out=out, batch=1, overlap=0.75), '')\n"
    )
    words = [sys.executable, "-c", program, str(run), str(scene), str(out)]
    killed = subprocess.run(words, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert killed.returncode == -9, killed.stderr
    assert [path.name for path in out.iterdir()] == [".partial"]
    assert (out / ".partial" / "checkpoint.npz").exists()
    mapped(run, scene, out, resume=True)
    assert bytes_of(out) == bytes_of(finished)
