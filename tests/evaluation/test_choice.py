"""What is chosen on val."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mmls_tf.data.dataset import open_dataset
from mmls_tf.errors import UsageError
from mmls_tf.evaluation.config import EvaluateConfig
from mmls_tf.evaluation.confusion import Confusion, count_pixels
from mmls_tf.evaluation.job import evaluate
from mmls_tf.evaluation.screen import result_text
from mmls_tf.prediction.member import load_member
from mmls_tf.prediction.tiles import predict_tiles

pytestmark = pytest.mark.usefixtures("quick_jobs")


def score(run: Path, data: Path, split: str, **changes: object) -> dict:
    return evaluate(EvaluateConfig(run=str(run), data=str(data), split=split, **changes), "a test")


def miou_on_val(run: Path, data: Path) -> Callable[[float], float]:
    """From a threshold to what it scores on val."""
    members = [load_member(run, "best", "tensorflow")]
    predictions = list(predict_tiles(members, open_dataset(data), "val", 2))

    def miou(threshold: float) -> float:
        counts = [count_pixels(probability > threshold, tile.mask) for tile, probability in predictions]
        return sum(counts, Confusion()).miou or 0.0

    return miou


def test_the_threshold_of_val_is_the_best_one_there_and_is_kept(own_run: Path, own_data: Path) -> None:
    result = score(own_run, own_data, "val", threshold="val")
    chosen = result["threshold"]
    miou = miou_on_val(own_run, own_data)
    assert miou(chosen) >= max(map(miou, np.linspace(0.02, 0.98, 25)))
    assert result["labelled_pixels"]["miou"] == pytest.approx(miou(chosen), abs=1e-9)
    kept = json.loads((own_run / "choices" / "plain.json").read_text())
    assert kept["threshold"] == chosen
    assert kept["tiles"] == 3


def test_test_takes_what_val_chose_and_never_chooses_itself(own_run: Path, own_data: Path) -> None:
    chosen = score(own_run, own_data, "val", threshold="val")["threshold"]
    result = score(own_run, own_data, "test", threshold="val")
    assert result["threshold"] == chosen
    assert result["threshold_from"] == "val"
    assert (own_run / "evaluations" / "test-threshold-val.json").exists()
    assert "chosen on val" in result_text(result)


def test_a_job_chooses_on_val_first_where_nothing_is_kept_yet(own_run: Path, own_data: Path) -> None:
    result = score(own_run, own_data, "test", threshold="val")
    assert result["threshold"] == score(own_run, own_data, "val", threshold="val")["threshold"]
    assert result["chosen_on_val"]["tiles"] == 3


def test_what_other_weights_or_another_way_of_predicting_chose_is_not_taken(
    own_run: Path, own_data: Path
) -> None:
    score(own_run, own_data, "test")
    path = own_run / "choices" / "plain.json"
    kept = json.loads(path.read_text())
    path.write_text(json.dumps({**kept, "threshold": 0.123}))
    assert score(own_run, own_data, "test")["chosen_on_val"]["threshold"] == 0.123, (
        "it is read, not made again"
    )
    path.write_text(json.dumps({**kept, "threshold": 0.123, "weights_sha256": ["other"]}))
    assert score(own_run, own_data, "test")["chosen_on_val"]["threshold"] == kept["threshold"]
    score(own_run, own_data, "test", tta="flips")
    assert (own_run / "choices" / "flips.json").exists()


def test_it_is_chosen_on_the_data_set_of_the_run_also_when_another_is_scored(
    own_run: Path, own_data: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(own_data, tmp_path / "other"))
    manifest = other / "dataset.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "fingerprint": "other"}))
    shutil.rmtree(other / "val")
    result = score(own_run, other, "test", threshold="val")
    assert result["threshold"] == score(own_run, own_data, "val", threshold="val")["threshold"]


def test_without_the_data_set_of_the_run_there_is_no_threshold_of_val_and_no_temperature(
    own_run: Path, own_data: Path
) -> None:
    manifest = own_data / "dataset.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "fingerprint": "other"}))
    record = own_run / "run.json"
    fields = json.loads(record.read_text())
    fields["config"]["data"] = "no/data"
    record.write_text(json.dumps(fields))
    with pytest.raises(UsageError, match=r"--threshold=val: expected the val split that .* was trained with"):
        score(own_run, own_data, "test", threshold="val")
    result = score(own_run, own_data, "test")
    assert result["chosen_on_val"] is None
    assert result["calibration"]["after"] is None
    assert "temperature" not in result_text(result)


def test_missing_bands_have_a_choice_of_their_own(own_run: Path, own_data: Path) -> None:
    score(own_run, own_data, "val", missing="dem")
    assert (own_run / "choices" / "without-dem.json").exists()
