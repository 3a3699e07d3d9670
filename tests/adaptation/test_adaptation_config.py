"""Flags of an adaptation: what goes together and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from mmls_tf.adaptation.config import AdaptConfig, parse_method
from mmls_tf.errors import UsageError


def config(**flags: Any) -> AdaptConfig:
    return AdaptConfig(
        **{"run": "runs/a", "target": "data", "out": "runs/b", "method": "statistics", **flags}
    )


def test_methods_are_applied_in_one_order_whatever_the_flag_says() -> None:
    assert parse_method("prior+finetune+statistics+teacher") == ("statistics", "teacher", "finetune", "prior")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"method": "magic"}, "--method=magic: expected names joined by .* found 'magic'"),
        ({"method": "finetune"}, "--method=finetune --labels=0: expected finetune with --labels from 1 up"),
        ({"labels": 3}, "--method=statistics --labels=3: expected finetune with --labels"),
        ({"method": "finetune", "labels": -1}, "--labels=-1"),
        ({"steps": 0}, "--steps=0: expected more than 0"),
        ({"learning_rate": 0.0}, "--learning_rate=0.0: expected more than 0"),
        ({"batch": 1}, "--batch=1: expected 2 or more"),
        ({"confidence": 0.4}, r"--confidence=0.4: expected a probability in \[0.5, 1\)"),
        ({"momentum": 1.0}, "--momentum=1.0: expected a momentum"),
        ({"augment": "d5"}, "--augment=d5"),
        ({"seed": -1}, "--seed=-1"),
    ],
)
def test_what_cannot_be_done_is_refused_by_the_name_of_its_flag(flags: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        config(**flags)
