"""The ledger of isolated evaluations: whoever chooses a model by the isolated split can be seen doing it.

One JSON line an evaluation, in the run folder and beside the isolated shards. Lines of the kind `adaptation` say that a
run was adapted to the images of the split, and to the masks of which tiles.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def count_entries(ledger: Path) -> int:
    """Returns how many evaluations a ledger holds."""
    if not ledger.exists():
        return 0
    with ledger.open(encoding="utf-8") as lines:
        entries = [json.loads(line) for line in lines if line.strip()]
    return sum(entry.get("kind", "evaluation") == "evaluation" for entry in entries)


def require_writable(ledgers: Sequence[Path]) -> None:
    """Raises OSError where a ledger cannot be written, before anything has been looked at."""
    for ledger in ledgers:
        with ledger.open("a", encoding="utf-8"):
            pass


def enter(ledgers: Sequence[Path], entry: dict[str, Any]) -> None:
    """Adds one line to every ledger, in one write each, so that jobs side by side do not mix."""
    line = json.dumps(entry, sort_keys=True) + "\n"
    for ledger in ledgers:
        descriptor = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(descriptor, line.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
