"""The page on models: every difference from the peer has a reason, and the committed page is what the script writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import model_docs
from benchmarks.model_docs import Row, cost_table
from mmls_tf.errors import UsageError
from mmls_tf.models.registry import DECODERS

ROOT = Path(__file__).parents[2]
TITLES = {name: decoder.title for name, decoder in DECODERS.items()}


def test_a_difference_of_more_than_ten_percent_without_a_reason_is_refused() -> None:
    close = Row("unet", "resnet18", (10.9, 1.0), (10.0, 0.91))
    assert "| U-Net | resnet18 | 10.90 | 10.00 | 1.00 | 0.91 |  |" in cost_table([close], TITLES)
    for ours in ((11.1, 1.0), (8.9, 1.0), (10.0, 1.2), (10.0, 0.8)):
        with pytest.raises(UsageError, match="unet on resnet18: expected a reason in REASONS"):
            cost_table([Row("unet", "resnet18", ours, (10.0, 1.0))], TITLES)


def test_a_reason_without_a_difference_is_refused_too() -> None:
    with pytest.raises(
        UsageError, match=r"pspnet on resnet18: expected a reason in REASONS .* and nowhere else"
    ):
        cost_table([Row("pspnet", "resnet18", (10.0, 1.0), (10.0, 1.0))], TITLES)


def test_a_reason_is_given_once_and_numbered() -> None:
    rows = [Row("pspnet", encoder, (10.0, 3.0), (10.0, 1.0)) for encoder in ("resnet18", "resnet34")]
    text = cost_table(rows, TITLES)
    assert text.count("[1]") == 3
    assert text.count(model_docs.REASONS["pspnet", "resnet18"]) == 1


def test_a_model_that_the_peer_has_not_stands_alone() -> None:
    text = cost_table([Row("unetplusplus", "mit_b0", (5.92, 0.92), None)], TITLES)
    assert "| UNet++ | mit_b0 | 5.92 |  | 0.92 |  |  |" in text


@pytest.mark.slow
def test_the_committed_page_is_what_the_script_writes() -> None:
    speed = json.loads((ROOT / "docs/results/models.json").read_text(encoding="utf-8"))
    assert (ROOT / "docs/models.md").read_text(encoding="utf-8") == model_docs.page(speed)
