"""Colours that can be told from their ground, in both schemes (WCAG 2.2, success criteria 1.4.3 and 1.4.11)."""

from __future__ import annotations

import re

import pytest

from mmls_tf.reporting.drawing import style
from mmls_tf.reporting.style import STYLE


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
def test_text_and_series_stand_out_from_their_ground(scheme: str) -> None:
    blocks = re.findall(r":root \{([^}]+)\}", STYLE)
    found = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", blocks[["light", "dark", "print"].index(scheme)]))
    for name in ("ink", "soft", *(["link"] if scheme != "print" else [])):
        assert contrast(found[name], found["ground"]) >= 4.5, name
        assert contrast(found[name], found["head"]) >= 4.5, name
    series = [colour for name, colour in found.items() if name.startswith("series-")]
    assert len(series) == 4
    assert all(contrast(colour, found["ground"]) >= 3 for colour in series)


def test_the_first_twenty_series_differ_in_more_than_colour() -> None:
    looks = [style(index) for index in range(20)]
    assert len({(look["marker"], look["linestyle"]) for look in looks}) == 20
