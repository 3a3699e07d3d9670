"""Evaluation jobs on a trained run."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import average_precision_score, jaccard_score

from mmls_tf.data.dataset import open_dataset
from mmls_tf.data.normalise import Normalisation
from mmls_tf.data.tiles import read_tiles
from mmls_tf.errors import DatasetError, RunFolderError, UsageError
from mmls_tf.evaluation import job
from mmls_tf.evaluation.config import EvaluateConfig
from mmls_tf.evaluation.job import evaluate
from mmls_tf.evaluation.screen import result_text
from mmls_tf.evaluation.speed import milliseconds_per_tile
from mmls_tf.training.machine import find_commit
from mmls_tf.training.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("quick_jobs")


def score(run: Path, data: Path, split: str, **changes: object) -> dict:
    return evaluate(EvaluateConfig(run=str(run), data=str(data), split=split, **changes), "a test")


def truth_and_guess(
    run: Path, data: Path, split: str, missing: tuple[int, ...] = ()
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Parses records by hand and predicts tile by tile: what any batching must agree with."""
    folder, record = RunFolder.open(run)
    model = keras.saving.load_model(folder.weights("best"), compile=False)
    masks, valids, guesses = [], [], []
    for shard in sorted((data / split).glob("*.tfrecord")):
        for raw in tf.data.TFRecordDataset(str(shard)).as_numpy_iterator():
            feature = tf.train.Example.FromString(raw).features.feature
            image = np.frombuffer(feature["image"].bytes_list.value[0], "<f4").reshape(32, 32, 7)
            valid = np.frombuffer(feature["valid"].bytes_list.value[0], np.uint8).reshape(32, 32)
            normalisation: Normalisation = record.normalisation
            x = (image - np.float32(normalisation.mean)) / np.float32(normalisation.std) * valid[..., None]
            x[..., list(missing)] = 0.0
            guesses.append(model(x[None], training=False).numpy()[0, ..., 0] > 0)
            masks.append(np.frombuffer(feature["mask"].bytes_list.value[0], np.uint8).reshape(32, 32))
            valids.append(valid)
    return np.stack(masks), np.stack(guesses), np.stack(valids)


@pytest.mark.parametrize(
    ("split", "batch"), [("val", 16), ("isolated", 16), ("test", 1), ("test", 3), ("test", 16)]
)
def test_scores_are_those_of_scikit_learn_whatever_the_batch(
    own_run: Path, own_data: Path, split: str, batch: int
) -> None:
    result = score(own_run, own_data, split, batch=batch)
    masks, guesses, valids = truth_and_guess(own_run, own_data, split)
    for name, chosen in (("labelled_pixels", np.ones_like(masks)), ("valid_pixels_only", valids)):
        ious = jaccard_score(masks[chosen == 1], guesses[chosen == 1], average=None, labels=[0, 1])
        assert result[name]["pixels"] == int(chosen.sum())
        assert result[name]["miou"] == pytest.approx(ious.mean(), abs=2e-3)
    assert result["tiles"] == len(masks)


def test_the_headline_counts_invalid_pixels_and_valid_only_does_not(own_run: Path, own_data: Path) -> None:
    result = score(own_run, own_data, "isolated")
    assert result["labelled_pixels"]["pixels"] == 4 * 32 * 32
    assert result["valid_pixels_only"]["pixels"] < 4 * 32 * 32, "the sample has a nodata line in isolated"


def test_the_gap_is_isolated_minus_test_and_needs_both(own_run: Path, own_data: Path) -> None:
    assert "evaluate the same weights with --split=test first" in result_text(
        score(own_run, own_data, "isolated")
    )
    test = score(own_run, own_data, "test")
    isolated = score(own_run, own_data, "isolated")
    for name in ("miou", "precision", "recall"):
        expected = isolated["labelled_pixels"][name] - test["labelled_pixels"][name]
        assert isolated["gap_to_test"][name] == pytest.approx(expected)
    assert score(own_run, own_data, "isolated", weights="last")["gap_to_test"] is None


def test_the_screen_says_whose_images_surrounded_the_tiles(own_run: Path, own_data: Path) -> None:
    result = score(own_run, own_data, "test")
    assert "surroundings" not in result_text(result)
    seen = {**result, "context": 8, "context_from": "all"}
    assert "8 pixels of surroundings from tiles of train, val and test) on split" in result_text(seen)
    looks = {"of_this_run": 1, "of_this_data_set": 1}
    for change in ({"split": "isolated", "isolated_evaluations": looks}, {"context_from": "split"}):
        assert "from tiles of the same split) on split" in result_text({**seen, **change})


def test_an_unlabelled_split_is_refused_with_the_reason(own_run: Path, own_data: Path) -> None:
    manifest = own_data / "dataset.json"
    fields = json.loads(manifest.read_text())
    fields["splits"][2]["labelled"] = False
    manifest.write_text(json.dumps(fields))
    with pytest.raises(DatasetError, match=r"expected masks in split 'test', found images only.*withheld"):
        score(own_run, own_data, "test")


