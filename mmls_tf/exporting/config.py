"""The configuration of an export."""

from __future__ import annotations

from dataclasses import dataclass

from mmls_tf.config import WEIGHTS, WEIGHTS_HELP
from mmls_tf.entry import option


@dataclass(frozen=True)
class ExportConfig:
    """Which run to export where. Every field is a flag of `python -m mmls_tf.export`."""

    run: str = option(None, "Run folder of a finished run, or light, which comes with the package.")
    out: str = option(None, "Folder to write; must not exist.")
    weights: str = option("auto", WEIGHTS_HELP, WEIGHTS)
