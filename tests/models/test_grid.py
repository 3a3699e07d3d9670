"""The grid of models, encoders, backends and precisions: what it reports, and a part of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.grid import GridConfig, jobs, measure, page, plan, table
from benchmarks.grid_cell import problems
from benchmarks.grid_step import (
    Cell,
    Step,
    load_reference,
    nearly_alike,
    new_model,
    save_reference,
    seeded_batch,
    settle,
)
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
        "logit_size": 1.0,
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
        ({"logit_error": 2e-4, "logit_sensitivity": 3e-4}, []),
        ({"logit_error": 4e-4, "logit_sensitivity": 3e-4}, ["logit_error 4.0e-04"]),
        ({"logit_error": 2e-3, "logit_sensitivity": 3e-3}, ["logit_error 2.0e-03"]),
        ({"gradient_error": float("nan")}, ["gradient_error nan"]),
        ({"finite": False}, ["logits or gradients that are not finite"]),
        ({"lowered": {"tpu": {"obstacles": ["tensor<?xf32>"]}}}, ["tpu: tensor<?xf32>"]),
        (
            {"precision": "bfloat16", "gradient_error_to_float32": {"uncompiled": 0.2, "xla": 0.5}},
            ["gradient 0.50 from float32, uncompiled 0.20"],
        ),
        (
            {"precision": "bfloat16", "logit_error_to_float32": {"uncompiled": 0.03, "xla": 0.07}},
            ["logits 0.07 from float32, uncompiled 0.03"],
        ),
        (
            {"precision": "bfloat16", "logit_error_to_float32": {"uncompiled": 0.24, "xla": 0.5}},
            ["logits 0.50 from float32, uncompiled 0.24"],
        ),
        # Lost by bfloat16 itself.
        (
            {
                "precision": "bfloat16",
                "logit_error_to_float32": {"uncompiled": 0.26, "xla": 0.5},
                "loss_difference": 0.06,
            },
            [],
        ),
        ({"precision": "bfloat16", "loss_difference": 0.06}, ["loss_difference 6.0e-02"]),
    ],
)
def test_what_is_beyond_the_tolerances_is_a_problem(changes: Row, found: list[str]) -> None:
    assert problems(row(**changes)) == found


def test_all_decoders_on_the_plain_encoder_come_first_then_unets_on_every_encoder() -> None:
    keys = plan(GridConfig())
    found = jobs(keys)
    order = [key for job in found for key in job]
    assert sorted(map(str, order)) == sorted(map(str, keys))
    plain, unets = 4 * (len(DECODERS) + 2), 4 * (len(ENCODERS) - 1)
    assert {key["encoder"] for key in order[:plain]} == {"plain"}
    assert {key["model"] for key in order[plain : plain + unets]} == {"unet"}
    assert all(len({key["encoder"] for key in job}) == 1 for job in found)
    assert max(len({key["model"] for key in job}) for job in found) == 4


def test_a_reference_goes_through_its_file_unchanged(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weights, gradients, statistics = (
        [rng.normal(size=shape).astype(np.float32) for shape in ((3, 2), (4,))] * 6 for _ in range(3)
    )
    logits = rng.normal(size=(2, 4, 4, 1)).astype(np.float32)
    save_reference(tmp_path / "cell.npz", weights, Step(logits, 0.25, gradients, statistics))
    found, step = load_reference(tmp_path / "cell.npz")
    assert step.loss == 0.25
    np.testing.assert_array_equal(step.logits, logits)
    for value, expected in zip(
        [*found, *step.gradients, *step.statistics], [*weights, *gradients, *statistics], strict=True
    ):
        np.testing.assert_array_equal(value, expected)


def test_settled_statistics_are_those_of_the_batch_and_nothing_else_changes() -> None:
    cell = Cell(filters=2, tile_size=16, batch=2)
    model = new_model(cell)
    norms = [layer for layer in model._flatten_layers() if hasattr(layer, "moving_variance")]
    momenta, before = [layer.momentum for layer in norms], [np.array(v) for v in model.trainable_variables]
    settle(model, cell)
    assert [layer.momentum for layer in norms] == momenta
    for old, new in zip(before, model.trainable_variables, strict=True):
        np.testing.assert_array_equal(old, np.array(new))
    images, _ = seeded_batch(cell)
    np.testing.assert_allclose(model(images, training=False), model(images, training=True), atol=1e-3)


def test_draws_of_the_images_are_nearly_alike_and_the_first_are_the_images_themselves() -> None:
    images, _ = seeded_batch(Cell(tile_size=16))
    first, *others = nearly_alike(images)
    np.testing.assert_array_equal(first, images)
    assert len(others) == 7
    assert [round(float(np.std(draw - images)), 4) for draw in others] == pytest.approx([0.003] * 7, rel=0.05)
    assert len({draw.tobytes() for draw in others}) == 7


def test_a_cell_that_takes_too_long_is_a_row_in_bold_and_one_that_is_missing_says_so(tmp_path: Path) -> None:
    (late,) = measure([KEY], GridConfig(limit=0.5), str(tmp_path))
    assert late["error"] == "not done after 0.5 s of CPU time"
    keys = [{**KEY, "model": name} for name in ("unet", "segformer", "pspnet")]
    text = table([row(), {**late, "model": "segformer"}], keys)
    assert "| unet | plain | 1,234 | 1e-07, 1e-05, 54 |" in text
    assert "| segformer | plain |  | **not done after 0.5 s of CPU time** |" in text
    assert "| pspnet | plain |  | not measured |" in text


def test_the_page_counts_measured_cells_and_those_that_are_wrong() -> None:
    keys = [{**KEY, "model": name} for name in ("unet", "segformer", "pspnet")]
    rows = [row(), row(model="segformer", finite=False), row(model="deeplabv3")]
    result = {"rows": rows, "command": "grid", "versions": {}, "machine": "", "xla_flags": ""}
    text = page(result, keys)
    assert "2 of 3 cells measured,\n1 as they should be, 1 not." in text
    assert "deeplabv3" not in text


def test_the_committed_page_is_what_is_made_of_the_committed_cells() -> None:
    docs = Path(__file__).parents[2] / "docs"
    result = json.loads((docs / "results" / "model_grid.json").read_text())
    assert page(result, plan(GridConfig())) == (docs / "model_grid.md").read_text()


def test_every_cell_of_the_committed_grid_was_measured_and_is_as_it_should_be() -> None:
    keys = plan(GridConfig())
    rows = json.loads((ROOT / "docs" / "results" / "model_grid.json").read_text())["rows"]
    names = [[row[name] for name in keys[0]] for row in rows]
    assert sorted(names) == sorted(list(key.values()) for key in keys)
    assert [
        (row["model"], row["encoder"], problems(row)) for row in rows if "error" in row or problems(row)
    ] == []
    assert {
        tuple(row["lowered"]) for row in rows if (row["backend"], row["precision"]) == ("jax", "bfloat16")
    } == {("tpu", "cuda")}


@pytest.mark.slow
def test_a_model_that_cannot_be_built_is_an_error_and_the_next_one_is_measured(tmp_path: Path) -> None:
    keys = [{**KEY, "tile_size": size, "backend": "jax"} for size in (33, 32)]
    broken, good = measure(keys, GridConfig(), str(tmp_path))
    assert "error" in broken
    assert problems(good) == []
    assert good["hlo"]["train"]["convolutions"] > 40
    assert 0 < good["logit_sensitivity"] < 1e-4
    assert good["draws"] == 8


@pytest.mark.slow
def test_the_whole_grid_is_as_it_should_be(tmp_path: Path) -> None:
    """Takes some three hours of two cores."""
    out = tmp_path / "grid.json"
    flags = ["--workers=2", f"--out={out}", f"--table={tmp_path / 'grid.md'}"]
    subprocess.run([sys.executable, "-m", "benchmarks.grid", *flags], cwd=ROOT, check=True)
    rows = json.loads(out.read_text())["rows"]
    assert len(rows) == len(plan(GridConfig()))
    assert [(row, problems(row)) for row in rows if "error" in row or problems(row)] == []