def test_a_damaged_test_shard_is_refused(own_run: Path, own_data: Path) -> None:
    (shard,) = (own_data / "test").glob("*.tfrecord")
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(DatasetError, match="test-00000"):
        score(own_run, own_data, "test")


def test_an_absent_isolated_split_is_an_error_and_not_an_empty_score(own_run: Path, own_data: Path) -> None:
    manifest = own_data / "dataset.json"
    fields = json.loads(manifest.read_text())
    fields["splits"] = fields["splits"][:3]
    manifest.write_text(json.dumps(fields))
    shutil.rmtree(own_data / "isolated")
    with pytest.raises(DatasetError, match="expected a split 'isolated', found train, val, test"):
        score(own_run, own_data, "isolated")


def test_another_data_set_is_scored_with_a_remark(own_run: Path, own_data: Path) -> None:
    manifest = own_data / "dataset.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "fingerprint": "other"}))
    result = score(own_run, own_data, "test")
    assert not result["trained_on_this_data_set"]
    assert "its training tiles may be among these" in result_text(result)


def test_the_two_releases_with_their_own_scalings_are_not_mixed(own_run: Path, own_data: Path) -> None:
    manifest = own_data / "dataset.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "scaling": "mmls_v1"}))
    with pytest.raises(
        DatasetError, match="expected bands scaled as mmlsv2, as the run was trained on, found"
    ):
        score(own_run, own_data, "test")


def test_tiles_of_another_size_are_refused(own_run: Path, own_data: Path) -> None:
    manifest = own_data / "dataset.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "tile_size": 64}))
    with pytest.raises(
        DatasetError, match="expected tiles of 32 pixels, as the run was trained on, found 64"
    ):
        score(own_run, own_data, "test")


def test_an_unfinished_run_is_scored_with_a_remark_and_one_without_weights_not(
    own_run: Path, own_data: Path
) -> None:
    (own_run / "summary.json").unlink()
    assert "not finished" in result_text(score(own_run, own_data, "test"))
    (own_run / "best.keras").unlink()
    with pytest.raises(RunFolderError, match=r"best\.keras"):
        score(own_run, own_data, "test")


def test_weights_that_give_no_number_are_an_error(own_run: Path, own_data: Path) -> None:
    folder, _ = RunFolder.open(own_run)
    model = folder.load_model("best")
    model.get_layer("logits").bias.assign([float("nan")])
    folder.save_model(model, "best")
    with pytest.raises(DatasetError, match="expected finite logits, found NaN"):
        score(own_run, own_data, "test")


def test_the_result_stands_in_the_run_folder_as_json_with_measured_times(
    own_run: Path, own_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "milliseconds_per_tile", milliseconds_per_tile)
    result = score(own_run, own_data, "test")
    assert json.loads((own_run / "evaluations" / "test.json").read_text()) == result
    assert set(result["milliseconds_per_tile"]) == {"1", "16"}
    assert min(result["milliseconds_per_tile"].values()) > 0
    assert result["milliseconds_per_tile"] != {"1": 2.0, "16": 1.0}
    assert result["config"] == asdict(EvaluateConfig(run=str(own_run), data=str(own_data), split="test"))
    assert (result["seed"], result["commit"]) == (RunFolder.open(own_run)[1].config.seed, find_commit())
    assert result["machine"]["cores"] >= 1
    assert result["seconds"] > 0


def test_a_job_without_some_bands_scores_zeros_in_their_place_beside_the_whole_job(
    own_run: Path, own_data: Path
) -> None:
    whole = score(own_run, own_data, "test")
    result = score(own_run, own_data, "test", missing="terrain")
    masks, guesses, _ = truth_and_guess(own_run, own_data, "test", missing=(3, 4))
    ious = jaccard_score(masks.ravel(), guesses.ravel(), average=None, labels=[0, 1])
    assert result["labelled_pixels"]["miou"] == pytest.approx(ious.mean(), abs=2e-3)
    assert result["missing"] == "terrain"
    assert "without terrain" in result_text(result)
    evaluations = own_run / "evaluations"
    assert json.loads((evaluations / "test.json").read_text()) == whole
    assert json.loads((evaluations / "test-without-terrain.json").read_text()) == result
    assert (evaluations / "test-without-terrain.png").exists()


def test_the_gap_of_a_job_without_some_bands_is_to_a_test_without_them(own_run: Path, own_data: Path) -> None:
    score(own_run, own_data, "test")
    assert score(own_run, own_data, "isolated", missing="dem")["gap_to_test"] is None
    test = score(own_run, own_data, "test", missing="dem")
    isolated = score(own_run, own_data, "isolated", missing="dem")
    expected = isolated["labelled_pixels"]["miou"] - test["labelled_pixels"]["miou"]
    assert isolated["gap_to_test"]["miou"] == pytest.approx(expected)
    entries = [json.loads(line) for line in (own_run / "isolated_ledger.jsonl").read_text().splitlines()]
    assert [entry["missing"] for entry in entries] == ["dem", "dem"]


