"""Looks at the isolated split: each is entered in the ledgers of the runs and of the data set, and no other is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mmls_tf.evaluation.config import EvaluateConfig
from mmls_tf.evaluation.job import evaluate
from mmls_tf.evaluation.screen import result_text

pytestmark = pytest.mark.usefixtures("quick_jobs")


def score(run: Path, data: Path, split: str, **changes: object) -> dict:
    return evaluate(EvaluateConfig(run=str(run), data=str(data), split=split, **changes), "a test")


def test_every_isolated_evaluation_is_entered_in_both_ledgers(own_run: Path, own_data: Path) -> None:
    first = score(own_run, own_data, "isolated")
    second = score(own_run, own_data, "isolated")
    for ledger in (own_run / "isolated_ledger.jsonl", own_data / "isolated" / "ledger.jsonl"):
        entries = [json.loads(line) for line in ledger.read_text().splitlines()]
        assert [entry["miou"] for entry in entries] == [
            result["labelled_pixels"]["miou"] for result in (first, second)
        ]
        assert entries[0]["weights_sha256"] == first["weights_sha256"]
    assert second["isolated_evaluations"] == {"of_this_run": 2, "of_this_data_set": 2}
    assert "evaluation 2 of this run and 2 of this data set" in result_text(second)


def test_an_ensemble_is_entered_in_the_ledger_of_every_member(
    own_run: Path, own_data: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(own_run, tmp_path / "other"))
    result = score(own_run, own_data, "isolated", ensemble=str(other))
    for ledger in (own_run / "isolated_ledger.jsonl", other / "isolated_ledger.jsonl"):
        (entry,) = (json.loads(line) for line in ledger.read_text().splitlines())
        assert entry["miou"] == result["labelled_pixels"]["miou"]
    assert result["isolated_evaluations"] == {"of_this_run": 1, "of_this_data_set": 1}


def test_other_splits_leave_the_ledgers_alone(own_run: Path, own_data: Path) -> None:
    score(own_run, own_data, "test")
    assert not (own_run / "isolated_ledger.jsonl").exists()
    assert not (own_data / "isolated" / "ledger.jsonl").exists()


def test_a_ledger_that_cannot_be_written_stops_the_job_before_it_looks(own_run: Path, own_data: Path) -> None:
    (own_run / "isolated_ledger.jsonl").mkdir()
    with pytest.raises(OSError, match="isolated_ledger"):
        score(own_run, own_data, "isolated")
    assert not (own_run / "evaluations").exists()
