"""The training command with a small network, which kills itself while it writes a file. No test by itself.

python -m tests.training.killed_run SIGNAL MOMENT FLAGS...
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

Patch = Callable[[Any, str, Any], None]


def strike_at(moment: int, strike: Callable[[], None], patch: Patch) -> list[str]:
    """Lets `strike` happen at the given moment, counted from 0, and returns a list of the moments that come.

    Moments are: a checkpoint half written, a model half written, and any file written whole but not yet under its final
    name, or just under it.
    """
    moments: list[str] = []

    def come(what: str) -> None:
        moments.append(what)
        if len(moments) - 1 == moment:
            strike()

    replace, savez = Path.replace, np.savez

    def replace_noted(path: Path, target: Path) -> Path:
        come(f"before {Path(target).name}")
        result = replace(path, target)
        come(f"after {Path(target).name}")
        return result

    def savez_noted(file: BinaryIO, **arrays: Any) -> None:
        file.write(b"PK\x03\x04 half of a checkpoint")
        file.flush()
        come("within checkpoint.npz")
        file.seek(0)
        file.truncate()
        savez(file, **arrays)

    patch(Path, "replace", replace_noted)
    patch(np, "savez", savez_noted)
    return moments


def main() -> None:
    """Trains as `mmls_tf.train` does, until the moment comes; -1 never comes."""
    number, moment = int(sys.argv[1]), int(sys.argv[2])
    del sys.argv[1:3]
    strike_at(moment, lambda: os.kill(os.getpid(), number), setattr)
    from mmls_tf import train
    from mmls_tf.backend import start_backend
    from mmls_tf.entry import run

    start_backend("auto")
    from mmls_tf.training import trainer
    from tests.small_networks import small_networks

    trainer.build_with_auxiliary = small_networks
    run(train.main)


if __name__ == "__main__":
    main()
