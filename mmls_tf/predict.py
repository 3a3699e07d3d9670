"""Maps the landslides of a scene: `python -m mmls_tf.predict --run=runs/unet --scene=scene.tif --out=map`."""

from __future__ import annotations

from pathlib import Path

from mmls_tf.backend import start_backend
from mmls_tf.entry import command_line, config_from_flags, define_flags, run
from mmls_tf.inference.config import PredictConfig
from mmls_tf.shipped import find_run, require_runs

define_flags(PredictConfig)


def main() -> None:
    """Writes the map that the flags describe and says what is in it."""
    config = config_from_flags(PredictConfig)
    require_runs(find_run(Path(run)) for run in config.runs)
    start_backend(config.backend)
    from mmls_tf.inference.job import predict  # after the backend, which importing Keras fixes
    from mmls_tf.inference.screen import map_text

    record = predict(config, command_line())
    print(map_text(record))
    print(f"Written: {config.out}/ ({', '.join(record['files'])})")


if __name__ == "__main__":
    run(main)
