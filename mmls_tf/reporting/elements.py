"""Text in elements of HTML pages. Elements are built, never pasted, so that all text is escaped."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element

# What XML cannot hold, and HTML would not show: control characters and halves of pairs.
_UNSPEAKABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def with_text(element: Element, text: str) -> Element:
    """Gives an element its text and returns it."""
    element.text = spoken(text)
    return element


def spoken(text: str) -> str:
    """Returns text with a sign in place of each character that a page cannot hold."""
    return _UNSPEAKABLE.sub("\N{REPLACEMENT CHARACTER}", text)
