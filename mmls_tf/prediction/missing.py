"""What a prediction may have to do without: bands, and masks of what lies around."""

from __future__ import annotations

from mmls_tf.bands import parse_bands
from mmls_tf.data.known_mask import CHANNEL


def without_masks(text: str) -> str:
    """Returns what `--missing` is where known masks are missing besides."""
    return f"{text}+{CHANNEL}" if text else CHANNEL


def parse_missing(text: str) -> tuple[tuple[int, ...], bool]:
    """Returns the indices into `BANDS` that `--missing` names, and whether it names known masks too.

    Raises:
      UsageError: a name is neither a band, a set of bands nor known_mask.
    """
    names = [name.strip() for name in text.split("+")] if text else []
    bands = "+".join(name for name in names if name != CHANNEL)
    return parse_bands(bands, "missing") if bands else (), CHANNEL in names
