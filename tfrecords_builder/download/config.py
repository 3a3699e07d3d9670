"""The flags of `python -m tfrecords_builder.download`."""

from __future__ import annotations

from dataclasses import dataclass

from mmls_tf.entry import option
from mmls_tf.errors import UsageError


@dataclass(frozen=True)
class DownloadConfig:
    """What to fetch and where to; every field is a flag.

    Raises:
      UsageError: a value is out of range.
    """

    out: str = option("raw", "Folder to write; an interrupted download beside it is taken up again.")
    repo: str = option("MarsLS/MMLSv2", "Data set on the Hugging Face hub, as OWNER/NAME.")
    revision: str = option(
        "main",
        "Commit, tag or branch. It is resolved to a commit once, noted in OUT/download.json, and kept to.",
    )
    workers: int = option(8, "Files fetched at the same time.")

    def __post_init__(self) -> None:
        if not 1 <= self.workers <= 32:
            raise UsageError(f"--workers={self.workers}: expected 1 to 32")
        if self.repo.count("/") != 1:
            raise UsageError(f"--repo={self.repo}: expected OWNER/NAME, such as MarsLS/MMLSv2")
        for name in ("out", "revision"):
            if not getattr(self, name):
                raise UsageError(f"--{name}: expected a value, found nothing")
