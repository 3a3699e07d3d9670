"""The configuration of an audit."""

from __future__ import annotations

from dataclasses import dataclass

from mmls_tf.entry import option


@dataclass(frozen=True)
class AuditConfig:
    """What to audit. Every field is a flag of `python -m tfrecords_builder.audit`."""

    data: str = option(None, "Data set made by tfrecords_builder.")
    out: str = option("", "Folder for audit.json and audit.png; empty: the data set's own.")
    contents: bool = option(True, "Read every record and look for duplicates by content.")
