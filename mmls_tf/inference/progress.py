"""What a prediction says while it works: rows done, rate, time left."""

from __future__ import annotations

import sys
import time

_TERMINAL_SECONDS = 0.5
_FILE_SECONDS = 30.0


class ProgressLine:
    """A line that is written over on a terminal; a new line now and then where output goes to a file."""

    def __init__(self, height: int, width: int, done: int) -> None:
        """Starts the clock.

        Args:
          height, width: of the scene in pixels.
          done: rows that an earlier attempt has finished.
        """
        self._height, self._width, self._first = height, width, done
        self._terminal = sys.stdout.isatty()
        self._every = _TERMINAL_SECONDS if self._terminal else _FILE_SECONDS
        self._started = self._shown = time.perf_counter()
        self._length = 0

    def show(self, done: int) -> None:
        """Says that so many rows are done, unless it has said so just now."""
        now = time.perf_counter()
        if now - self._shown < self._every:
            return
        self._shown = now
        text = progress_text(done, self._height, self._width, done - self._first, now - self._started)
        if self._terminal:
            print(f"\r{text:<{self._length}}", end="", flush=True)
            self._length = len(text)
        else:
            print(text, flush=True)

    def close(self) -> None:
        """Takes the line away."""
        if self._terminal and self._length:
            print("\r" + " " * self._length + "\r", end="", flush=True)


def progress_text(done: int, height: int, width: int, fresh: int, seconds: float) -> str:
    """Returns the line for `done` of `height` rows, of which `fresh` were made in `seconds`."""
    rate = fresh * width / seconds
    left = f"{_duration((height - done) * width / rate)} left" if rate else "time left unknown"
    return f"predicted  {done} of {height} rows ({done / height:.0%})  {rate / 1e6:.3g} megapixels/s  {left}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
