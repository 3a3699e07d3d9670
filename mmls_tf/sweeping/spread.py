"""Mean and sample standard deviation of a few repeated runs."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """Figures of `n` runs that differ in their seed or fold only.

    Attributes:
      sd: sample standard deviation (n - 1 in the denominator); None for one run, of which it is not known.
    """

    mean: float
    sd: float | None
    n: int


def spread(values: Sequence[float]) -> Spread:
    """Returns mean and sample standard deviation of one value or more."""
    sd = statistics.stdev(values) if len(values) > 1 else None
    return Spread(statistics.fmean(values), sd, len(values))


def spread_text(found: Spread, digits: int = 3) -> str:
    """Returns `.777 ± .020`, and `.777 ± -` where the deviation is not known."""
    deviation = "-" if found.sd is None else number_text(found.sd, digits)
    return f"{number_text(found.mean, digits)} ± {deviation}"


def number_text(value: float, digits: int = 3) -> str:
    """Returns a number as papers write shares: without the zero before the point."""
    text = f"{value:.{digits}f}"
    return text[1:] if text.startswith("0.") else text
