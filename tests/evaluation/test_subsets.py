"""Parts of a split, per-tile figures, and runs beside one another."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

from mmls_tf.errors import RunFolderError, UsageError
from mmls_tf.evaluation import job
from mmls_tf.evaluation.config import EvaluateConfig
from mmls_tf.evaluation.confusion import Confusion
from mmls_tf.evaluation.counting import TileScore
from mmls_tf.evaluation.job import evaluate
from mmls_tf.evaluation.screen import result_text
from mmls_tf.evaluation.speed import milliseconds_per_tile
from mmls_tf.evaluation.subsets import counts_of, per_tile, without_leaks
from mmls_tf.schema import TileEntry

pytestmark = pytest.mark.usefixtures("quick_jobs")


def score(run: Path, data: Path, split: str, **changes: object) -> dict:
    return evaluate(EvaluateConfig(run=str(run), data=str(data), split=split, **changes), "a test")


def tile(key: str, *counts: int) -> TileScore:
    return TileScore(key, Confusion(*counts), Confusion())


def entry(key: str, overlap: float = 0.0, touches: bool = False) -> TileEntry:
    return TileEntry(
        key, "test", "", "", None, None, "", 0, 0, 0, None, train_overlap=overlap, touches_train=touches
    )


def test_per_tile_figures_leave_tiles_out_where_they_are_undefined() -> None:
    found = per_tile([tile("a", 1, 1, 0, 0), tile("b", 1, 0, 0, 9), tile("empty", 0, 0, 0, 10)])
    assert found["iou_landslide"] == {"mean": 0.75, "median": 0.75, "tiles": 2}
    assert found["iou_background"] == {"mean": pytest.approx(2 / 3), "median": 1.0, "tiles": 3}
    assert per_tile([])["miou"] == {"mean": None, "median": None, "tiles": 0}


def test_tiles_that_train_tiles_give_away_are_left_out_in_two_degrees() -> None:
    tiles = [tile("clean", 8, 1, 1, 8), tile("touching", 9, 0, 0, 9), tile("overlapping", 9, 0, 0, 9)]
    entries = {
        "clean": entry("clean"),
        "touching": entry("touching", touches=True),
        "overlapping": entry("overlapping", 0.9, True),
    }
    found = without_leaks(tiles, entries)
    assert {name: part["tiles"] for name, part in found.items()} == {
        "without_overlapping": 2,
        "without_touching": 1,
    }
    assert found["without_touching"]["miou"] == 0.8
    assert found["without_overlapping"]["iou_landslide"] == 17 / 19


def test_the_table_of_tiles_adds_up_to_the_pooled_counts(own_run: Path, own_data: Path) -> None:
    result = score(own_run, own_data, "test")
    with (own_run / "evaluations" / "test.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == result["tiles"] == 5
    for name in ("true_positive", "false_positive", "false_negative", "true_negative"):
        assert sum(int(row[name]) for row in rows) == result["labelled_pixels"][name]
    manifest = {t["key"]: t for t in json.loads((own_data / "dataset.json").read_text())["tiles"]}
    for row in rows:
        assert float(row["x"]) == manifest[row["key"]]["place"]["x"]
        assert row["touches_train"] == str(int(manifest[row["key"]]["touches_train"]))


def test_a_run_beside_itself_differs_by_nothing(own_run: Path, own_data: Path, tmp_path: Path) -> None:
    other = shutil.copytree(own_run, tmp_path / "other")
    score(other, own_data, "test")
    result = score(own_run, own_data, "test", against=str(other))
    assert result["against"]["tiles"]["miou"] == {"difference": 0.0, "interval": [0.0, 0.0], "p": 1.0}
    assert "+0.0000" in result_text(result)


def test_a_run_beside_another_differs_by_their_pooled_scores(
    own_run: Path, own_data: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(own_run, tmp_path / "other"))
    theirs = score(other, own_data, "test", weights="last")
    result = score(own_run, own_data, "test", against=str(other))
    expected = result["labelled_pixels"]["miou"] - theirs["labelled_pixels"]["miou"]
    assert result["against"]["tiles"]["miou"]["difference"] == pytest.approx(expected)


def test_a_comparison_needs_an_evaluation_of_the_same_tiles(
    own_run: Path, own_data: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(own_run, tmp_path / "other"))
    with pytest.raises(RunFolderError, match="evaluate that run first, with the same flags"):
        score(own_run, own_data, "test", against=str(other))
    score(other, own_data, "test")
    described = other / "evaluations" / "test.json"
    fields = described.read_text()
    described.write_text(fields.replace(json.loads(fields)["data_fingerprint"], "another"))
    with pytest.raises(
        UsageError, match=r"expected an evaluation of the same data set, .*found one of another"
    ):
        score(own_run, own_data, "test", against=str(other))
    described.unlink()
    with pytest.raises(
        RunFolderError, match=r"test\.json: expected an evaluation, found .*evaluate that run again"
    ):
        score(own_run, own_data, "test", against=str(other))
    described.write_text(fields)
    path = other / "evaluations" / "test.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")
    with pytest.raises(UsageError, match=r"expected an evaluation of the same 5 tiles.* found one of 4"):
        score(own_run, own_data, "test", against=str(other))


def test_a_comparison_with_weights_that_have_changed_is_refused_before_anything_is_predicted(
    own_run: Path, own_data: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(own_run, tmp_path / "other"))
    score(other, own_data, "test", weights="last")
    shutil.copy(other / "best.keras", other / "last.keras")
    with (
        patch.object(job, "predict_tiles", side_effect=AssertionError("predicted")),
        pytest.raises(
            RunFolderError, match="expected an evaluation of the run's last weights as they are now"
        ),
    ):
        score(own_run, own_data, "test", against=str(other))


def test_counts_are_rows_of_true_and_false_positives_and_negatives() -> None:
    np.testing.assert_array_equal(counts_of([tile("a", 1, 2, 3, 4)]), [[1, 2, 3, 4]])
    assert counts_of([]).shape == (0, 4)


def test_speed_is_measured_on_full_batches_of_every_member_after_two_calls_to_warm_up() -> None:
    seen: list[tuple[tuple[int, ...], ...]] = []

    def predict(images: list[np.ndarray]) -> None:
        seen.append(tuple(image.shape for image in images))

    found = milliseconds_per_tile(predict, [np.zeros((1, 8, 8, 7)), np.zeros((2, 12, 12, 3))])  # type: ignore[arg-type]
    assert set(found) == {"1", "16"}
    assert seen[0] == ((1, 8, 8, 7), (1, 12, 12, 3))
    assert seen[-1] == ((16, 8, 8, 7), (16, 12, 12, 3))
    assert seen.count(seen[0]) >= 2 + 3
