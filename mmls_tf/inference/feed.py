"""Reads a scene, one row of windows at a time, into batches of one shape."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mmls_tf.data.known_mask import as_channel, encode_mask
from mmls_tf.data.normalise import Normalisation
from mmls_tf.inference.plan import WindowPlan
from mmls_tf.inference.source import PixelSource, as_canonical
from mmls_tf.raster.raster import FloatArray
from mmls_tf.raster.windows import Window

Places = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class View:
    """What one network sees: its bands and statistics, so many pixels around a core, and whether it is told masks."""

    normalisation: Normalisation
    context: int
    told: bool = False


@dataclass(frozen=True)
class RowRead:
    """A row of windows was read; `valid`, bool [rows, width], is of the pixels that are finished with it."""

    index: int
    valid: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class WindowBatch:
    """Windows to predict.

    Attributes:
      places: (row of windows, first column) of those that count; empty ones fill up the batch.
      images: for each view, float32 [batch, side, side, bands].
    """

    places: Places
    images: tuple[FloatArray, ...]


@dataclass(frozen=True)
class SegmentRead:
    """All rows of windows before `stop` have been read, and all their windows handed out."""

    stop: int


Item = RowRead | WindowBatch | SegmentRead
MappedMask = Callable[[Window], npt.NDArray[np.uint8]]  # 0, 1, 255 (unknown), also outside of the scene


def read_windows(
    source: PixelSource,
    plan: WindowPlan,
    views: Sequence[View],
    seen: Sequence[int],
    batch: int,
    first: int,
    mapped: MappedMask | None = None,
) -> Iterator[Item]:
    """Yields every row of windows, then its windows in batches, from row `first` on, where a segment begins.

    Windows whose core has no valid pixel are left out. A batch holds windows of several rows where it has to; it
    comes when the last of them has been read. Where it is known what is `mapped`, views that are told get a channel
    more.
    """
    strip: _Strip | None = None
    for start, stop in plan.segments(batch):
        if start < first:
            continue
        waiting: list[tuple[tuple[int, int], tuple[FloatArray, ...]]] = []
        for index in range(start, stop):
            strip = _read_row(source, plan, index, strip)
            image, valid = as_canonical(strip.pixels.copy(), seen)
            codes = (
                None if mapped is None else encode_mask(mapped(_seen_by(plan, index)), valid.astype(np.uint8))
            )
            margin, (top, bottom) = plan.context, plan.band(index)
            core = valid[margin : margin + plan.tile, margin : margin + plan.canvas_width]
            yield RowRead(index, core[: bottom - top, : plan.width].copy())
            for column in plan.columns:
                if not core[:, column : column + plan.tile].any():
                    continue
                cut = tuple(_cut(image, valid, codes, view, plan, column) for view in views)
                waiting.append(((index, column), cut))
                if len(waiting) == batch:
                    yield _batch(waiting, batch)
                    waiting = []
        if waiting:
            yield _batch(waiting, batch)
        yield SegmentRead(stop)


@dataclass(frozen=True)
class _Strip:
    """Raw pixels [7, rows, columns] below row `top` of the scene."""

    top: int
    pixels: FloatArray


def _read_row(source: PixelSource, plan: WindowPlan, index: int, before: _Strip | None) -> _Strip:
    """Reads what a row of windows sees; what the strip before it has of that is not read again."""
    window = _seen_by(plan, index)
    if before is None:
        return _Strip(window.row, source.read(window))
    kept = before.pixels[:, window.row - before.top :]
    height = window.height - kept.shape[1]
    fresh = source.read(Window(window.col, window.row + kept.shape[1], window.width, height))
    return _Strip(window.row, np.concatenate([kept, fresh], axis=1))


def _seen_by(plan: WindowPlan, index: int) -> Window:
    return Window(0, plan.rows[index], plan.canvas_width, plan.tile).grown(plan.context)


def _cut(
    image: FloatArray,
    valid: npt.NDArray[np.bool_],
    codes: npt.NDArray[np.uint8] | None,
    view: View,
    plan: WindowPlan,
    column: int,
) -> FloatArray:
    margin, side = plan.context - view.context, plan.tile + 2 * view.context
    part = (slice(margin, margin + side), slice(margin + column, margin + column + side))
    chosen = image[part][..., list(view.normalisation.bands)]
    normalised: FloatArray = view.normalisation.apply(chosen, valid[part].astype(np.float32))
    if not view.told or codes is None:
        return normalised
    known = as_channel(codes[part].astype(np.float32)[..., None], view.context)
    return np.concatenate([normalised, known], axis=-1)


def _batch(waiting: Sequence[tuple[tuple[int, int], tuple[FloatArray, ...]]], batch: int) -> WindowBatch:
    images = []
    for column in zip(*(windows for _, windows in waiting), strict=True):
        stacked = np.zeros((batch, *column[0].shape), np.float32)
        stacked[: len(column)] = column
        images.append(stacked)
    return WindowBatch(tuple(place for place, _ in waiting), tuple(images))
