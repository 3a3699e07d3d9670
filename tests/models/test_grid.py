"""The grid of models, encoders, backends and precisions: what it reports, and a part of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.grid import GridConfig, measure, plan, table
from benchmarks.grid_cell import problems
from mmls_tf.errors import UsageError
from mmls_tf.models.encoders.table import ENCODERS
from mmls_tf.models.registry import DECODERS

ROOT = Path(__file__).parents[2]
Row = dict[str, Any]
KEY = {
    "model": "unet",
    "encoder": "plain",
    "backend": "tensorflow",
    "precision": "float32",
    "filters": 2,
    "tile_size": 16,
    "batch": 1,
}


def row(**changes: Any) -> Row:
    good = {
        **KEY,
        "parameters": 1234,
        "loss_difference": 0.0,
        "logit_error": 1e-7,
        "statistics_error": 1e-6,
        "gradient_error": 1e-5,
        "finite": True,
        "hlo": {"train": {"convolutions": 54}},
    }
    return {**good, **changes}


def test_the_plan_has_every_model_on_every_encoder_under_both_backends_in_both_precisions() -> None:
    keys = plan(GridConfig())
    assert len(keys) == (len(DECODERS) + 2) * len(ENCODERS) * 2 * 2
    assert len({tuple(key.values()) for key in keys}) == len(keys)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(UsageError, match=r"--encoders=plain,vgg: expected names out of .*, found 'vgg'"):
        plan(GridConfig(encoders="plain,vgg"))


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, []),
        ({"logit_error": 0.01}, ["logit_error 1.0e-02"]),
        ({"gradient_error": float("nan")}, ["gradient_error nan"]),
        ({"finite": False}, ["logits or gradients that are not finite"]),
        ({"lowered": {"tpu": {"obstacles": ["tensor<?xf32>"]}}}, ["tpu: tensor<?xf32>"]),
        (
            {"precision": "bfloat16", "gradient_error_to_float32": {"uncompiled": 0.2, "xla": 0.5}},
            ["gradient 0.50 from that of float32, uncompiled 0.20"],
        ),
    ],
)
def test_what_is_beyond_the_tolerances_is_a_problem(changes: Row, found: list[str]) -> None:
    assert problems(row(**changes)) == found


def test_a_cell_that_takes_too_long_or_fails_is_a_row_in_bold(tmp_path: Path) -> None:
    (late,) = measure([KEY], limit=1, cache=str(tmp_path))
    assert late["error"] == "not done after 1 s"
    (broken,) = measure([{**KEY, "tile_size": 17}], limit=300, cache=str(tmp_path))
    assert "expected a multiple of the model's stride" in broken["error"]
    text = table([row(), {**late, "model": "segformer"}])
    assert "| unet | plain | 1,234 | 1e-07, 1e-05, 54 |" in text
    assert "| segformer | plain |  | **not done after 1 s** |" in text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("models", "encoders"),
    [("unet", "all"), ("all", "plain"), ("pspnet,deeplabv3,deeplabv3plus", "resnet18")],
    ids=str,
)
def test_every_cell_of_a_cross_through_the_grid_is_as_it_should_be(
    models: str, encoders: str, tmp_path: Path
) -> None:
    out = tmp_path / "grid.json"
    flags = [f"--models={models}", f"--encoders={encoders}", "--workers=2"]
    files = [f"--out={out}", f"--table={tmp_path / 'grid.md'}"]
    subprocess.run([sys.executable, "-m", "benchmarks.grid", *flags, *files], cwd=ROOT, check=True)
    rows = json.loads(out.read_text())["rows"]
    assert len(rows) == len(plan(GridConfig(models=models, encoders=encoders)))
    assert [(row, problems(row)) for row in rows if "error" in row or problems(row)] == []
