"""Where the windows over a scene lie, and which rows are finished when. Integers in, a plan out."""

from __future__ import annotations

from dataclasses import dataclass

from mmls_tf.errors import UsageError
from mmls_tf.raster.windows import positions

MAX_OVERLAP = 0.9
_BATCHES_A_SEGMENT = 16  # the last batch of a segment is filled up: on average that wastes 1 in 32


@dataclass(frozen=True)
class WindowPlan:
    """Square windows over a scene. Those of a row of windows share their rows of pixels.

    A window has a core of `tile` pixels a side, which is predicted, and `context` more on every side, which the
    network only sees. A scene smaller than a tile lies in the upper left corner of a canvas that is none.

    Attributes:
      height, width: of the scene in pixels.
      rows, columns: first pixels of the cores, ascending from 0.
    """

    height: int
    width: int
    tile: int
    context: int
    rows: tuple[int, ...]
    columns: tuple[int, ...]

    @property
    def canvas_height(self) -> int:
        """Pixel rows that windows cover."""
        return max(self.height, self.tile)

    @property
    def canvas_width(self) -> int:
        """Pixel columns that windows cover."""
        return max(self.width, self.tile)

    @property
    def windows(self) -> int:
        """Number of windows."""
        return len(self.rows) * len(self.columns)

    def band(self, index: int) -> tuple[int, int]:
        """Returns the rows of the scene [start, stop) that no window after those of row `index` touches."""
        last = index + 1 == len(self.rows)
        return self.rows[index], self.height if last else self.rows[index + 1]

    def segments(self, batch: int) -> tuple[tuple[int, int], ...]:
        """Returns the rows of windows as ranges [first, stop) after each of which the work can be taken up again.

        Batches go on from row to row, but not from segment to segment: a segment is predicted with the same batches
        whether the ones before it were predicted just now or by another process.
        """
        each = max(1, -(-_BATCHES_A_SEGMENT * batch // len(self.columns)))
        count = len(self.rows)
        return tuple((first, min(first + each, count)) for first in range(0, count, each))


def plan_windows(height: int, width: int, tile: int, overlap: float, context: int) -> WindowPlan:
    """Plans windows whose cores cover a scene; the last ones are moved back to its edge.

    Args:
      height, width: of the scene in pixels.
      tile: height and width of a core in pixels.
      overlap: share of a core that the next one covers too, 0 to 0.9; the stride is rounded to whole pixels.
      context: pixels that the network sees around a core.

    Raises:
      UsageError: `overlap` is out of range.
    """
    if not 0.0 <= overlap <= MAX_OVERLAP:
        raise UsageError(f"--overlap={overlap}: expected a share from 0 to {MAX_OVERLAP}")
    stride = max(1, round(tile * (1.0 - overlap)))
    rows, columns = (positions(max(length, tile), tile, stride, "shift") for length in (height, width))
    return WindowPlan(height, width, tile, context, rows, columns)
