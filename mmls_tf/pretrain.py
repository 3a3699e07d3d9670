"""Teaches an encoder by images alone: `python -m mmls_tf.pretrain --data=data/ --encoder=plain --out=pretrained`."""

from __future__ import annotations

from mmls_tf.backend import start_backend
from mmls_tf.entry import command_line, config_from_flags, define_flags, run
from mmls_tf.pretraining.config import PretrainConfig

define_flags(PretrainConfig)


def main() -> None:
    """Trains what the flags describe, and says how a run starts from it."""
    config = config_from_flags(PretrainConfig)
    start_backend(config.backend)
    from mmls_tf.pretraining.job import pretrain  # after the backend, which importing Keras fixes

    result = pretrain(config, command_line())
    images = ", ".join(f"{count} of {split}" for split, count in result["images"].items())
    print(f"images     {images}; no mask was used")
    print(
        f"error      {result['losses'][0]:.3f} in the first epoch, {result['losses'][-1]:.3f} in the last, of hidden "
        f"pixels in standard deviations; {result['seconds'] / 60:.1f} min"
    )
    print(
        f"next       python -m mmls_tf.train --pretrained={config.out}/encoder.keras --encoder={config.encoder} ..."
    )


if __name__ == "__main__":
    run(main)
