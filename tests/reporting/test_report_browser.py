"""The page in a browser: all pictures load, nothing is logged as an error, a phone need not scroll sideways."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import pytest
from reading_pages import read_page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium on the PATH; on Debian: apt-get install chromium"
)
# Listens before anything else loads; windows of a headless Chromium are at least 500 pixels wide, so that a phone is
# a frame of 360 in one.
LISTENER = "<script>window.problems=[];window.onerror=(text)=>{window.problems.push(String(text))};</script>"
REPORTER = """<script>
addEventListener("load", () => {
  const tell = {
    problems: window.problems,
    widths: [...document.images].map((image) => image.complete ? image.naturalWidth : 0),
    plots: [...document.querySelectorAll("svg")].map((plot) => plot.getBoundingClientRect().width),
    scroll: document.documentElement.scrollWidth, inner: innerWidth,
    leaving: [...document.querySelectorAll("main *")].filter((one) => !one.closest(".scroll, svg, pre")
      && one.getBoundingClientRect().right > innerWidth + 0.5).map((one) => one.outerHTML.slice(0, 90)),
  };
  const told = document.createElement("pre");
  told.id = "told";
  told.textContent = JSON.stringify(tell);
  (parent.document || document).body.appendChild(told);
});
</script>"""


def opened(report: Path, folder: Path, width: int) -> tuple[dict[str, list[str] | list[float] | float], str]:
    """Opens a copy of the page in a frame of a width; returns what it told of itself, and the browser's log."""
    assert CHROMIUM is not None
    page = (report / "index.html").read_text(encoding="utf-8")
    listening = page.replace("<head>", f"<head>{LISTENER}").replace("</body>", f"{REPORTER}</body>")
    (folder / "page.html").write_text(listening, encoding="utf-8")
    (folder / "frame.html").write_text(
        f'<!DOCTYPE html><body><iframe src="page.html" style="width:{width}px;height:800px;border:0"></iframe></body>'
    )
    words = [
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--allow-file-access-from-files",
        "--enable-logging=stderr", "--log-level=0", f"--user-data-dir={folder / 'profile'}",
        "--virtual-time-budget=20000", "--dump-dom", (folder / "frame.html").as_uri(),
    ]  # fmt: skip
    done = subprocess.run([CHROMIUM, *words], capture_output=True, text=True, timeout=120, check=True)
    told = re.search(r'<pre id="told">(.*?)</pre>', done.stdout, re.DOTALL)
    assert told, done.stderr[-2000:]
    return json.loads(unescape(told[1])), done.stderr


@pytest.mark.parametrize("width", [360, 1280])
def test_a_browser_shows_every_picture_without_errors_and_without_scrolling_sideways(
    report: Path, tmp_path: Path, width: int
) -> None:
    told, log = opened(report, tmp_path, width)
    tags = [tag for tag, _ in read_page(report).elements]
    assert told["problems"] == []
    assert re.findall(r".*:(?:CONSOLE|ERROR:CONSOLE).*", log) == []
    widths, plots = told["widths"], told["plots"]
    assert isinstance(widths, list)
    assert isinstance(plots, list)
    assert len(widths) == tags.count("img")
    assert all(one == 16 for one in widths)
    assert len(plots) == tags.count("svg")
    assert all(float(one) > 250 for one in plots)
    assert told["inner"] == width
    assert told["leaving"] == []
    assert told["scroll"] <= width
