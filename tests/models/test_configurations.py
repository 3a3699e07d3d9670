"""The configurations in configs/: one way of training for all, and each of them trains."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from mmls_tf.models.listing import read_spec

FILES = {path.stem: path for path in sorted((Path(__file__).parents[2] / "configs").glob("*.flags"))}
PUBLISHED = ("unet", "unetplusplus", "pspnet", "deeplabv3", "deeplabv3plus", "segformer")
MODEL_LINES = {"run", "model", "encoder", "filters", "fusion", "full_skip"}


def flags_of(name: str) -> dict[str, str]:
    lines = FILES[name].read_text(encoding="utf-8").splitlines()
    words = (line.removeprefix("--").partition("=") for line in lines if line.startswith("--"))
    return {flag: value for flag, _, value in words}


def test_a_published_configuration_has_the_name_of_its_model() -> None:
    assert [flags_of(name)["model"] for name in PUBLISHED] == list(PUBLISHED)


@pytest.mark.parametrize("name", [*PUBLISHED, "fusion", "light"])
def test_configurations_of_models_differ_in_their_model_lines_only(name: str) -> None:
    mine, unet = (
        {k: v for k, v in flags_of(which).items() if k not in MODEL_LINES} for which in (name, "unet")
    )
    assert mine == unet
    assert flags_of(name)["run"] == f"runs/{name}"


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_a_configuration_trains(
    name: str, built_data: Path, tmp_path: Path, command: Callable[..., CompletedProcess[str]]
) -> None:
    run = tmp_path / "run"
    done = command(
        "mmls_tf.train", f"--flagfile=configs/{name}.flags", f"--data={built_data}", f"--run={run}",
        "--epochs=1", "--batch=5",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    spec, config = read_spec(FILES[name], 32), json.loads((run / "run.json").read_text())["config"]
    assert (config["model"], config["encoder"]) == (spec.decoder, spec.encoder)
    assert (config["fusion"], config["filters"]) == (spec.fusion, spec.filters)
    with (run / "history.csv").open() as file:
        (epoch,) = csv.DictReader(file)
    assert math.isfinite(float(epoch["loss"]))
    assert (run / "summary.json").exists(), "written when a run is finished"
