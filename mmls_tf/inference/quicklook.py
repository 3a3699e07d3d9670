"""The quick-look: a picture of a predicted scene for people."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmls_tf.inference.base_map import BaseMap
from mmls_tf.raster.graticule import degree_extent, degree_text, ground_width_m
from mmls_tf.raster.grid import Grid
from mmls_tf.raster.raster import ByteArray
from mmls_tf.reporting.drawing import PRINTED_INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's (2008) orange and vermilion on gray, their blues where the ground is Mars's own red.
ON_GRAY = ("#e69f00", "#b34a00")
ON_COLOURS = ("#56b4e9", "#00436b")
OPACITY = 0.45
_LEAST_PX = 900  # of the longer side: small scenes are drawn in squares
_DPI = 100
_LEFT, _RIGHT, _TOP, _BOTTOM = 84, 24, 62, 100  # margins in pixels
_LEAST_FIGURE_PX = (700, 420)


def write_quicklook(base: BaseMap, grid: Grid | None, target: Path) -> None:
    """Draws a scene's relief with landslides over it, as PNG of at most 2000 pixels a side.

    The ground is the hill-shade of the elevation; where there is none, red, green and blue, or the gray band. Places
    without a prediction are hatched.

    Args:
      grid: of the scene; None: it has no place.
    """
    figure, axes = _frame(base)
    picture = painted(base)
    _draw(axes, base, picture)
    _label_edges(axes, base, grid)
    _explain(figure, axes, base, grid, gaps=bool((picture[..., 3] == 0).any()))
    partial = target.with_name(f".{target.name}.partial")
    figure.savefig(partial, dpi=_DPI, format="png", metadata={"Software": None})
    partial.replace(target)


def painted(base: BaseMap) -> ByteArray:
    """Returns the ground with landslides over it, uint8 [rows, columns, 4]: red, green, blue, opacity.

    Transparent where the ground or the prediction has no data; a cell that is landslide in part is tinted in part.
    """
    fill = _rgb((ON_COLOURS if base.in_colours else ON_GRAY)[0])
    ground = base.ground if base.in_colours else base.ground[..., None].repeat(3, axis=-1)
    predicted = ~np.isnan(base.landslide)
    weight = OPACITY * np.where(predicted, base.landslide, 0.0)[..., None]
    colours = (1.0 - weight) * ground + weight * fill
    opacity = np.where(predicted & base.known, 255, 0)
    return np.concatenate([np.rint(colours), opacity[..., None]], axis=-1).astype(np.uint8)


def _rgb(colour: str) -> np.ndarray:
    return np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)], np.float64)


def _frame(base: BaseMap) -> tuple[Figure, Axes]:
    """Returns a figure whose axes show a cell as one square of whole pixels."""
    from matplotlib.figure import Figure  # no pyplot: no window system, no global state

    rows, columns = base.cells.rows, base.cells.columns
    zoom = max(1, round(_LEAST_PX / max(rows, columns)))
    width = max(_LEAST_FIGURE_PX[0], columns * zoom + _LEFT + _RIGHT)
    height = max(_LEAST_FIGURE_PX[1], rows * zoom + _TOP + _BOTTOM)
    left = _LEFT + (width - columns * zoom - _LEFT - _RIGHT) // 2
    bottom = _BOTTOM + (height - rows * zoom - _TOP - _BOTTOM) // 2
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor="white")
    axes = figure.add_axes((left / width, bottom / height, columns * zoom / width, rows * zoom / height))
    axes.set(xlim=(0, columns), ylim=(rows, 0))
    return figure, axes


def _draw(axes: Axes, base: BaseMap, picture: ByteArray) -> None:
    rows, columns = base.cells.rows, base.cells.columns
    axes.patch.set(facecolor="#f2f2f2", hatch="////", edgecolor="#c4c8cc", linewidth=0)
    extent = (0, columns, rows, 0)
    axes.imshow(picture, extent=extent, interpolation="nearest", aspect="auto")
    share = np.where(np.isnan(base.landslide), 0.0, base.landslide)
    if min(rows, columns) > 1 and share.max() > 0.5 > share.min():
        line = (ON_COLOURS if base.in_colours else ON_GRAY)[1]
        centres = np.arange(columns) + 0.5, np.arange(rows) + 0.5
        axes.contour(*centres, share, levels=[0.5], colors=[line], linewidths=0.7)


@dataclass(frozen=True)
class _Scale:
    """One edge of the picture: its name, its values at the first and after the last cell, letters of + and -."""

    name: str
    first: float
    last: float
    signs: str = ""

    def text(self, value: float) -> str:
        """Returns how a value is written."""
        return degree_text(value, self.signs) if self.signs else f"{value:.9g}"


def _scales(base: BaseMap, grid: Grid | None) -> tuple[_Scale, _Scale]:
    """Returns what runs along the lower and the left edge: degrees, coordinates of the map, or pixels."""
    cells = base.cells
    width, height = cells.columns * cells.factor, cells.rows * cells.factor
    if grid is None:
        return _Scale("column (pixels; no georeference)", 0, width), _Scale("row", 0, height)
    degrees = degree_extent(grid)
    west, south, east, north = degrees or grid.extent
    right = west + (east - west) * width / grid.width
    bottom = north + (south - north) * height / grid.height
    if degrees is None:
        return _Scale("x of the map", west, right), _Scale("y of the map", north, bottom)
    return _Scale("longitude", west, right, "EW"), _Scale("latitude", north, bottom, "NS")


def _label_edges(axes: Axes, base: BaseMap, grid: Grid | None) -> None:
    from matplotlib.ticker import MaxNLocator

    counts = base.cells.columns, base.cells.rows
    for axis, scale, count in zip((axes.xaxis, axes.yaxis), _scales(base, grid), counts, strict=True):
        low, high = sorted((scale.first, scale.last))
        ticks = MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
        inside = [float(tick) for tick in ticks if low <= tick <= high]
        places = [(tick - scale.first) / (scale.last - scale.first) * count for tick in inside]
        axis.set_ticks(places, [scale.text(tick) for tick in inside])
        axis.set_label_text(scale.name, color=PRINTED_INK, size=9)
        axis.set_tick_params(labelsize=9, colors=PRINTED_INK)


def _explain(figure: Figure, axes: Axes, base: BaseMap, grid: Grid | None, gaps: bool) -> None:
    """Adds title, legend and, where the scene has a place, a scale bar and north."""
    from matplotlib.patches import Patch

    height = figure.get_size_inches()[1] * _DPI
    box = axes.get_position()
    fill, line = ON_COLOURS if base.in_colours else ON_GRAY
    title: dict[str, Any] = {"color": PRINTED_INK, "ha": "left", "va": "bottom"}
    figure.text(box.x0, box.y1 + 30 / height, "Predicted landslides", size=14, weight="bold", **title)
    figure.text(box.x0, box.y1 + 10 / height, f"on {_ground_text(base)}", size=9, **title)
    tint = OPACITY * _rgb(fill) + (1.0 - OPACITY) * 180.0  # as over even ground
    entries = [Patch(facecolor=tuple(tint / 255.0), edgecolor=line, label="landslide")]
    if gaps:
        hatched: dict[str, Any] = {"facecolor": "#f2f2f2", "edgecolor": "#a0a6ac", "hatch": "/////"}
        entries.append(Patch(**hatched, label="no prediction"))
    figure.legend(
        handles=entries,
        loc="lower right",
        bbox_to_anchor=(box.x1, box.y0 - (_BOTTOM - 6) / height),
        borderaxespad=0,
        frameon=False,
        ncols=2,
        fontsize=10,
        labelcolor=PRINTED_INK,
    )
    if grid is not None:
        _measure(figure, axes, ground_width_m(grid) * base.cells.factor)


def _ground_text(base: BaseMap) -> str:
    factor = base.cells.factor
    return base.subject if factor == 1 else f"{base.subject}; means of {factor} x {factor} pixels"


def _measure(figure: Figure, axes: Axes, cell_m: float) -> None:
    """Draws a scale bar under the picture, as long as it is on the middle parallel, and an arrow to the north."""
    from matplotlib.lines import Line2D

    width, height = figure.get_size_inches() * _DPI
    box = axes.get_position()
    pixel_m = cell_m * (axes.get_xlim()[1] / (box.width * width))
    length_km = round_length(0.22 * box.width * width * pixel_m / 1000.0)
    left, right = box.x0, box.x0 + length_km * 1000.0 / pixel_m / width
    low, high = box.y0 - 70 / height, box.y0 - 64 / height
    ends: dict[str, Any] = {"transform": figure.transFigure, "color": PRINTED_INK, "linewidth": 1.6}
    figure.add_artist(Line2D([left, left, right, right], [high, low, low, high], **ends))
    words: dict[str, Any] = {"color": PRINTED_INK, "size": 9, "va": "top"}
    figure.text(left, low - 4 / height, f"{length_km:g} km", ha="left", **words)
    figure.text(
        box.x1,
        box.y1 + 10 / height,
        "N \N{UPWARDS ARROW}",
        ha="right",
        va="bottom",
        size=11,
        color=PRINTED_INK,
    )


def round_length(most: float) -> float:
    """Returns the largest of 1, 2 or 5 times a power of ten that is not above `most`."""
    power = 10.0 ** math.floor(math.log10(most))
    return next(step * power for step in (5.0, 2.0, 1.0) if step * power <= most)
