"""Writes a run as a TensorFlow SavedModel: `python -m mmls_tf.export --run=runs/unet --out=exported`."""

from __future__ import annotations

from pathlib import Path

from absl import logging

from mmls_tf.backend import start_backend
from mmls_tf.entry import config_from_flags, define_flags, run
from mmls_tf.exporting.config import ExportConfig
from mmls_tf.shipped import find_run, require_runs

define_flags(ExportConfig)


def main() -> None:
    """Exports what the flags describe and says how it is used."""
    config = config_from_flags(ExportConfig)
    logging.set_verbosity(logging.WARNING)  # TensorFlow reports on its saving through absl
    require_runs([find_run(Path(config.run))])
    start_backend("tensorflow")  # whatever the run was trained with: a SavedModel is TensorFlow's
    from mmls_tf.exporting.saved_model import export  # after the backend, which importing Keras fixes

    out = export(config)
    print(f"exported   {out}")
    print(f'next       model = tf.saved_model.load("{out}"); model.serve(image, valid)["probability"]')


if __name__ == "__main__":
    run(main)
