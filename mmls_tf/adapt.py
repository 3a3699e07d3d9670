"""Adapts a run to other ground: `python -m mmls_tf.adapt --run=RUN --target=DATA --method=statistics --out=RUN2`."""

from __future__ import annotations

from pathlib import Path

from mmls_tf.adaptation.config import AdaptConfig
from mmls_tf.backend import start_backend
from mmls_tf.entry import command_line, config_from_flags, define_flags, run
from mmls_tf.shipped import require_runs

define_flags(AdaptConfig)


def main() -> None:
    """Adapts what the flags describe, prints what came of it and says where the new run is."""
    config = config_from_flags(AdaptConfig)
    require_runs([Path(config.run)])
    start_backend(config.backend)
    from mmls_tf.adaptation.job import adapt  # after the backend, which importing Keras fixes
    from mmls_tf.adaptation.screen import adaptation_text

    print(adaptation_text(adapt(config, command_line())))
    print(f"Written: {config.out}, a run as any other: python -m mmls_tf.evaluate --run={config.out} ...")


if __name__ == "__main__":
    run(main)