def test_only_bands_that_the_run_sees_can_be_missing_and_not_all_of_them(
    own_run: Path, own_data: Path
) -> None:
    with pytest.raises(UsageError, match=r"--missing=all: expected some of the bands.*found all of them"):
        score(own_run, own_data, "test", missing="all")
    with pytest.raises(UsageError, match="--missing=infrared: expected names"):
        score(own_run, own_data, "test", missing="infrared")
    path = own_run / "run.json"
    record = json.loads(path.read_text())
    for name in ("bands", "mean", "std"):
        record["normalisation"][name] = record["normalisation"][name][:4]
    path.write_text(json.dumps(record))
    with pytest.raises(UsageError, match="found slope besides"):
        score(own_run, own_data, "test", missing="slope+red")


def test_an_average_over_symmetries_is_scored_beside_the_plain_result(own_run: Path, own_data: Path) -> None:
    plain = score(own_run, own_data, "test")
    averaged = score(own_run, own_data, "test", tta="d4")
    folder, record = RunFolder.open(own_run)
    model = keras.saving.load_model(folder.weights("best"), compile=False)
    normal, counts = record.normalisation, np.zeros(4, int)
    for tile in read_tiles(open_dataset(own_data), "test"):
        x = ((tile.image - np.float32(normal.mean)) / np.float32(normal.std) * tile.valid[..., None])[None]
        total = np.zeros((32, 32))
        for turns in range(4):
            for flip in (1, -1):
                logits = np.asarray(model(np.rot90(x, turns, (1, 2))[:, ::flip], training=False))[0, ..., 0]
                total += np.rot90(1 / (1 + np.exp(-logits[::flip])), -turns) / 8
        counts += np.bincount(2 * tile.mask.ravel() + (total > 0.5).ravel(), minlength=4)
    found = averaged["labelled_pixels"]
    names = ("true_negative", "false_positive", "false_negative", "true_positive")
    assert np.abs(counts - [found[name] for name in names]).max() <= 3
    assert found != plain["labelled_pixels"]
    assert (own_run / "evaluations" / "test-d4.json").exists()
    assert "averaged over d4" in result_text(averaged)


def test_an_ensemble_with_itself_scores_like_itself_and_names_its_members(
    own_run: Path, own_data: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(own_run, tmp_path / "other")
    plain = score(own_run, own_data, "test")
    both = score(own_run, own_data, "test", ensemble=str(other))
    assert both["labelled_pixels"] == plain["labelled_pixels"]
    assert both["ensemble"] == [{"run": str(other), "weights_sha256": plain["weights_sha256"]}]
    assert both["parameters"] == 2 * plain["parameters"]
    (path,) = (own_run / "evaluations").glob("test-ensemble2-*.json")
    assert json.loads(path.read_text()) == both


def test_the_gap_needs_the_same_threshold_and_the_same_ensemble(own_run: Path, own_data: Path) -> None:
    score(own_run, own_data, "test")
    assert score(own_run, own_data, "isolated", threshold="0.4")["gap_to_test"] is None
    score(own_run, own_data, "test", threshold="0.4")
    assert score(own_run, own_data, "isolated", threshold="0.4")["gap_to_test"]


@pytest.mark.parametrize("text", ["0", "1", "1.5", "-0.1", "half", "nan"])
def test_a_threshold_that_is_no_probability_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=f"--threshold={text}: expected val, or a number in"):
        EvaluateConfig(run="run", split="val", threshold=text)


def test_an_evaluation_says_how_sure_it_is_where_it_fails_and_what_it_costs(
    own_run: Path, own_data: Path
) -> None:
    result = score(own_run, own_data, "test")
    miou = result["labelled_pixels"]["miou"]
    low, high = result["intervals"]["tiles"]["miou"]
    assert low < miou < high
    assert result["landslides"]["all"]["true_landslides"] > 0
    assert result["curve"]["average_precision"] == pytest.approx(
        precision_over_all(own_run, own_data), abs=1e-3
    )
    assert result["calibration"]["temperature"] > 0
    assert result["parameters"] == RunFolder.open(own_run)[1].parameters - moving_statistics(own_run)
    assert result["training_seconds"] > 0
    text = result_text(result)
    words = (
        "95 % over blocks", "Boundaries within 3 px", "Average precision", "Brier score", "fragmented", "GMACs",
        f"lie in {result['intervals']['number_of_blocks']} blocks",
        f"trained in {result['training_seconds'] / 60:.1f} minutes",
    )  # fmt: skip
    for word in words:
        assert word in text


def precision_over_all(run: Path, data: Path) -> float:
    folder, record = RunFolder.open(run)
    model = keras.saving.load_model(folder.weights("best"), compile=False)
    normal = record.normalisation
    truth, said = [], []
    for tile in read_tiles(open_dataset(data), "test"):
        x = (tile.image - np.float32(normal.mean)) / np.float32(normal.std) * tile.valid[..., None]
        said.append(np.asarray(model(x[None], training=False)).ravel())
        truth.append(tile.mask.ravel())
    return float(average_precision_score(np.concatenate(truth), np.concatenate(said)))


def moving_statistics(run: Path) -> int:
    model = RunFolder(run).load_model("best")
    return sum(int(np.prod(variable.shape)) for variable in model.non_trainable_weights)
