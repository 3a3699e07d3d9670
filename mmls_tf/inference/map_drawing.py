"""The drawing on the map page: the picture of the scene, the landslides as paths over it, what moves them."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from xml.etree.ElementTree import Element, SubElement

import numpy as np

from mmls_tf.inference.base_map import BaseMap
from mmls_tf.raster.grid import Grid
from mmls_tf.raster.sphere import Floats
from mmls_tf.reporting.elements import with_text

PARTS = 10  # of a cell, in which outlines are given
_BUTTONS = (
    ("closer", "+", "Zoom in"),
    ("farther", "\N{MINUS SIGN}", "Zoom out"),
    ("whole", "", "Show the whole scene"),
)


def path_data(rings: Sequence[Floats], grid: Grid, factor: int) -> str:
    """Returns rings as the data of an SVG path, in whole parts of cells; steps are short, places are not."""
    corner = np.array([grid.geotransform[0], grid.geotransform[3]])
    cell = factor * np.array([grid.geotransform[1], grid.geotransform[5]])
    words = []
    for ring in rings:
        points = np.rint(PARTS * (ring - corner) / cell).astype(int)
        steps = np.diff(points[:-1], axis=0)  # the last point is the first
        words.append("M{} {}".format(*points[0]) + "l" + " ".join(f"{x} {y}" for x, y in steps) + "z")
    return "".join(words)


def map_section(base: BaseMap, paths: Mapping[int, str]) -> Element:
    """Returns the map with all that belongs to it.

    Args:
      paths: data of SVG paths by id of a landslide, in the order in which they are drawn.
    """
    classes = "on-colours" if base.in_colours else "on-gray"
    section = Element("section", {"aria-label": "Map", "class": classes})
    panes = SubElement(section, "div", {"id": "panes"})
    left = SubElement(panes, "div")
    about = {"role": "group", "aria-label": "Map of the landslides", "aria-describedby": "keys"}
    frame = SubElement(left, "div", {"id": "map", "tabindex": "0", **about})
    frame.append(_drawing(base, paths))
    buttons = SubElement(frame, "div", {"id": "buttons"})
    for name, sign, text in _BUTTONS:
        button = {"type": "button", "id": name, "aria-label": text, "title": text}
        element = SubElement(buttons, "button", button)
        if sign:
            element.text = sign
        else:
            icon = SubElement(element, "svg", {"viewBox": "0 0 16 16", "aria-hidden": "true"})
            SubElement(icon, "path", {"d": "M1 6V1h5M10 1h5v5M15 10v5h-5M6 15H1v-5"})
    ruler = SubElement(frame, "div", {"id": "ruler", "class": "needs-script", "aria-hidden": "true"})
    SubElement(ruler, "b")
    SubElement(ruler, "span")
    left.append(_controls())
    details = SubElement(
        panes, "section", {"id": "details", "aria-live": "polite", "aria-label": "Chosen landslide"}
    )
    hint = "Click a landslide, on the map or in the table." if paths else "There is no landslide on this map."
    with_text(SubElement(details, "p"), hint)
    section.extend(_hints(base))
    return section


def _drawing(base: BaseMap, paths: Mapping[int, str]) -> Element:
    columns, rows = str(base.cells.columns), str(base.cells.rows)
    svg = Element("svg", {"id": "view", "viewBox": f"0 0 {columns} {rows}", "width": columns, "height": rows})
    picture = base64.b64encode(_png(base)).decode()
    SubElement(
        svg,
        "image",
        {
            "width": columns,
            "height": rows,
            "role": "img",
            "aria-label": f"The scene: {base.subject}",
            "href": f"data:image/png;base64,{picture}",
        },
    )
    parts = {"transform": f"scale({1 / PARTS:g})"}
    slides = SubElement(svg, "g", {"id": "slides", **parts})
    for number, data in paths.items():
        SubElement(slides, "path", {"data-id": str(number), "d": data})
    marks = SubElement(svg, "g", {"id": "marks", "aria-hidden": "true", **parts})
    for name in ("halo", "chosen"):
        SubElement(marks, "path", {"id": name})
    return svg


def _controls() -> Element:
    row = Element("div", {"class": "controls"})
    SubElement(SubElement(row, "span"), "span", {"class": "swatch", "aria-hidden": "true"}).tail = "landslide"
    label = SubElement(row, "label", {"class": "needs-script"})
    SubElement(label, "span").text = "Opacity"
    scale = {"type": "range", "id": "opacity", "min": "0", "max": "100", "step": "5", "value": "75"}
    SubElement(label, "input", scale)
    SubElement(label, "output", {"id": "opacity-text", "for": "opacity"})
    return row


def _hints(base: BaseMap) -> Iterator[Element]:
    factor = base.cells.factor
    made = f", means of {factor} x {factor} pixels" if factor > 1 else ""
    yield with_text(
        Element("p", {"class": "hint"}),
        f"North is up. Under the landslides: {base.subject}{made}; hatched: no data.",
    )
    yield with_text(
        Element("p", {"class": "hint needs-script", "id": "keys"}),
        "Zoom with the wheel, two fingers or the keys + and \N{MINUS SIGN}, move by dragging or with the arrow keys; "
        "0 shows the whole scene, N and P go to the next and the previous landslide.",
    )


def _png(base: BaseMap) -> bytes:
    """Returns the ground as PNG, transparent where it has no data or nothing was predicted."""
    from PIL import Image  # Matplotlib's own writer knows no gray with transparency

    opacity = np.where(base.known & ~np.isnan(base.landslide), 255, 0).astype(np.uint8)[..., None]
    ground = base.ground if base.in_colours else base.ground[..., None]
    file = io.BytesIO()
    Image.fromarray(
        np.concatenate([np.where(opacity > 0, ground, 0), opacity], axis=-1).astype(np.uint8)
    ).save(file, format="PNG")
    return file.getvalue()
