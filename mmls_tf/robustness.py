"""Tries a run on changed tiles: `python -m mmls_tf.robustness --run=runs/unet --split=test`."""

from __future__ import annotations

from pathlib import Path

from mmls_tf.backend import start_backend
from mmls_tf.entry import command_line, config_from_flags, define_flags, run
from mmls_tf.evaluation.robustness.config import RobustnessConfig
from mmls_tf.shipped import require_runs

define_flags(RobustnessConfig)


def main() -> None:
    """Scores the run under every change, prints the table and says where the result is."""
    config = config_from_flags(RobustnessConfig)
    require_runs([Path(config.run)])
    start_backend(config.backend)
    from mmls_tf.evaluation.robustness.job import (
        try_changes,
    )  # after the backend, which importing Keras fixes
    from mmls_tf.evaluation.robustness.table import screen_text

    result = try_changes(config, command_line())
    print(screen_text(result))
    print(f"Written: {config.run}/robustness/{config.name}.json, {config.name}.md and {config.name}.png")


if __name__ == "__main__":
    run(main)
