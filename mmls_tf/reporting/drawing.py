"""Plots as SVG: legible at the width of a phone, in colours that follow the page's dark or light scheme."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Stand-ins for what a page's style decides: text and axes, then the series. The light values are Okabe and Ito's
# (2008), purple darkened to a contrast of 3 on white; dark ones have that contrast on black.
INK = "#010203"
SERIES = ("#0072b2", "#d55e00", "#009e73", "#a8588a")
VARIABLES = {
    INK: "currentColor",
    **{colour: f"var(--series-{index})" for index, colour in enumerate(SERIES)},
}
DARK_SERIES = ("#56b4e9", "#f0823c", "#1fc795", "#d68fb7")
PRINTED_INK = "#1a1a1a"
MARKERS = ("o", "s", "^", "D", "v")
DASHES = ("-", "--", "-.", ":")
LEGEND: dict[str, Any] = {
    "loc": "outside lower left",
    "frameon": False,
    "labelcolor": INK,
    "fontsize": 9.5,
}
_WIDTH_INCH = 4.0  # about the width of a phone, so that 10 points stay 10 points there


def style(index: int) -> dict[str, Any]:
    """Returns colour, marker and line style of a series: the first twenty differ in more than colour alone."""
    return {
        "color": SERIES[index % len(SERIES)],
        "marker": MARKERS[index % len(MARKERS)],
        "linestyle": DASHES[(index // len(MARKERS)) % len(DASHES)],
        "markersize": 4.5,
        "linewidth": 1.6,
    }


def new_figure(height: float = 3.3) -> tuple[Figure, Axes]:
    """Returns an empty figure of so many inches in height, and its axes."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure  # no pyplot: no window system, no global state

    with rc_context({"font.size": 10}):
        figure = Figure(figsize=(_WIDTH_INCH, height), layout="constrained", facecolor="none")
        axes = figure.add_subplot()
    axes.set_facecolor("none")
    for spine in axes.spines.values():
        spine.set_color(INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=INK, labelsize=10)
    axes.xaxis.label.set(color=INK, size=10)
    axes.yaxis.label.set(color=INK, size=10)
    axes.grid(color=INK, alpha=0.15, linewidth=0.7)
    axes.set_axisbelow(True)
    return figure, axes


def legend(figure: Figure, entries: int) -> None:
    """Puts a legend under the axes, a line for each entry, so that long names have room."""
    figure.legend(**LEGEND, ncols=1 if entries > 2 else entries, handlelength=3)


def to_svg(figure: Figure, name: str) -> str:
    """Returns the text of an SVG file; text stays text, and the same figure gives the same file."""
    from matplotlib import rc_context

    file = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(file, format="svg", metadata={"Date": None}, transparent=True)
    return file.getvalue()


def to_png(picture: npt.NDArray[np.uint8], colours: str = "gray") -> bytes:
    """Returns the bytes of a PNG file of uint8 [height, width] in a colour map, or [height, width, 3] as it is."""
    from matplotlib.image import imsave

    file = io.BytesIO()
    imsave(file, picture, cmap=colours, vmin=0, vmax=255, format="png")
    return file.getvalue()


def inline_svg(svg: str, name: str, title: str, alt: str) -> ElementTree.Element:
    """Returns an SVG element for an HTML page: with title and description, its own ids, the page's colours."""
    root = _plain(svg, name)
    for element in root.iter():
        for key in ("style", "fill", "stroke"):
            value = element.get(key)
            if value:
                element.set(key, _replaced(value, VARIABLES))
    size = root.get("viewBox", "")
    root.attrib.clear()
    root.attrib.update(
        {
            "viewBox": size,
            "role": "img",
            "aria-labelledby": f"{name}-title",
            "aria-describedby": f"{name}-alt",
        }
    )
    _describe(root, name, title, alt)
    return root


def file_svg(svg: str, name: str, title: str, alt: str) -> str:
    """Returns the text of an SVG file by itself: on white, with title and description."""
    root = _plain(_replaced(svg, {INK: PRINTED_INK}), name)
    root.set("xmlns", "http://www.w3.org/2000/svg")
    root.insert(0, ElementTree.Element("rect", {"width": "100%", "height": "100%", "fill": "#ffffff"}))
    _describe(root, name, title, alt)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _describe(root: ElementTree.Element, name: str, title: str, alt: str) -> None:
    for place, (kind, suffix, text) in enumerate((("title", "title", title), ("desc", "alt", alt))):
        element = ElementTree.Element(kind, {"id": f"{name}-{suffix}"})
        element.text = text
        root.insert(place, element)


def _plain(svg: str, name: str) -> ElementTree.Element:
    """Parses what `to_svg` wrote: no namespaces, no metadata, ids that no other drawing has."""
    root = ElementTree.fromstring(svg)
    for element in root.iter():
        element.tag = _local(element.tag)
        for key in list(element.attrib):
            value = element.attrib.pop(key)
            if _local(key) == "id":
                value = f"{name}-{value}"
            elif _local(key) == "href":
                value = value.replace("#", f"#{name}-", 1)
            else:
                value = value.replace("url(#", f"url(#{name}-")
            element.set(_local(key), value)
    for parent in list(root.iter()):
        for child in [child for child in parent if child.tag == "metadata"]:
            parent.remove(child)
    return root


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _replaced(text: str, colours: dict[str, str]) -> str:
    for old, new in colours.items():
        text = text.replace(old, new)
    return text


def wrapped(text: str, width: int = 26) -> str:
    """Returns text with line breaks, for labels of axes."""
    return "\n".join(_lines(text, width))


def _lines(text: str, width: int) -> Iterator[str]:
    import textwrap

    yield from textwrap.wrap(text, width, break_long_words=True, break_on_hyphens=False) or [""]
