"""How long a prediction takes, compilation left out."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

Images = npt.NDArray[np.float32]
BATCHES = (1, 16)
_REPEATS, _SECONDS = 15, 2.0


def milliseconds_per_tile(
    predict: Callable[[Sequence[Images]], object], images: Sequence[Images]
) -> dict[str, float]:
    """Returns the median time of a tile in milliseconds, by batch size.

    Args:
      predict: what is timed, from a batch of every member; it is called twice untimed, since the first call compiles.
      images: for each member, at least one image [any, side, side, bands]; they are repeated to fill a batch.
    """
    found = {}
    for batch in BATCHES:
        filled = [np.resize(image, (batch, *image.shape[1:])) for image in images]
        predict(filled)
        predict(filled)
        times: list[float] = []
        while len(times) < 3 or (len(times) < _REPEATS and sum(times) < _SECONDS):
            started = time.perf_counter()
            predict(filled)
            times.append(time.perf_counter() - started)
        found[str(batch)] = 1e3 * statistics.median(times) / batch
    return found
