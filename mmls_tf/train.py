"""Trains a model: `python -m mmls_tf.train --flagfile=configs/unet.flags`."""

from __future__ import annotations

import shlex

from mmls_tf.backend import start_backend
from mmls_tf.config import TrainConfig
from mmls_tf.entry import command_line, config_from_flags, define_flags, run

define_flags(TrainConfig)


def main() -> None:
    """Trains what the flags describe and says where the run is."""
    config = config_from_flags(TrainConfig)
    start_backend(config.backend)
    from mmls_tf.training.trainer import train  # after the backend, which importing Keras fixes

    folder = train(config, command_line())
    print(f"run        {folder.root}")
    print(f"next       python -m mmls_tf.evaluate --run={shlex.quote(str(folder.root))} --split=test")


if __name__ == "__main__":
    run(main)
