"""The sweep that measures the ladder is the one that the report puts beside the quoted ends."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from itertools import pairwise
from pathlib import PurePath

from mmls_tf.bands import BAND_NAMES, parse_bands
from mmls_tf.reporting.published import LADDER, LADDER_ENDS


def test_the_ablation_trains_every_step_of_the_ladder_with_two_seeds(
    command: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    done = command("mmls_tf.sweep", "--flagfile=configs/ablation.sweep", "--dry_run")
    assert done.returncode == 0, done.stderr
    folders = [PurePath(line) for line in done.stdout.splitlines()]
    assert [folder.name for folder in folders] == [
        f"bands={bands},seed={seed}" for bands in LADDER for seed in (0, 1)
    ]
    assert {str(folder.parent) for folder in folders} == {"runs/ablation"}


def test_every_step_of_the_ladder_has_one_band_more_and_the_quoted_ends_are_its_ends() -> None:
    steps = [{BAND_NAMES[band] for band in parse_bands(bands)} for bands in LADDER]
    added = [step - before for before, step in pairwise(steps)]
    assert steps[0] == {"red", "green", "blue"}
    assert added == [{"dem"}, {"slope"}, {"thermal_inertia"}, {"gray"}]
    assert {LADDER[0]: 0.71, LADDER[-1]: 0.81} == LADDER_ENDS
