"""A grid as text becomes cells, and every slip in it is found before anything trains."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from mmls_tf.config import TrainConfig
from mmls_tf.errors import UsageError
from mmls_tf.sweeping.plan import Cell, config_flags, differences, parse_grid, plan_cells

OUT = Path("runs/sweep")


def cells(grid: str, **base: object) -> tuple[Cell, ...]:
    return plan_cells(TrainConfig(**base), parse_grid(grid), OUT, f"--grid={grid}")


def test_every_combination_is_a_run_named_after_its_values_the_last_flag_changing_fastest() -> None:
    found = cells("bands=rgb,all; seed=0,1,2", epochs=7, run="runs/unet", overwrite=True)
    assert [cell.name for cell in found] == [
        "bands=rgb,seed=0", "bands=rgb,seed=1", "bands=rgb,seed=2",
        "bands=all,seed=0", "bands=all,seed=1", "bands=all,seed=2",
    ]  # fmt: skip
    assert [(cell.config.bands, cell.config.seed) for cell in found] == [
        (bands, seed) for bands in ("rgb", "all") for seed in (0, 1, 2)
    ]
    assert found[1].values == {"bands": "rgb", "seed": 1}
    for cell in found:
        assert cell.folder == OUT / cell.name
        assert (cell.config.epochs, cell.config.overwrite, cell.config.resume) == (7, False, False)


def test_values_have_the_type_of_their_flag_and_the_grid_wins_over_flags() -> None:
    grid = "learning_rate=1e-3,0.01;full_skip=true,f;filters=8;fusion=gated"
    found = cells(grid, filters=32)
    assert [cell.config.learning_rate for cell in found] == [0.001, 0.001, 0.01, 0.01]
    assert [cell.config.full_skip for cell in found] == [True, False, True, False]
    assert {cell.config.filters for cell in found} == {8}
    assert found[0].name == "learning_rate=0.001,full_skip=true,filters=8,fusion=gated"


def test_an_empty_word_is_the_empty_value_of_a_flag_that_has_one() -> None:
    assert [cell.config.pretrained for cell in cells("pretrained=,imagenet")] == ["", "imagenet"]


def test_a_path_among_the_values_does_not_make_folders_below_the_run() -> None:
    (cell,) = cells("pretrained=runs/a b/best.keras")
    assert cell.folder == OUT / "pretrained=runs_a_b_best.keras"
    assert cell.config.pretrained == "runs/a b/best.keras"


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ("", "found 'nothing'"),
        ("seed=0;", "found 'nothing'"),
        ("seed", "found 'seed'"),
        ("seed=", "found 'seed='"),
        ("=1", "found '=1'"),
        ("seeds=0,1", "expected flags of mmls_tf.train (data, "),
        ("grid=1", "found 'grid'"),
        ("run=a,b", "found 'run', which a sweep sets itself"),
        ("overwrite=true", "found 'overwrite', which a sweep sets itself"),
        ("resume=true", "found 'resume', which a sweep sets itself"),
        ("seed=0;bands=all;seed=1", "expected every flag once, found 'seed' twice"),
        ("seed=0,1,00", "expected every value once, found seed=0 twice"),
        ("full_skip=true,yes;seed=1", "full_skip=yes: Non-boolean"),
        ("full_skip=true,t", "found full_skip=true twice"),
        ("seed=0,,1", "expected a value between the commas of 'seed', found none"),
        ("bands=all,", "expected a value between the commas of 'bands', found none"),
        ("seed=0,one", "seed=one"),
        ("learning_rate=fast", "learning_rate=fast"),
        ("fusion=none,glued", "fusion=glued"),
        ("seed=0;bands=rgb,nir", "found --bands=nir"),
        ("epochs=5,0", "found --epochs=0"),
        ("pretrained=a/b,a_b", "both pretrained=a_b"),
        ("pretrained=A,a", "both pretrained=a"),
        (f"pretrained={'x' * 300}", "up to 240 bytes"),
    ],
)
def test_a_slip_in_the_grid_is_refused_and_the_flag_is_named(grid: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        cells(grid)
    assert str(caught.value).startswith(f"--grid={grid}: ")
    assert message in str(caught.value)


def test_a_command_line_made_of_a_configuration_gives_that_configuration() -> None:
    config = TrainConfig(
        run="runs/a,b=c", learning_rate=1e-05, full_skip=True, bands="rgb+dem", seed=3, ema=0.99
    )
    program = (
        "from absl import flags; from mmls_tf.config import TrainConfig; import sys\n"
        "from mmls_tf.entry import config_from_flags, define_flags\n"
        "define_flags(TrainConfig); flags.FLAGS(sys.argv); print(config_from_flags(TrainConfig))"
    )
    words = [sys.executable, "-c", program, *config_flags(config)]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip() == str(config)


def test_runs_differ_in_any_flag_but_those_that_say_where_they_lie_and_how_they_were_started() -> None:
    config = TrainConfig()
    elsewhere = dataclasses.replace(config, run="x", overwrite=True)
    assert differences(config, elsewhere) == []
    assert (
        differences(config, dataclasses.replace(elsewhere, overwrite=False, resume=True, profile=True)) == []
    )
    changed = {"epochs": 7, "bands": "rgb", "full_skip": True}
    assert differences(config, dataclasses.replace(config, **changed)) == [
        "--full_skip: expected 'false', found 'true'",
        "--bands: expected 'all', found 'rgb'",
        "--epochs: expected '60', found '7'",
    ]


def test_planning_and_reading_leave_the_accelerator_to_the_runs() -> None:
    program = (
        "import sys, mmls_tf.sweep, mmls_tf.crossval, mmls_tf.results\n"
        "print({'tensorflow', 'keras', 'jax'} & set(sys.modules))"
    )
    for module in ("sweep", "crossval", "results"):
        code = program.replace(" mmls_tf.sweep, mmls_tf.crossval, mmls_tf.results", f" mmls_tf.{module}")
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert result.stdout.strip() == "set()"
