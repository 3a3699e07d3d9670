"""The landslides of the map page: how their attributes are called and written, the table, what the script knows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement

from mmls_tf.inference.landslide import Landslide
from mmls_tf.raster.graticule import degree_text
from mmls_tf.reporting.elements import with_text

MOST_ROWS = 500
_UNKNOWN = "\N{EN DASH}"
_DEGREE = "\N{DEGREE SIGN}"


@dataclass(frozen=True)
class Attribute:
    """An attribute of landslides: its name, its unit if any, its value, how that is written without the unit."""

    name: str
    unit: str
    value: Callable[[Landslide], float | None]
    write: Callable[[float], str]

    @property
    def head(self) -> str:
        """The heading of its column."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    def text(self, landslide: Landslide) -> str:
        """Returns what a cell of the table shows."""
        value = self.value(landslide)
        return _UNKNOWN if value is None else self.write(value).replace("-", "\N{MINUS SIGN}")

    def full_text(self, landslide: Landslide) -> str:
        """Returns what is shown beside the map, with the unit."""
        text = self.text(landslide)
        return text if text == _UNKNOWN else text + ("" if self.unit == _DEGREE else " ") + self.unit


ATTRIBUTES = (
    Attribute("area", "km²", lambda one: one.area_km2, "{:,.2f}".format),
    Attribute("length", "km", lambda one: one.length_km, "{:,.1f}".format),
    Attribute("width", "km", lambda one: one.width_km, "{:,.1f}".format),
    Attribute("mean probability", "", lambda one: one.mean_probability, "{:.2f}".format),
    Attribute("max probability", "", lambda one: one.max_probability, "{:.2f}".format),
    Attribute("mean slope", _DEGREE, lambda one: one.mean_slope_deg, "{:.1f}".format),
    Attribute("mean elevation", "m", lambda one: one.mean_elevation_m, "{:,.0f}".format),
    Attribute("longitude", "", lambda one: one.lon, lambda value: degree_text(value, "EW", 3)),
    Attribute("latitude", "", lambda one: one.lat, lambda value: degree_text(value, "NS", 3)),
)


def table_section(landslides: Sequence[Landslide]) -> Element:
    """Returns the largest landslides as a table that scrolls in a box of its own, by keyboard too."""
    section = Element("section", {"aria-labelledby": "table-heading"})
    with_text(SubElement(section, "h2", {"id": "table-heading"}), "Landslides")
    if not landslides:
        with_text(SubElement(section, "p"), "None.")
        return section
    if len(landslides) > MOST_ROWS:
        text = f"The table has the largest {MOST_ROWS} of {len(landslides):,}; landslides.gpkg has all."
        with_text(SubElement(section, "p"), text)
    box = {"class": "table-box", "role": "region", "aria-labelledby": "landslides-caption", "tabindex": "0"}
    table = SubElement(SubElement(section, "div", box), "table", {"id": "landslides"})
    caption = SubElement(table, "caption", {"id": "landslides-caption"})
    with_text(SubElement(caption, "span"), "Landslides, the largest first")
    heads = SubElement(SubElement(table, "thead"), "tr")
    for name in ("id", *(attribute.head for attribute in ATTRIBUTES)):
        with_text(SubElement(heads, "th", {"scope": "col"}), name)
    body = SubElement(table, "tbody")
    for landslide in landslides[:MOST_ROWS]:
        row = SubElement(body, "tr", {"id": f"row-{landslide.id}"})
        with_text(SubElement(row, "th", {"scope": "row"}), str(landslide.id))
        for attribute in ATTRIBUTES:
            with_text(SubElement(row, "td"), attribute.text(landslide))
    return section


def script_data(landslides: Sequence[Landslide]) -> dict[str, list[object]]:
    """Returns what the script shows and sorts by: names, values (id first; null where unknown), texts with units."""
    return {
        "names": [attribute.name for attribute in ATTRIBUTES],
        "landslides": [[one.id, *(attribute.value(one) for attribute in ATTRIBUTES)] for one in landslides],
        "texts": [[attribute.full_text(one) for attribute in ATTRIBUTES] for one in landslides],
    }
