"""Makes of a finished run what comes with the package: one set of weights and what prediction needs to know of it.

    python -m mmls_tf.train --flagfile=configs/light.flags --context=32 --windows=anywhere --augment=none --ema=0.98 \
        --epochs=30 --data=data_all --run=runs/light
    python -m benchmarks.ship --run=runs/light --out=mmls_tf/weights/light

`data_all` has the tiles of train and val as train, and some of them once more as val. The card beside the weights,
README.md, is written by hand and left alone. Paths of the machine that trained are left out.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmls_tf.backend import start_backend
from mmls_tf.config import chosen_weights
from mmls_tf.entry import config_from_flags, define_flags, option, run
from mmls_tf.errors import RunFolderError
from mmls_tf.files import write_json

MOST_BYTES = 4_000_000


@dataclass(frozen=True)
class ShipConfig:
    """What goes where."""

    run: str = option(None, "Run folder of a finished run.")
    out: str = option(None, "Folder in the package.")


def ship(config: ShipConfig) -> None:
    """Copies weights and records.

    Raises:
      RunFolderError: the run is not finished, or its weights are too large.
    """
    from mmls_tf.training.run_folder import RunFolder

    folder, record = RunFolder.open(Path(config.run))
    if not folder.finished:
        raise RunFolderError(f"--run={config.run}: expected a finished run, found no summary.json")
    weights = folder.weights(chosen_weights("auto", record.config))
    if (size := weights.stat().st_size) > MOST_BYTES:
        raise RunFolderError(f"{weights}: expected at most {MOST_BYTES} bytes, found {size}")
    out = Path(config.out)
    out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(weights, out / weights.name)
    for name in ("run.json", "summary.json"):
        fields = json.loads((folder.root / name).read_text(encoding="utf-8"))
        write_json(out / name, without_paths(fields, out.name))


def without_paths(fields: dict[str, Any], name: str) -> dict[str, Any]:
    """Returns a record with the names that others would give to its folders."""
    config = {**fields["config"], "data": "data", "run": f"runs/{name}"}
    return {**fields, "config": config} | ({"command": ""} if "command" in fields else {})


def main() -> None:
    """Ships a run."""
    config = config_from_flags(ShipConfig)
    start_backend("auto")
    ship(config)
    print(f"Written: {config.out}")


if __name__ == "__main__":
    define_flags(ShipConfig)
    run(main)
