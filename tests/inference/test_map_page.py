"""The page of a map: polygons where they lie, figures as in the inventory, all texts escaped, nothing asked for."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from inventory_world import Made, base_map_of, blobs, grid_of_size, make, memory_scene
from PIL import Image
from scipy import ndimage

from mmls_tf.inference import map_page, map_table
from mmls_tf.inference.map_page import write_map_page
from mmls_tf.raster.map_scene import MapScene
from mmls_tf.raster.raster import RasterError

FACTS = {"Run": "runs/unet", "Threshold": "0.5"}
VOID = {"meta", "link", "img", "br", "hr", "input"}


class Reader(HTMLParser):
    """Collects elements with their attributes, texts of table cells, and scripts, by the standard library's parser."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.rows: list[list[str]] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self.text = ""
        self._open: list[str] = []
        self.feed(page)
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in self.raw:
            self.raw[self._open[-1]].append(data)
            return
        self.text += data
        if self._open and self._open[-1] in ("td", "th"):
            self.rows[-1][-1] += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def paths(self) -> dict[int, list[np.ndarray]]:
        """Rings of the landslides, [points, 2] in cells, by id."""
        return {int(one["data-id"]): rings_of(one["d"]) for one in self.all("path") if "data-id" in one}


def rings_of(data: str) -> list[np.ndarray]:
    rings = []
    for ring in data.split("z")[:-1]:
        start, steps = ring.removeprefix("M").split("l")
        numbers = np.array([start.split(), *np.array(steps.split()).reshape(-1, 2)], float)
        rings.append(np.cumsum(numbers, axis=0) / 10)
    return rings


def page_of(
    folder: Path, made: Made, scene: MapScene, facts: dict[str, str] | None = None, most: int = 1800
) -> Reader:
    assert scene.grid is not None
    base, target = base_map_of(scene, made.mask_path, most), folder / "map.html"
    write_map_page(base, scene.grid, made.inventory, facts or FACTS, target, made.geopackage)
    return Reader((folder / "map.html").read_text(encoding="utf-8"))


def plain_scene(height: int, width: int) -> MapScene:
    bands = {
        "dem": np.random.default_rng(0).normal(0, 200, (height, width)),
        "slope": np.full((height, width), 12.5),
    }
    return memory_scene(grid_of_size(height, width), bands)


def made_of(folder: Path, mask: np.ndarray) -> tuple[Made, MapScene]:
    scene = plain_scene(*mask.shape)
    return make(folder, mask.astype(np.uint8), scene=scene), scene


def test_polygons_are_counted_and_lie_where_the_mask_has_them(tmp_path: Path) -> None:
    mask = np.zeros((60, 100), np.uint8)
    mask[10:20, 30:60] = 1
    mask[40:55, 5:25] = 1
    mask[45:50, 10:20] = 0
    made, scene = made_of(tmp_path, mask)
    paths = page_of(tmp_path, made, scene).paths()
    assert list(paths) == [1, 2]
    boxes = {
        number: [tuple(map(tuple, (ring.min(0), ring.max(0)))) for ring in rings]
        for number, rings in paths.items()
    }
    assert boxes == {1: [((30, 10), (60, 20))], 2: [((5, 40), (25, 55)), ((10, 45), (20, 50))]}


def test_outlines_of_a_reduced_scene_are_as_fine_as_its_picture(tmp_path: Path) -> None:
    mask = blobs(200, 200, 4, smooth=12.0)
    made, scene = made_of(tmp_path, mask)
    page = page_of(tmp_path, made, scene, most=50)
    assert page.all("svg")[0]["viewbox"] == "0 0 50 50"
    count, largest = ndimage.label(mask)[1], made.inventory.landslides[0]
    assert len(page.paths()) == count
    area = 0.0
    for ring in page.paths()[largest.id]:  # holes run the other way round
        x, y = ring.T
        area += 0.5 * (x @ np.roll(y, -1) - y @ np.roll(x, -1))
    assert abs(area) * 16 == pytest.approx(largest.pixels, rel=0.05)
    points = sum(len(ring) for rings in page.paths().values() for ring in rings)
    features = made.features()
    before = sum(ring.GetPointCount() for feature in features for ring in feature["shape"])
    assert points < 0.2 * before


