"""Looks for leaks between splits: overlapping, touching and duplicate tiles."""

from tfrecords_builder.audit.findings import audit_manifest
from tfrecords_builder.audit.report import short_text

__all__ = ["audit_manifest", "short_text"]
