"""The page of a map in a browser: it moves, it tells of landslides, and nothing is logged or asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from headless import CHROMIUM, NO_CHROMIUM, Browser
from inventory_world import base_map_of, blobs, grid_of_size, make, memory_scene

from mmls_tf.inference.map_page import write_map_page

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=NO_CHROMIUM)
SIZE = (120, 200)
DETAILS = "document.getElementById('details').innerText"
CHOSEN = "(document.querySelector('#details h2') || {}).textContent"
VIEW = "document.getElementById('view').getAttribute('viewBox').split(' ').map(Number)"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    rng = np.random.default_rng(0)
    bands = {"dem": rng.normal(0, 100, SIZE), "slope": np.full(SIZE, 12.5)}
    scene = memory_scene(grid_of_size(*SIZE), bands)
    mask = blobs(*SIZE, 1, smooth=5.0)
    mask[:, 190:] = 255
    made = make(folder, mask, scene=scene)
    facts = {"Remark": "</script><b onclick=alert(1)>"}
    assert scene.grid is not None
    base = base_map_of(scene, made.mask_path)
    write_map_page(base, scene.grid, made.inventory, facts, folder / "map.html", made.geopackage)
    return folder / "map.html"


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def browser(started: Browser, page: Path) -> Iterator[Browser]:
    """The page, opened anew on a desktop; whatever is done with it, nothing is complained of."""
    started.open(page)
    yield started
    assert started.complaints == []


def width(browser: Browser) -> float:
    return float(browser.run(VIEW)[2])


def on_landslide(browser: Browser, number: int) -> tuple[float, float]:
    """A place in the window where that landslide is on top."""
    x, y = browser.run(
        f"""(() => {{
          const path = document.querySelector('#slides path[data-id="{number}"]'), box = path.getBoundingClientRect();
          for (let down = 0.05; down < 1; down += 0.05) for (let across = 0.05; across < 1; across += 0.05) {{
            const at = [box.x + across * box.width, box.y + down * box.height];
            if (document.elementFromPoint(...at) === path) return at;
          }}
        }})()"""
    )
    return x, y


def test_the_whole_scene_is_shown_and_its_picture_loads(browser: Browser) -> None:
    view = browser.run(VIEW)
    assert view[2] >= 199.9
    assert view[3] >= 119.9
    size = browser.run(
        "(async () => { const one = new Image(); one.src = document.querySelector('#view image').href.baseVal; "
        "await one.decode(); return [one.naturalWidth, one.naturalHeight]; })()"
    )
    assert size == [200, 120]


def test_a_click_on_a_landslide_tells_of_it(browser: Browser) -> None:
    browser.click(*on_landslide(browser, 3))
    assert browser.run(CHOSEN) == "Landslide 3"
    told = browser.run(DETAILS)
    expected = browser.run("[...document.querySelector('#row-3').cells].map((cell) => cell.textContent)")
    for text in expected[1:]:
        assert text in told
    for name in (
        "area",
        "length",
        "width",
        "mean probability",
        "max probability",
        "mean slope",
        "mean elevation",
    ):
        assert name in told
    assert browser.run("document.querySelector('tr.current').id") == "row-3"


def test_the_wheel_zooms_where_the_pointer_is_and_dragging_moves(browser: Browser) -> None:
    x, y = browser.middle("#view")
    x -= 100
    at = f"(() => {{ const view = document.getElementById('view'), one = new DOMPoint({x}, {y}); " + (
        "const place = one.matrixTransform(view.getScreenCTM().inverse()); return [place.x, place.y]; })()"
    )
    before, place = width(browser), browser.run(at)
    browser.mouse("mouseWheel", x, y, deltaX=0, deltaY=-200)
    assert width(browser) < 0.8 * before
    np.testing.assert_allclose(browser.run(at), place, atol=0.05)
    moved = browser.run(VIEW)
    browser.drag((x, y), (x + 60, y + 20))
    after = browser.run(VIEW)
    scale = browser.run("document.getElementById('view').clientWidth") / moved[2]
    np.testing.assert_allclose([moved[0] - after[0], moved[1] - after[1]], [60 / scale, 20 / scale], atol=0.1)
    browser.mouse("mouseWheel", x, y, deltaX=0, deltaY=2000)
    for _ in range(8):
        browser.mouse("mouseWheel", x, y, deltaX=0, deltaY=240)
    assert width(browser) == pytest.approx(before, rel=0.01)


def test_dragging_over_a_landslide_does_not_choose_it(browser: Browser) -> None:
    x, y = on_landslide(browser, 1)
    browser.drag((x, y), (x + 40, y))
    assert browser.run(CHOSEN) is None


def test_buttons_zoom_and_show_the_whole_again(browser: Browser) -> None:
    before = width(browser)
    for name in ("closer", "closer", "farther"):
        browser.click(*browser.middle(f"#{name}"))
    assert width(browser) == pytest.approx(before / 1.6, rel=0.02)
    browser.click(*browser.middle("#whole"))
    assert width(browser) == before
    assert browser.run("document.getElementById('whole').disabled") is True


def test_keys_zoom_move_and_walk_over_landslides(browser: Browser) -> None:
    browser.run("document.getElementById('map').focus()")
    before = width(browser)
    for _ in range(4):
        browser.press("+")
    assert width(browser) < 0.5 * before
    left = browser.run(VIEW)[0]
    browser.press("ArrowRight")
    assert browser.run(VIEW)[0] > left
    browser.press("0")
    assert width(browser) == before
    browser.press("Tab")
    assert browser.run(CHOSEN) == "Landslide 1"
    browser.press("n")
    browser.press("n")
    assert browser.run(CHOSEN) == "Landslide 3"
    browser.press("p")
    assert browser.run(CHOSEN) == "Landslide 2"
    focused = browser.run(
        "[document.activeElement.dataset.id, document.activeElement.getAttribute('aria-label')]"
    )
    assert focused[0] == "2"
    assert re.fullmatch(r"Landslide 2, [\d.,]+ km²", focused[1])


def test_a_row_of_the_table_shows_its_landslide_and_escape_leads_back(browser: Browser) -> None:
    before = width(browser)
    browser.click(*browser.middle("#row-5 button"))
    assert browser.run(CHOSEN) == "Landslide 5"
    assert width(browser) < before
    x, y, across, down = browser.run(VIEW)
    box = browser.run(
        "(({x, y, width, height}) => [x, y, x + width, y + height].map((one) => one / 10))"
        "(document.querySelector('#slides path[data-id=\"5\"]').getBBox())"
    )
    assert x <= box[0] <= box[2] <= x + across
    assert y <= box[1] <= box[3] <= y + down
    browser.press("Escape")
    assert browser.run("document.activeElement.closest('tr').id") == "row-5"


def test_the_table_sorts_by_every_column_both_ways(browser: Browser) -> None:
    count = browser.run("document.querySelectorAll('#landslides thead th').length")
    values = "JSON.parse(document.getElementById('data').textContent).landslides"
    order = "[...document.querySelectorAll('#landslides tbody tr')].map((row) => Number(row.id.slice(4)))"
    table = {row[0]: row for row in browser.run(values)}
    for column in range(count):
        told = []
        for _ in range(2):
            browser.run(f"document.querySelectorAll('#landslides thead button')[{column}].click()")
            head = f"document.querySelectorAll('#landslides thead th')[{column}].getAttribute('aria-sort')"
            told.append(browser.run(head))
            found = [table[number][column] for number in browser.run(order)]
            assert len(found) == len(table)
            assert found == sorted(found, reverse=told[-1] == "descending")
        assert sorted(told) == ["ascending", "descending"]
    assert browser.run("document.querySelectorAll('[aria-sort]').length") == 1


def test_the_slider_changes_the_opacity(browser: Browser) -> None:
    browser.run("document.getElementById('opacity').focus()")
    before = float(browser.run("getComputedStyle(document.getElementById('slides')).opacity"))
    browser.press("Home")
    assert float(browser.run("getComputedStyle(document.getElementById('slides')).opacity")) == 0.0 < before
    assert browser.run("document.getElementById('opacity-text').textContent") == "0 %"


@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_shows_it_without_scrolling_sideways_and_pinches(
    started: Browser, page: Path, dark: bool
) -> None:
    started.open(page, 360, 740, dark=dark, phone=True)
    assert started.run("[document.documentElement.scrollWidth, innerWidth]") == [360, 360]
    ground = started.run("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground))) < 200) == dark
    before = width(started)
    x, y = started.middle("#view")
    started.touch("touchStart", (x - 20, y), (x + 20, y))
    started.touch("touchMove", (x - 50, y), (x + 50, y))
    started.touch("touchMove", (x - 80, y), (x + 80, y))
    started.touch("touchEnd")
    assert width(started) == pytest.approx(before / 4, rel=0.1)
    assert started.complaints == []
