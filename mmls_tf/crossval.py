"""Cross-validation: `python -m mmls_tf.crossval --flagfile=configs/unet.flags --folds=5`, or `--folds=blocks`."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

from absl import flags

from mmls_tf.config import WEIGHTS, WEIGHTS_HELP, TrainConfig
from mmls_tf.entry import config_from_flags, define_flags, option, run
from mmls_tf.errors import UsageError
from mmls_tf.sweeping.checks import common_weights, require_no_run_flag, require_weights
from mmls_tf.sweeping.job import carry_out
from mmls_tf.sweeping.plan import plan_cells
from mmls_tf.sweeping.pooling import write_pooled
from mmls_tf.sweeping.run import Sweep, data_fingerprints

_FOLDS = 5  # where --folds does not say how many


@dataclass(frozen=True)
class CrossvalConfig:
    """Where and what to score. These are flags of `python -m mmls_tf.crossval`, beside all of mmls_tf.train."""

    out: str = option("runs/crossval", "Folder for the runs, one a fold, and the reports.")
    weights: str = option("auto", WEIGHTS_HELP, WEIGHTS)
    keep_going: bool = option(False, "Go on with the other folds after one that failed.")
    dry_run: bool = option(False, "Print the runs and train none.")


def parse_fold_count(text: str) -> tuple[str, int]:
    """Returns what `--folds` of training is to be, and the number of folds: 5 is short for random:5, blocks and random
    are short for blocks:5 and random:5.

    Raises:
      UsageError: the text is neither a number, random, blocks, random:K nor blocks:K, or K is less than 2.
    """
    match = re.fullmatch(
        r"(?:(random|blocks):)?([0-9]+)", f"{text}:{_FOLDS}" if text in ("random", "blocks") else text
    )
    if not match or int(match[2]) < 2:
        raise UsageError(
            f"--folds={text}: expected a number of folds, random:K, blocks:K, or blocks, which are {_FOLDS} of them, "
            f"with 2 folds or more; such as --folds={_FOLDS}"
        )
    return f"{match[1] or 'random'}:{int(match[2])}", int(match[2])


def main() -> None:
    """Trains a run for every fold, scores each on its val tiles and prints the table."""
    require_no_run_flag(sys.argv[1:])
    if flags.FLAGS["fold"].present:
        raise UsageError(
            f"--fold={flags.FLAGS['fold'].value}: expected none; cross-validation runs every fold"
        )
    folds, count = parse_fold_count(str(flags.FLAGS["folds"].value))
    flags.FLAGS["folds"].value = folds
    own, base = config_from_flags(CrossvalConfig), config_from_flags(TrainConfig)
    cells = plan_cells(base, {"fold": range(count)}, Path(own.out), f"--folds={folds}")
    require_weights(cells, own.weights)
    if own.dry_run:
        print("\n".join(str(cell.folder) for cell in cells))
        return
    fingerprints = data_fingerprints(cells)
    sweep = Sweep(
        cells,
        Path(own.out),
        fingerprints,
        ("val",),
        common_weights(cells, own.weights),
        own.keep_going,
        base.overwrite,
    )
    carry_out(sweep, write_pooled)
    print(f"Written: {own.out}/crossval.json and crossval.md")


define_flags(TrainConfig)
define_flags(CrossvalConfig)

if __name__ == "__main__":
    run(main)
