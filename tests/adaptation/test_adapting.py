"""Adaptation of a run: what it sees, what it leaves behind, and that the new run is one as any other."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmls_tf.adaptation.config import AdaptConfig
from mmls_tf.adaptation.job import adapt
from mmls_tf.adaptation.prior import PriorShift
from mmls_tf.adaptation.screen import adaptation_text
from mmls_tf.adaptation.self_training import pseudo_target
from mmls_tf.data import tiles
from mmls_tf.data.dataset import open_dataset
from mmls_tf.data.folds import split_statistics
from mmls_tf.errors import RunFolderError, UsageError
from mmls_tf.evaluation.config import EvaluateConfig
from mmls_tf.evaluation.job import evaluate
from mmls_tf.evaluation.ledger import count_entries
from mmls_tf.prediction.member import load_member
from mmls_tf.prediction.tiles import predict_tiles
from mmls_tf.training.adaptation import Adaptation
from mmls_tf.training.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("operation_by_operation")
ALL = {"method": "statistics+teacher+finetune+prior", "labels": 1, "steps": 2, "confidence": 0.5}


@pytest.fixture(scope="module")
def target(built_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the data set, whose ledger may be written."""
    return Path(shutil.copytree(built_data, tmp_path_factory.mktemp("target") / "data"))


@pytest.fixture(scope="module")
def trained_run(trained_unet: Path) -> Path:
    """A network that can be built anew from its configuration, and sees both classes on other ground."""
    return trained_unet


@pytest.fixture(scope="module")
def adapted(trained_run: Path, target: Path) -> Path:
    """A run adapted in every way; not to be changed by tests."""
    out = target.parent / "adapted"
    adapt(config(trained_run, target, out, **ALL), "a test")
    return out


def config(run: Path, target: Path, out: Path, **flags: Any) -> AdaptConfig:
    return AdaptConfig(
        **{
            "run": str(run),
            "target": str(target),
            "out": str(out),
            "method": "prior",
            "batch": 4,
            **flags,
        }
    )


def weights(run: Path) -> list[np.ndarray]:
    return list(RunFolder(run).load_model("best").get_weights())


def same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def record(run: Path) -> Adaptation:
    adaptation = RunFolder.open(run)[1].adaptation
    assert adaptation is not None
    return adaptation


def poison(monkeypatch: pytest.MonkeyPatch, poisoned: Callable[[str], bool]) -> None:
    """Turns the masks of some tiles into their opposite, whoever reads them."""
    parse = tiles._parse

    def changed(record: bytes, size: int) -> tiles.Tile:
        tile = parse(record, size)
        return dataclasses.replace(tile, mask=1 - tile.mask) if poisoned(tile.key) else tile

    monkeypatch.setattr(tiles, "_parse", changed)


# What it sees


