"""Scores a run: `python -m mmls_tf.evaluate --run=runs/unet --split=test`."""

from __future__ import annotations

from pathlib import Path

from mmls_tf.backend import start_backend
from mmls_tf.entry import command_line, config_from_flags, define_flags, run
from mmls_tf.evaluation.config import EvaluateConfig
from mmls_tf.shipped import require_runs

define_flags(EvaluateConfig)


def main() -> None:
    """Scores what the flags describe, prints the table and says where result and picture are."""
    config = config_from_flags(EvaluateConfig)
    require_runs(map(Path, config.runs))
    start_backend(config.backend)
    from mmls_tf.evaluation.job import evaluate  # after the backend, which importing Keras fixes
    from mmls_tf.evaluation.screen import result_text

    result = evaluate(config, command_line())
    print(result_text(result))
    print(f"Written: {config.run}/evaluations/{config.name}.json and {config.name}.png")


if __name__ == "__main__":
    run(main)
