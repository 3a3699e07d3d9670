"""What a result was measured on and with."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

from mmls_tf.training.device import cpu_name


def describe_machine() -> dict[str, str | int]:
    """Returns cores, processor and system of this machine: nothing that names it."""
    return {"cores": os.cpu_count() or 0, "processor": cpu_name(), "system": platform.system()}


def find_commit() -> str | None:
    """Returns the commit of the source that runs, with a + where it was changed; None where it is no checkout."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        words = ("describe", "--always", "--dirty=+", "--abbrev=12", "--match=")
        result = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return result.stdout.strip()
