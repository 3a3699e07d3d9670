"""The map of a split's tiles, coloured by landslide IoU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmls_tf.reporting.document import Plot
from mmls_tf.reporting.drawing import INK, LEGEND, new_figure, to_svg
from mmls_tf.reporting.reading import Evaluation
from mmls_tf.reporting.rows import number_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LOW = 0.5
_Spot = tuple[float, float, "float | None"]


def tile_maps(evaluation: Evaluation, tile_size: int, label: str, name: str) -> list[Plot]:
    """Returns a map for each frame of the places; none where no tile has a place."""
    table = evaluation.tiles
    frames: dict[str, list[_Spot]] = {}
    for place, iou in zip(table.places, table.iou, strict=True):
        if place is not None:
            frames.setdefault(place[0], []).append((place[1], place[2], iou))
    return [
        _map(
            spots,
            tile_size,
            f"{label} on {evaluation.split}" + (f", {frame}" if len(frames) > 1 else ""),
            f"{name}-{number}",
        )
        for number, (frame, spots) in enumerate(frames.items(), 1)
    ]


def _map(spots: list[_Spot], side: int, label: str, name: str) -> Plot:
    left, top = min(spot[0] for spot in spots), min(spot[1] for spot in spots)
    placed = [((x - left) / side, (y - top) / side, iou) for x, y, iou in spots]
    title = f"Tiles of {label}, by IoU"
    caption = "Where tiles lie, north up; dark blue is an IoU of 0, yellow one of 1."
    return Plot(name, title, caption, f"{title}. {_seen(spots)}", to_svg(_drawn(placed), name))


def _seen(spots: list[_Spot]) -> str:
    known = [iou for _, _, iou in spots if iou is not None]
    text = f"{len(spots)} tiles, {len(known)} of them with a landslide in truth or prediction"
    if not known:
        return f"{text}."
    below = sum(iou < _LOW for iou in known)
    return (
        f"{text}, IoU from {number_text(min(known))} to {number_text(max(known))}, "
        f"{below} below {number_text(_LOW, 1)}."
    )


def _drawn(placed: list[_Spot]) -> Figure:
    """Draws places in tiles from the upper left corner."""
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle
    from matplotlib.ticker import MaxNLocator

    width, height = max(x for x, _, _ in placed) + 1, max(y for _, y, _ in placed) + 1
    figure, axes = new_figure(min(6.0, max(1.2, 3.3 * height / width)) + 1.7)
    for x, y, iou in placed:
        colour = "none" if iou is None else colormaps["cividis"](iou)
        axes.add_patch(Rectangle((x, y), 1, 1, edgecolor=INK, linewidth=0.4, facecolor=colour))
        if iou is not None and iou < _LOW:
            axes.plot([x + 0.2, x + 0.8], [y + 0.2, y + 0.8], color="#ffffff", linewidth=0.9)
    axes.set(xlim=(-0.5, width + 0.5), ylim=(height + 0.5, -0.5), aspect="equal")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set(xlabel="tiles to the east", ylabel="tiles to the south")
    _explain(figure, axes)
    return figure


def _explain(figure: Figure, axes: Axes) -> None:
    """Adds the scale of colours and what tells tiles apart without them."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.patches import Patch

    scale = ScalarMappable(cmap="cividis")
    scale.set_clim(0, 1)
    title = "landslide IoU of a tile"
    bar = figure.colorbar(scale, ax=axes, location="bottom", fraction=0.08, aspect=30, label=title)
    bar.ax.tick_params(colors=INK, labelsize=10)
    bar.ax.xaxis.label.set(color=INK, size=10)
    bar.outline.set_edgecolor(INK)
    low = f"stroke: below {number_text(_LOW, 1)}"
    figure.legend(
        handles=[
            Patch(facecolor=colormaps["cividis"](0.2), edgecolor="#ffffff", hatch="\\\\", label=low),
            Patch(facecolor="none", edgecolor=INK, label="empty: no landslide"),
        ],
        **LEGEND,
        ncols=2,
    )