def test_the_table_and_the_script_have_the_figures_of_the_inventory(tmp_path: Path) -> None:
    made, scene = made_of(tmp_path, blobs(60, 80, 1))
    page = page_of(tmp_path, made, scene)
    assert page.rows[0][:3] == ["id", "area (km²)", "length (km)"]
    assert len(page.rows) == 1 + len(made.inventory.landslides)
    first, one = page.rows[1], made.inventory.landslides[0]
    assert one.mean_elevation_m is not None
    assert first == [
        "1", f"{one.area_km2:,.2f}", f"{one.length_km:.1f}", f"{one.width_km:.1f}", "1.00", "1.00", "12.5",
        f"{one.mean_elevation_m:,.0f}".replace("-", "\N{MINUS SIGN}"), f"{-one.lon:.3f}° W", f"{one.lat:.3f}° N",
    ]  # fmt: skip
    data = json.loads(page.raw["script"][0])
    assert [values[0] for values in data["landslides"]] == [one.id for one in made.inventory.landslides]
    assert data["landslides"][0][1] == one.area_km2
    assert data["texts"][0][5] == "12.5°"
    assert f"{len(made.inventory.landslides)} landslides" in page.text
    assert f"{made.inventory.area_km2:,.1f} km²" in page.text


def test_what_is_not_known_is_a_dash(tmp_path: Path) -> None:
    mask = np.zeros((30, 30), np.uint8)
    mask[5:20, 5:20] = 1
    scene = memory_scene(grid_of_size(30, 30), {"gray": np.arange(900.0).reshape(30, 30)}, ("gray",))
    made = make(tmp_path, mask, scene=scene)
    page = page_of(tmp_path, made, scene)
    assert page.rows[1][6:8] == ["–", "–"]  # noqa: RUF001
    assert json.loads(page.raw["script"][0])["landslides"][0][6:8] == [None, None]


def test_texts_are_escaped_and_only_our_script_and_style_may_run(tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&\x00"
    made, scene = made_of(tmp_path, blobs(40, 40, 2))
    page = page_of(tmp_path, made, scene, {evil: evil})
    assert len(page.raw["script"]) == 2
    assert not page.all("img")
    assert evil.replace("\x00", "�") in page.text
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    policy = next(
        one["content"] for one in page.all("meta") if one.get("http-equiv") == "Content-Security-Policy"
    )
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    for rule, text in (("script-src", page.raw["script"][1]), ("style-src", page.raw["style"][0])):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"


def test_texts_of_the_data_cannot_end_its_script(monkeypatch: pytest.MonkeyPatch) -> None:
    value = {"text": "</script><!--"}
    assert "<" not in map_page._json(value)
    assert json.loads(map_page._json(value)) == value


def test_the_page_asks_for_nothing(tmp_path: Path) -> None:
    made, scene = made_of(tmp_path, blobs(40, 40, 2))
    page = page_of(tmp_path, made, scene)
    addresses = [
        attributes[name] for _, attributes in page.elements for name in ("src", "href") if name in attributes
    ]
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert not re.search(
        r"https?://|@import|fetch\(|XMLHttp", "".join(page.raw["script"] + page.raw["style"])
    )


def test_the_picture_is_the_relief_without_what_is_not_known(tmp_path: Path) -> None:
    mask = blobs(40, 50, 3)
    mask[:, 40:] = 255
    made, scene = made_of(tmp_path, mask)
    (picture,) = page_of(tmp_path, made, scene).all("image")
    image = Image.open(io.BytesIO(base64.b64decode(picture["href"].partition(",")[2])))
    assert (image.mode, image.size) == ("LA", (50, 40))
    pixels = np.asarray(image)
    np.testing.assert_array_equal(pixels[..., 1] == 0, mask == 255)
    base = base_map_of(scene, made.mask_path, 100)
    np.testing.assert_array_equal(pixels[:, :40, 0], base.ground[:, :40])


def test_a_map_without_landslides_says_so(tmp_path: Path) -> None:
    made, scene = made_of(tmp_path, np.zeros((40, 50), np.uint8))
    page = page_of(tmp_path, made, scene)
    assert page.paths() == {}
    assert "No landslide was found" in page.text
    assert not page.all("table")


def test_many_landslides_are_bounded_and_the_page_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(map_page, "MOST_POLYGONS", 8)
    monkeypatch.setattr(map_table, "MOST_ROWS", 5)
    made, scene = made_of(tmp_path, blobs(100, 100, 5, smooth=2.0))
    count = len(made.inventory.landslides)
    assert count > 10
    page = page_of(tmp_path, made, scene)
    assert list(page.paths()) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [row[0] for row in page.rows[1:]] == ["1", "2", "3", "4", "5"]
    assert f"The table has the largest 5 of {count}; landslides.gpkg has all." in page.text
    assert "The map shows the largest 8 of them; landslides.gpkg has all." in page.text


def test_polygons_of_another_inventory_are_refused(tmp_path: Path) -> None:
    made, scene = made_of(tmp_path, blobs(40, 50, 3))
    other = replace(made.inventory.landslides[0], id=999)
    inventory = replace(made.inventory, landslides=(*made.inventory.landslides, other))
    with pytest.raises(RasterError, match="found none of id 999"):
        page_of(tmp_path, replace(made, inventory=inventory), scene)
    assert not (tmp_path / "map.html").exists()
