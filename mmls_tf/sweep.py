"""Trains a grid of runs: `python -m mmls_tf.sweep --flagfile=configs/unet.flags --grid="bands=rgb,all;seed=0,1,2"`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from mmls_tf.config import WEIGHTS, WEIGHTS_HELP, TrainConfig
from mmls_tf.entry import config_from_flags, define_flags, option, run
from mmls_tf.sweeping.checks import common_weights, parse_splits, require_no_run_flag, require_weights
from mmls_tf.sweeping.job import carry_out
from mmls_tf.sweeping.plan import parse_grid, plan_cells
from mmls_tf.sweeping.report import write_report
from mmls_tf.sweeping.run import Sweep, data_fingerprints


@dataclass(frozen=True)
class SweepConfig:
    """Which runs to train and score. These are flags of `python -m mmls_tf.sweep`, beside all of mmls_tf.train."""

    grid: str = option(
        None,
        "Values to be combined, FLAG=VALUE,VALUE;FLAG=VALUE,VALUE for any flags of mmls_tf.train, such as "
        '"bands=rgb,all;seed=0,1,2". They win over the same flags given beside it.',
    )
    out: str = option("runs/sweep", "Folder for the runs, each named after its values, and the reports.")
    evaluate: str = option("", "Splits on which every run is scored too: val, test or val,test.")
    weights: str = option("auto", WEIGHTS_HELP, WEIGHTS)
    keep_going: bool = option(False, "Go on with the other runs after one that failed.")
    dry_run: bool = option(False, "Print the runs and train none.")

    def __post_init__(self) -> None:
        parse_splits(self.evaluate)


def main() -> None:
    """Plans, trains, scores and prints the table."""
    require_no_run_flag(sys.argv[1:])
    own, base = config_from_flags(SweepConfig), config_from_flags(TrainConfig)
    evaluate = parse_splits(own.evaluate)
    cells = plan_cells(base, parse_grid(own.grid), Path(own.out), f"--grid={own.grid}")
    if evaluate:
        require_weights(cells, own.weights)
    if own.dry_run:
        print("\n".join(str(cell.folder) for cell in cells))
        return
    fingerprints = data_fingerprints(cells)
    sweep = Sweep(
        cells,
        Path(own.out),
        fingerprints,
        evaluate,
        common_weights(cells, own.weights),
        own.keep_going,
        base.overwrite,
    )
    carry_out(sweep, write_report)
    print(f"Written: {own.out}/sweep.json and sweep.md")


define_flags(TrainConfig)
define_flags(SweepConfig)

if __name__ == "__main__":
    run(main)
