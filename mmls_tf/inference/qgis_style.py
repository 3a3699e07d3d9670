"""The style in which QGIS draws an inventory: landslides coloured by their mean probability."""

from __future__ import annotations

from xml.etree import ElementTree

ATTRIBUTE = "mean_probability"
# ColorBrewer's YlOrRd in six classes (Brewer, colorbrewer2.org): more certain landslides are darker.
CLASSES = (
    (0.0, 0.5, (255, 255, 178)),
    (0.5, 0.6, (254, 217, 118)),
    (0.6, 0.7, (254, 178, 76)),
    (0.7, 0.8, (253, 141, 60)),
    (0.8, 0.9, (240, 59, 32)),
    (0.9, 1.0, (189, 0, 38)),
)
_DOCTYPE = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
_FILL_ALPHA = 150  # the base map stays visible


def qml() -> str:
    """Returns a QGIS layer style (QML) for polygons: a graduated renderer over `ATTRIBUTE`.

    Properties of symbols are there twice, as QGIS 3.20 to 3.30 wrote them: as `prop` for older versions, as `Option`
    for newer ones.
    """
    root = ElementTree.Element("qgis", version="3.22.0", styleCategories="Symbology")
    renderer = ElementTree.SubElement(
        root,
        "renderer-v2",
        {
            "type": "graduatedSymbol",
            "attr": ATTRIBUTE,
            "graduatedMethod": "GraduatedColor",
            "symbollevels": "0",
            "forceraster": "0",
            "enableorderby": "0",
        },
    )
    ranges = ElementTree.SubElement(renderer, "ranges")
    symbols = ElementTree.SubElement(renderer, "symbols")
    for index, (low, high, colour) in enumerate(CLASSES):
        ElementTree.SubElement(
            ranges,
            "range",
            {
                "symbol": str(index),
                "lower": f"{low:.6f}",
                "upper": f"{high:.6f}",
                "label": f"{low:.1f} - {high:.1f}",
                "render": "true",
            },
        )
        _add_symbol(symbols, str(index), colour)
    ElementTree.SubElement(root, "layerGeometryType").text = "2"
    ElementTree.indent(root)
    return _DOCTYPE + ElementTree.tostring(root, encoding="unicode")


def _add_symbol(symbols: ElementTree.Element, name: str, colour: tuple[int, int, int]) -> None:
    symbol = ElementTree.SubElement(
        symbols,
        "symbol",
        {"type": "fill", "name": name, "alpha": "1", "clip_to_extent": "1", "force_rhr": "0"},
    )
    layer = ElementTree.SubElement(
        symbol, "layer", {"class": "SimpleFill", "pass": "0", "locked": "0", "enabled": "1"}
    )
    darker = tuple(channel * 2 // 3 for channel in colour)
    properties = {
        "color": ",".join(map(str, (*colour, _FILL_ALPHA))),
        "joinstyle": "bevel",
        "outline_color": ",".join(map(str, (*darker, 255))),
        "outline_style": "solid",
        "outline_width": "0.3",
        "outline_width_unit": "MM",
        "style": "solid",
    }
    options = ElementTree.SubElement(layer, "Option", type="Map")
    for key, value in properties.items():
        ElementTree.SubElement(options, "Option", type="QString", name=key, value=value)
    for key, value in properties.items():
        ElementTree.SubElement(layer, "prop", k=key, v=value)
