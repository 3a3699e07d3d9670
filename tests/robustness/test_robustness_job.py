"""Robustness jobs on a run: what they find, where they write it, what they refuse."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
from sklearn.metrics import jaccard_score, precision_score, recall_score

from mmls_tf.bands import BAND_NAMES
from mmls_tf.data import scoring_input
from mmls_tf.data.dataset import open_dataset
from mmls_tf.data.tiles import Tile, read_tiles
from mmls_tf.errors import DatasetError, UsageError
from mmls_tf.evaluation.config import EvaluateConfig
from mmls_tf.evaluation.job import evaluate
from mmls_tf.evaluation.robustness.config import RobustnessConfig
from mmls_tf.evaluation.robustness.job import try_changes
from mmls_tf.evaluation.robustness.table import screen_text
from mmls_tf.prediction import tiles as prediction_tiles
from mmls_tf.training.run_folder import RunFolder

SLOPE = BAND_NAMES.index("slope")


def tried(run: Path, data: Path, **flags: object) -> dict:
    config = RobustnessConfig(**{"run": str(run), "data": str(data), "split": "test", **flags})  # type: ignore[arg-type]
    return try_changes(config, "a test")


def row(result: dict, name: str) -> dict:
    (found,) = (change for change in result["changes"] if change["name"] == name)
    return found


def give_model_of_slope_alone(run: Path) -> None:
    """Landslide is where the normalised slope is above 0: all other bands have no weight."""
    image = keras.Input((32, 32, 7))
    layer = keras.layers.Conv2D(1, 1)
    model = keras.Model(image, layer(image))
    kernel = np.zeros((1, 1, 7, 1), np.float32)
    kernel[0, 0, SLOPE] = 4.0
    layer.set_weights([kernel, np.zeros(1, np.float32)])
    folder, _ = RunFolder.open(run)
    folder.save_model(model, "best")


def test_the_clean_value_and_its_interval_are_those_of_an_evaluation(own_run: Path, own_data: Path) -> None:
    whole = evaluate(EvaluateConfig(run=str(own_run), data=str(own_data), split="test"), "a test")
    result = tried(own_run, own_data, changes="elevation")
    clean = result["clean"]
    for name, theirs in (("value", "miou"), ("precision", "precision"), ("recall", "recall")):
        assert clean[name] == whole["labelled_pixels"][theirs]
    assert clean["iou_landslide"] == whole["labelled_pixels"]["iou_landslide"]
    assert list(clean["interval"]) == list(whole["intervals"][result["intervals_over"]]["miou"])
    assert result["weights_sha256"] == whole["weights_sha256"]


def test_only_changes_of_the_one_band_that_a_model_uses_make_a_difference(
    own_run: Path, own_data: Path
) -> None:
    give_model_of_slope_alone(own_run)
    result = tried(own_run, own_data, changes="missing,permuted,gain,bias,elevation,isolated")
    touched = {"slope", "all terrain", "elevation and slope swapped", "all bands rotated"}
    for change in result["changes"]:
        if change["name"] in touched:
            assert abs(change["drop"]) > 0.01, change["name"]
        else:
            assert (change["drop"], change["drop_interval"], change["p"]) == (0, (0, 0), 1), change["name"]
    no_slope = row(result, "slope")
    assert (no_slope["precision"], no_slope["recall"]) == (None, 0.0), (
        "0 is not above 0: nothing is predicted"
    )


def test_scores_under_a_change_are_those_of_scikit_learn(own_run: Path, own_data: Path) -> None:
    result = tried(own_run, own_data, changes="elevation")
    folder, record = RunFolder.open(own_run)
    model = keras.saving.load_model(folder.weights("best"), compile=False)
    truth, guess = [], []
    for tile in read_tiles(open_dataset(own_data), "test"):
        image = tile.image.astype(np.float64)
        image[..., 3] += 6000.0 / 12822.0
        x = (image - record.normalisation.mean) / record.normalisation.std * tile.valid[..., None]
        guess.append(np.asarray(model(x[None].astype(np.float32), training=False)).ravel() > 0)
        truth.append(tile.mask.ravel())
    truth, guess = np.concatenate(truth), np.concatenate(guess)
    found = row(result, "elevation +6000 m")
    ious = jaccard_score(truth, guess, average=None, labels=[0, 1])
    assert found["value"] == pytest.approx(ious.mean(), abs=2e-3)
    assert found["iou_landslide"] == pytest.approx(ious[1], abs=2e-3)
    assert found["precision"] == pytest.approx(precision_score(truth, guess), abs=2e-3)
    assert found["recall"] == pytest.approx(recall_score(truth, guess), abs=2e-3)
    assert found["drop"] == pytest.approx(result["clean"]["value"] - found["value"])
    assert found["drop_interval"][0] <= found["drop"] <= found["drop_interval"][1]
    assert (found["severity"], found["unit"]) == (6000.0, "m")


def test_a_missing_band_scores_as_in_an_evaluation_without_it(own_run: Path, own_data: Path) -> None:
    config = EvaluateConfig(run=str(own_run), data=str(own_data), split="val", missing="terrain")
    expected = evaluate(config, "a test")["labelled_pixels"]
    found = row(tried(own_run, own_data, split="val", changes="missing"), "all terrain")
    assert (found["value"], found["precision"], found["recall"]) == (
        expected["miou"],
        expected["precision"],
        expected["recall"],
    )


def test_neither_the_order_of_tiles_nor_the_batch_changes_a_number(
    own_run: Path, own_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scores(result: dict) -> list[tuple]:
        return [(c["name"], c["value"], c["precision"], c["recall"]) for c in result["changes"]]

    first = scores(tried(own_run, own_data, changes="noise,blur", batch=1))

    def backwards(*words: object) -> Iterator[Tile]:
        return iter(list(read_tiles(*words))[::-1])  # type: ignore[arg-type]

    monkeypatch.setattr(scoring_input, "read_tiles", backwards)
    monkeypatch.setattr(prediction_tiles, "read_tiles", backwards)
    assert scores(tried(own_run, own_data, changes="noise,blur", batch=1)) == first
    monkeypatch.undo()
    for one, other in zip(scores(tried(own_run, own_data, changes="noise,blur")), first, strict=True):
        assert one[0] == other[0]
        assert one[1:] == pytest.approx(other[1:], abs=1e-3)


def test_a_run_of_fewer_bands_is_tried_on_those_and_the_rest_is_listed(own_run: Path, own_data: Path) -> None:
    path = own_run / "run.json"
    record = json.loads(path.read_text())
    for name in ("bands", "mean", "std"):
        record["normalisation"][name] = record["normalisation"][name][:3]
    record["config"]["bands"] = "rgb"
    path.write_text(json.dumps(record))
    image = keras.Input((32, 32, 3))
    RunFolder(own_run).save_model(
        keras.Model(image, keras.layers.Conv2D(1, 3, padding="same")(image)), "best"
    )
    result = tried(own_run, own_data, changes="missing,elevation,bias")
    assert [change["name"] for change in result["changes"][:4]] == ["red", "green", "blue", "optical -40 DN"]
    assert "Does not apply: elevation, elevation +6000 m: the run does not see elevation." in screen_text(
        result
    )


def test_the_result_stands_in_the_run_folder_as_json_markdown_and_picture(
    own_run: Path, own_data: Path
) -> None:
    result = tried(own_run, own_data, changes="missing,noise", tta="flips")
    folder = own_run / "robustness"
    assert sorted(path.name for path in folder.iterdir()) == [
        f"test-flips-missing+noise.{ending}" for ending in ("json", "md", "png")
    ]
    assert json.loads((folder / "test-flips-missing+noise.json").read_text()) == json.loads(
        json.dumps(result)
    )
    text = (folder / "test-flips-missing+noise.md").read_text()
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 3 + len(result["changes"])
    assert len({line.count("|") for line in table}) == 1
    slope = row(result, "slope")
    assert any("| slope |" in line and f"{slope['value']:.4f}" in line for line in table)


def test_a_job_that_fails_leaves_no_result(
    own_run: Path, own_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmls_tf.evaluation.robustness.job.markdown", lambda result: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        tried(own_run, own_data, changes="elevation")
    assert not (own_run / "robustness" / "test.json").exists()
    assert not list((own_run / "robustness").glob("*.json"))


def test_intervals_are_over_tiles_and_say_so_where_there_are_no_two_blocks(
    own_run: Path, own_data: Path
) -> None:
    path = own_data / "dataset.json"
    manifest = json.loads(path.read_text())
    for tile in manifest["tiles"]:
        tile["place"] = {"frame": "map 232", "x": 0.0, "y": 0.0, "pixel_m": 232.0}
    path.write_text(json.dumps(manifest))
    result = tried(own_run, own_data, changes="elevation")
    assert (result["intervals_over"], result["blocks"]) == ("tiles", None)
    assert result["clean"]["interval"] is not None
    assert "single tiles, for want of two blocks" in screen_text(result)


def test_the_isolated_split_is_refused_and_its_ledgers_stay_empty(own_run: Path, own_data: Path) -> None:
    with pytest.raises(UsageError, match=r"--split=isolated: expected val or test.*job of its own"):
        RobustnessConfig(run=str(own_run), split="isolated", data=str(own_data))
    tried(own_run, own_data, changes="isolated")
    assert not (own_run / "isolated_ledger.jsonl").exists()
    assert not (own_data / "isolated" / "ledger.jsonl").exists()


def test_flags_that_mean_nothing_are_refused() -> None:
    with pytest.raises(UsageError, match=r"--changes=missing,fog: expected all, or names out of .*'fog'"):
        RobustnessConfig(run="run", split="test", changes="missing,fog")
    with pytest.raises(UsageError, match=r"--changes=: expected all"):
        RobustnessConfig(run="run", split="test", changes="")
    with pytest.raises(UsageError, match=r"--split=train: expected one of val, test"):
        RobustnessConfig(run="run", split="train")
    with pytest.raises(UsageError, match="--batch=0"):
        RobustnessConfig(run="run", split="test", batch=0)


def test_names_of_results_keep_apart_what_is_different() -> None:
    config = RobustnessConfig(run="run", split="test", changes=" noise,missing")
    assert config.name == "test-missing+noise"
    assert dataclasses.replace(config, tta="d4", changes="all").name == "test-d4"


def test_data_of_another_scaling_are_refused(own_run: Path, own_data: Path) -> None:
    path = own_data / "dataset.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "scaling": "mmls_v1"}))
    with pytest.raises(DatasetError, match="expected bands scaled as mmlsv2"):
        tried(own_run, own_data)


def test_the_command_prints_the_table_and_says_where_the_result_is(
    own_run: Path, own_data: Path, command: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    flags = [f"--run={own_run}", f"--data={own_data}", "--changes=elevation"]
    found = command("mmls_tf.robustness", "--split=test", *flags)
    assert found.returncode == 0, found.stderr
    assert "elevation +6000 m" in found.stdout
    assert "95 % of the drop" in found.stdout
    assert (own_run / "robustness" / "test-elevation.png").exists()
    assert "test-elevation.json" in found.stdout
    refused = command("mmls_tf.robustness", "--split=isolated", *flags)
    assert refused.returncode == 2
    assert "ledger" in refused.stderr
    assert "Traceback" not in refused.stderr