def test_no_mask_of_the_target_but_the_labelled_ones_decides_anything(
    trained_run: Path, target: Path, adapted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (labelled,) = record(adapted).labelled
    poison(monkeypatch, lambda key: key.startswith("isolated/") and key != labelled)
    adapt(config(trained_run, target, tmp_path / "poisoned", **ALL), "a test")
    assert same(weights(adapted), weights(tmp_path / "poisoned"))
    assert record(tmp_path / "poisoned").labelled == record(adapted).labelled


@pytest.mark.slow
def test_the_labels_that_it_was_given_count(
    trained_run: Path, target: Path, adapted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (labelled,) = record(adapted).labelled
    poison(monkeypatch, lambda key: key == labelled)
    adapt(config(trained_run, target, tmp_path / "poisoned", **ALL), "a test")
    assert not same(weights(adapted), weights(tmp_path / "poisoned"))


def test_a_split_of_images_alone_will_do(trained_run: Path, raw_folder: Path, tmp_path: Path) -> None:
    from tfrecords_builder.build import build
    from tfrecords_builder.config import BuildConfig

    raw = shutil.copytree(raw_folder, tmp_path / "raw")
    shutil.rmtree(raw / "isolated" / "masks")
    build(BuildConfig(src=str(raw), out=str(tmp_path / "data"), tile_size=32), "a test")
    made = adapt(config(trained_run, tmp_path / "data", tmp_path / "out", method="statistics"), "a test")
    assert "\nstatistics bands and moments of batch normalisation, of the target\n" in adaptation_text(made)
    _, found = RunFolder.open(tmp_path / "out")
    expected = split_statistics(open_dataset(tmp_path / "data"), "isolated")
    assert found.normalisation.mean == tuple(band.mean for band in expected)
    assert found.normalisation.std == tuple(band.std for band in expected)
    assert found.fingerprint != record(tmp_path / "out").target_fingerprint
    with pytest.raises(Exception, match="expected masks in split 'isolated', found images only"):
        adapt(config(trained_run, tmp_path / "data", tmp_path / "no", method="finetune", labels=1), "a test")


def test_pseudo_labels_are_the_classes_of_which_the_teacher_is_sure() -> None:
    logits = np.array([-3.0, -1.0, 1.0, 3.0], np.float32).reshape(1, 2, 2, 1)
    target = np.ones((1, 2, 2, 2), np.float32)
    target[0, 0, 0, 1] = 0.0
    found = np.asarray(pseudo_target(logits, target, 0.9))
    np.testing.assert_array_equal(found[..., 0].ravel(), [0, 255, 255, 1])
    np.testing.assert_array_equal(found[..., 1], target[..., 1])


# What it leaves behind


def test_the_record_says_from_what_to_what_and_how(trained_run: Path, target: Path, adapted: Path) -> None:
    found = record(adapted)
    assert found.source_run == str(trained_run)
    model = RunFolder(trained_run).weights("best")
    assert found.source_weights_sha256 == hashlib.sha256(model.read_bytes()).hexdigest()
    dataset = open_dataset(target)
    assert (found.target_fingerprint, found.target_split) == (dataset.manifest.fingerprint, "isolated")
    assert found.methods == ("statistics", "teacher", "finetune", "prior")
    assert found.column == "few labels"
    entries = {tile.key: tile.image_sha256 for tile in dataset.manifest.tiles}
    ((key, sha256),) = found.labelled.items()
    assert key.startswith("isolated/")
    assert entries[key] == sha256
    assert found.figures.keys() >= {"before", "after", "teacher", "finetune", "prior"}
    assert found.figures["statistics"] == {"of": "both"}
    assert RunFolder(adapted).read_summary()["adaptation"]["column"] == "few labels"


def test_the_ledgers_say_which_images_and_labels_were_used_and_that_is_no_evaluation(
    target: Path, adapted: Path
) -> None:
    for ledger in (target / "isolated" / "ledger.jsonl", adapted / "isolated_ledger.jsonl"):
        lines = [json.loads(line) for line in ledger.read_text().splitlines()]
        (entry,) = [line for line in lines if line.get("run") == str(adapted) and "kind" in line]
        assert entry["kind"] == "adaptation"
        assert entry["labels_of"] == list(record(adapted).labelled)
        assert entry["images"] == 4
        assert count_entries(ledger) == sum("kind" not in line for line in lines)


def test_the_figures_are_those_of_training_and_of_an_evaluation(
    trained_run: Path, adapted: Path, tmp_path: Path
) -> None:
    figures = record(adapted).figures
    trained = RunFolder(trained_run).read_summary()["best_val_miou"]
    assert figures["before"]["val_miou"] == pytest.approx(trained, abs=1e-5)
    own = shutil.copytree(adapted, tmp_path / "own")
    found = evaluate(EvaluateConfig(run=str(own), split="val"), "a test")
    assert figures["after"]["val_miou"] == pytest.approx(found["labelled_pixels"]["miou"], abs=1e-12)
    assert (found["tiles"], found["tiles_left_out"], found["adapted"]) == (3, 0, "few labels")


def test_tiles_whose_labels_were_used_are_not_scored(adapted: Path, target: Path, tmp_path: Path) -> None:
    own = shutil.copytree(adapted, tmp_path / "own")
    result = evaluate(EvaluateConfig(run=str(own), data=str(target), split="isolated"), "a test")
    assert (result["tiles"], result["tiles_left_out"]) == (3, 1)
    scored = (own / "evaluations" / "isolated.csv").read_text()
    (labelled,) = record(adapted).labelled
    assert labelled not in scored
    assert result["isolated_evaluations"]["of_this_run"] == 1


def test_the_prior_moves_every_logit_by_the_same_number(
    trained_run: Path, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What so small a run says of the target may have no share that could be estimated: tests/adaptation/test_prior.py.
    shift = PriorShift(temperature=1.0, source=0.3, target=0.45, iterations=5, offset=0.65)
    monkeypatch.setattr("mmls_tf.adaptation.job.estimate_shift", lambda val, target: shift)
    before = digests(trained_run)
    found = adapt(config(trained_run, target, tmp_path / "out"), "a test")
    assert digests(trained_run) == before, "the source run is left as it is"
    assert found.column == "transductive"
    assert found.figures["prior"]["offset"] == shift.offset
    dataset = open_dataset(target)
    source, moved = (load_member(run, "auto", "tensorflow") for run in (trained_run, tmp_path / "out"))
    for (_, old), (_, new) in zip(
        predict_tiles([source], dataset, "test", 4), predict_tiles([moved], dataset, "test", 4), strict=True
    ):
        change = np.log(new / (1 - new)) - np.log(old / (1 - old))
        np.testing.assert_allclose(change, shift.offset, atol=1e-3)


def test_it_says_that_source_tiles_have_become_worse(adapted: Path) -> None:
    found = record(adapted)
    figures = {
        **found.figures,
        "before": {"val_miou": 0.7712, "target_foreground": 0.31},
        "after": {"val_miou": 0.7612, "target_foreground": 0.25},
    }
    text = adaptation_text(dataclasses.replace(found, figures=figures))
    assert "val mIoU   0.7712 before, 0.7612 after (-0.0100): WORSE on held-out source tiles" in text
    assert "31.0% of the target predicted before, 25.0% after" in text
    assert "labels of 1 of them (column: few labels)" in text
    figures["after"] = figures["before"]
    assert "WORSE" not in adaptation_text(dataclasses.replace(found, figures=figures))


# What is refused


def test_an_existing_folder_is_left_alone(trained_run: Path, target: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected a new folder, found something there"):
        adapt(config(trained_run, target, tmp_path), "a test")


@pytest.mark.parametrize("split", ["train", "val"])
def test_tiles_that_the_run_knows_are_no_target(
    split: str, trained_run: Path, target: Path, tmp_path: Path
) -> None:
    with pytest.raises(
        UsageError, match=f"--target_split={split}: expected ground that the run has not seen"
    ):
        adapt(config(trained_run, target, tmp_path / "out", target_split=split), "a test")


def test_one_tile_at_least_is_left_to_score(trained_run: Path, target: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--labels=4: expected fewer than 4, the labelled tiles of isolated"):
        adapt(config(trained_run, target, tmp_path / "out", method="finetune", labels=4), "a test")


def test_an_unfinished_run_is_refused(own_run: Path, target: Path, tmp_path: Path) -> None:
    (own_run / "summary.json").unlink()
    with pytest.raises(RunFolderError, match=r"expected a finished run, found no summary\.json"):
        adapt(config(own_run, target, tmp_path / "out"), "a test")
    assert not list(tmp_path.glob("*out*"))


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_the_command_adapts_under_either_backend(
    backend: str,
    trained_run: Path,
    own_data: Path,
    tmp_path: Path,
    command: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    if backend == "jax":
        pytest.importorskip("jax")
    words = [
        f"--run={trained_run}",
        f"--target={own_data}",
        f"--out={tmp_path / 'out'}",
        f"--backend={backend}",
    ]
    result = command("mmls_tf.adapt", *words, "--method=statistics+teacher", "--steps=2", "--batch=4")
    assert result.returncode == 0, result.stderr
    assert "held-out source tiles" in result.stdout
    scored = command("mmls_tf.evaluate", f"--run={tmp_path / 'out'}", "--split=test")
    assert scored.returncode == 0, scored.stderr
