"""A map of a predicted scene as one HTML page: zoom, pan, the landslides as polygons and as a table."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

from mmls_tf.files import write_text
from mmls_tf.inference.base_map import BaseMap
from mmls_tf.inference.landslide import Inventory, Landslide
from mmls_tf.inference.map_drawing import PARTS, map_section, path_data
from mmls_tf.inference.map_script import SCRIPT
from mmls_tf.inference.map_style import MAP_STYLE
from mmls_tf.inference.map_table import script_data, table_section
from mmls_tf.raster.geopackage import read_polygons
from mmls_tf.raster.graticule import ground_width_m
from mmls_tf.raster.grid import Grid
from mmls_tf.raster.raster import RasterError
from mmls_tf.reporting.elements import with_text
from mmls_tf.reporting.style import STYLE

MOST_POLYGONS = 10_000
_STYLE = STYLE + MAP_STYLE


def write_map_page(
    base: BaseMap,
    grid: Grid,
    inventory: Inventory,
    facts: Mapping[str, str],
    target: Path,
    geopackage: Path,
) -> None:
    """Writes the page; it needs nothing beside it and asks nothing of any network.

    Outlines are no finer than half a cell of the picture. Of the landslides, the largest 10 000 are drawn and the
    largest 500 are in the table.

    Args:
      base: the scene with the landslides of the mask.
      inventory: the landslides of the mask.
      facts: what else is known of the map, by name; plain text.
      geopackage: the polygons of the inventory, in the CRS of the scene, with their `id`.

    Raises:
      RasterError: the polygons cannot be read, or lack one of the inventory's.
    """
    drawn = inventory.landslides[:MOST_POLYGONS]
    half_cell = grid.geotransform[1] * base.cells.factor / 2
    by_id = {
        number: path_data(rings, grid, base.cells.factor)
        for number, rings in read_polygons(geopackage, tolerance=half_cell)
    }
    lacking = [one.id for one in drawn if one.id not in by_id]
    if lacking:
        raise RasterError(
            geopackage,
            f"the polygons of all {len(inventory.landslides)} landslides",
            f"none of id {lacking[0]}",
        )
    # The largest is drawn first, so that a smaller one can always be clicked.
    paths = {one.id: by_id[one.id] for one in drawn}
    write_text(target, _page(grid, base, inventory, paths, facts))


def _page(
    grid: Grid,
    base: BaseMap,
    inventory: Inventory,
    paths: Mapping[int, str],
    facts: Mapping[str, str],
) -> str:
    title = "Predicted landslides"
    root = Element("html", {"lang": "en"})
    root.append(_head(title))
    body = SubElement(root, "body")
    with_text(SubElement(body, "a", {"class": "skip", "href": "#main"}), "Skip to the content")
    with_text(SubElement(SubElement(body, "header"), "h1"), title)
    main = SubElement(body, "main", {"id": "main", "tabindex": "-1"})
    for sentence in _lead(inventory, len(paths)):
        with_text(SubElement(main, "p"), sentence)
    main.append(map_section(base, paths))
    main.append(table_section(inventory.landslides))
    main.append(_facts_section(facts))
    data = SubElement(body, "script", {"type": "application/json", "id": "data"})
    data.text = _json(_data(grid, base, inventory.landslides[: len(paths)]))
    SubElement(body, "script").text = SCRIPT
    return "<!DOCTYPE html>\n" + tostring(root, encoding="unicode", method="html") + "\n"


def _data(grid: Grid, base: BaseMap, landslides: Sequence[Landslide]) -> dict[str, Any]:
    """Returns what the script has to know; a cell is `cell_m` wide on the ground."""
    cells = base.cells
    return {
        "columns": cells.columns,
        "rows": cells.rows,
        "factor": cells.factor,
        "cell_m": cells.factor * ground_width_m(grid),
        "parts": PARTS,
        **script_data(landslides),
    }


def _json(value: Any) -> str:
    """Returns JSON that can stand in a script element: no text of it ends that element."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _head(title: str) -> Element:
    head = Element("head")
    SubElement(head, "meta", {"charset": "utf-8"})
    SubElement(head, "meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"})
    # Nothing is loaded, and nothing runs but this script and this style, whatever the texts of the page hold.
    rules = {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": _allowed(_STYLE),
        "script-src": _allowed(SCRIPT),
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    policy = "; ".join(f"{name} {value}" for name, value in rules.items())
    SubElement(head, "meta", {"http-equiv": "Content-Security-Policy", "content": policy})
    SubElement(head, "link", {"rel": "icon", "href": "data:,"})
    with_text(SubElement(head, "title"), title)
    SubElement(head, "style").text = _STYLE
    return head


def _allowed(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _lead(inventory: Inventory, drawn: int) -> Iterator[str]:
    count = len(inventory.landslides)
    if count:
        yield (
            f"{_count(count)}, {inventory.area_km2:,.1f} km² together: {inventory.share:.1%} of the "
            f"{inventory.mapped_km2:,.0f} km² that were mapped."
        )
    else:
        yield f"No landslide was found on the {inventory.mapped_km2:,.0f} km² that were mapped."
    if drawn < count:
        yield f"The map shows the largest {drawn:,} of them; landslides.gpkg has all."


def _count(number: int) -> str:
    return "One landslide" if number == 1 else f"{number:,} landslides"


def _facts_section(facts: Mapping[str, str]) -> Element:
    section = Element("section", {"id": "facts", "aria-labelledby": "facts-heading"})
    with_text(SubElement(section, "h2", {"id": "facts-heading"}), "How the map was made")
    entries = SubElement(section, "dl")
    for name, text in facts.items():
        with_text(SubElement(entries, "dt"), name)
        with_text(SubElement(entries, "dd"), text)
    return section
