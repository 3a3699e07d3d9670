"""A report as one HTML page that needs nothing beside it. Elements are built, never pasted: all text is escaped."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from xml.etree.ElementTree import Element, SubElement, tostring

from mmls_tf.reporting.document import (
    Block,
    Command,
    Definitions,
    Legend,
    Page,
    Paragraph,
    Picture,
    Plot,
    Section,
    Strip,
    Table,
)
from mmls_tf.reporting.drawing import inline_svg
from mmls_tf.reporting.elements import spoken, with_text
from mmls_tf.reporting.published import QUOTED
from mmls_tf.reporting.style import STYLE

_LONG = 24  # letters, from which on a cell asks for more room
_NUMBER = re.compile(r"^\[?[+−]?[.\d]")  # noqa: RUF001  # the minus sign is meant


def to_html(page: Page) -> str:
    """Returns the text of the page."""
    root = Element("html", {"lang": "en"})
    head = SubElement(root, "head")
    SubElement(head, "meta", {"charset": "utf-8"})
    SubElement(head, "meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"})
    # No picture of the tab is asked for, which would be a request of its own.
    SubElement(head, "link", {"rel": "icon", "href": "data:,"})
    with_text(SubElement(head, "title"), page.title)
    SubElement(head, "style").text = STYLE
    body = SubElement(root, "body")
    with_text(SubElement(body, "a", {"class": "skip", "href": "#main"}), "Skip to the content")
    body.append(_heading_and_navigation(page))
    main = SubElement(body, "main", {"id": "main", "tabindex": "-1"})
    main.extend(_blocks(page.lead))
    main.extend(_section(section, 2) for section in page.sections)
    return "<!DOCTYPE html>\n" + tostring(root, encoding="unicode", method="html") + "\n"


def _heading_and_navigation(page: Page) -> Element:
    header = Element("header")
    with_text(SubElement(header, "h1"), page.title)
    entries = SubElement(SubElement(header, "nav", {"aria-label": "Sections"}), "ul")
    for section in page.sections:
        with_text(SubElement(SubElement(entries, "li"), "a", {"href": f"#{section.name}"}), section.title)
    return header


def _section(section: Section, level: int) -> Element:
    element = Element("section", {"id": section.name, "aria-labelledby": f"{section.name}-heading"})
    with_text(SubElement(element, f"h{level}", {"id": f"{section.name}-heading"}), section.title)
    element.extend(_blocks(section.blocks))
    element.extend(_section(part, level + 1) for part in section.parts)
    return element


def _blocks(blocks: Sequence[Block]) -> Iterator[Element]:
    """Yields an element for each block; plots that follow each other share a row where there is room."""
    for plots, group in groupby(blocks, lambda block: isinstance(block, Plot)):
        if plots:
            row = Element("div", {"class": "plots"})
            row.extend(_plot(block) for block in group if isinstance(block, Plot))
            yield row
        else:
            yield from (_block(block) for block in group)


def _block(block: Block) -> Element:
    if isinstance(block, Paragraph):
        return with_text(Element("p"), block.text)
    if isinstance(block, Command):
        element = Element("pre", {"tabindex": "0", "role": "region", "aria-label": "Command"})
        with_text(SubElement(element, "code"), block.text)
        return element
    if isinstance(block, Definitions):
        return _definitions(block.entries)
    if isinstance(block, Legend):
        return _legend(block.entries)
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Strip):
        return _strip(block)
    return _plot(block)


def _definitions(entries: Iterable[tuple[str, str]]) -> Element:
    element = Element("dl")
    for term, text in entries:
        with_text(SubElement(element, "dt"), term)
        with_text(SubElement(element, "dd"), text)
    return element


def _legend(entries: Iterable[tuple[str, str]]) -> Element:
    element = Element("ul", {"class": "legend"})
    for colour, name in entries:
        item = SubElement(element, "li")
        SubElement(item, "span", {"style": f"background: {colour}", "aria-hidden": "true"}).tail = spoken(
            name
        )
    return element


def _table(block: Table) -> Element:
    """A table in a box of its own, which scrolls sideways, by keyboard too."""
    name = f"table-{block.name}"
    box = Element(
        "div", {"class": "scroll", "role": "region", "aria-labelledby": f"{name}-caption", "tabindex": "0"}
    )
    table = SubElement(box, "table", {"id": name})
    with_text(SubElement(SubElement(table, "caption", {"id": f"{name}-caption"}), "span"), block.caption)
    head = SubElement(SubElement(table, "thead"), "tr")
    for title in block.heads:
        with_text(SubElement(head, "th", {"scope": "col"}), title)
    body = SubElement(table, "tbody")
    for cells in block.rows:
        row = SubElement(body, "tr", {"class": "quoted"} if QUOTED in cells else {})
        with_text(SubElement(row, "th", {"scope": "row"}), cells[0])
        for cell in cells[1:]:
            row.append(_cell(cell))
    if not block.folded:
        return box
    details = Element("details")
    with_text(SubElement(details, "summary"), f"Table: {block.caption}")
    details.append(box)
    return details


def _cell(text: str) -> Element:
    """A cell of a number keeps together, and so does its interval, which may go on a line of its own."""
    if not _NUMBER.match(text):
        return with_text(Element("td", {"class": "long"} if len(text) > _LONG else {}), text)
    cell = Element("td", {"class": "number"})
    value, bracket, interval = text.partition(" [")
    with_text(SubElement(cell, "span"), value)
    if bracket:
        cell[0].tail = " "
        with_text(SubElement(cell, "span"), f"[{interval}")
    return cell


def _plot(block: Plot) -> Element:
    figure = Element("figure", {"id": f"figure-{block.name}"})
    figure.append(inline_svg(block.svg, block.name, spoken(block.title), spoken(block.alt)))
    caption = SubElement(figure, "figcaption")
    with_text(SubElement(caption, "strong"), f"{block.title}.").tail = spoken(f" {block.caption}")
    return figure


def _strip(block: Strip) -> Element:
    figure = Element("figure", {"class": "strip"})
    caption = SubElement(figure, "figcaption")
    with_text(SubElement(caption, "strong"), block.caption)
    entries = SubElement(figure, "ul")
    for picture in block.pictures:
        item = SubElement(entries, "li")
        item.append(_image(picture))
        with_text(SubElement(item, "span"), picture.title)
    return figure


def _image(picture: Picture) -> Element:
    data = base64.b64encode(picture.png).decode()
    return Element("img", {"src": f"data:image/png;base64,{data}", "alt": spoken(picture.alt)})
