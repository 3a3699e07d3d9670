"""Opening run folders that are not as they should be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmls_tf.errors import RunFolderError
from mmls_tf.files import write_json
from mmls_tf.training.run_folder import RunFolder


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"expected a run folder made by mmls_tf\.train"):
        RunFolder.open(tmp_path)


@pytest.mark.parametrize(
    "change", [{"schema_version": 999}, {"config": {"model": "unet", "speed": "ludicrous"}}]
)
def test_a_run_of_another_version_is_refused(own_run: Path, change: dict[str, object]) -> None:
    path = own_run / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(RunFolderError, match=r"run\.json: expected a run of this version"):
        RunFolder.open(own_run)


def test_missing_weights_are_named(own_run: Path) -> None:
    (own_run / "best.keras").unlink()
    folder, _ = RunFolder.open(own_run)
    with pytest.raises(RunFolderError, match=r"best\.keras: expected a saved model"):
        folder.load_model("best")


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert json.loads(path.read_text()) == {"a": 1}
