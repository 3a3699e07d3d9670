"""Predicts images without masks into an archive: `python -m mmls_tf.submit --run=runs/unet --images=raw/isolated`."""

from __future__ import annotations

from pathlib import Path

from mmls_tf.backend import start_backend
from mmls_tf.entry import config_from_flags, define_flags, run
from mmls_tf.shipped import find_run, require_runs
from mmls_tf.submission.config import SubmitConfig

define_flags(SubmitConfig)


def main() -> None:
    """Writes the archive that the flags describe and says what is in it."""
    config = config_from_flags(SubmitConfig)
    require_runs(find_run(Path(run)) for run in config.evaluated.runs)
    start_backend(config.backend)
    from mmls_tf.submission.job import submit  # after the backend, which importing Keras fixes

    print(submit(config))
    print(f"Written: {config.out}")


if __name__ == "__main__":
    run(main)
