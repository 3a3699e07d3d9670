"""An independent reader of HTML pages, by the standard library's parser."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

VOID = {"meta", "link", "img", "br", "hr"}


class PageReader(HTMLParser):
    """Collects what the tests ask a page for.

    Attributes:
      tables: rows of cells by id of the table, heads first.
      headings: (level, text) in order.
      elements: (tag, attributes) in order.
      text: all text outside style sheets.
    """

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.headings: list[tuple[int, str]] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.open: list[str] = []
        self._table = ""
        self.feed(page)
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.elements.append((tag, found))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self._table = found["id"]
            self.tables[self._table] = []
        if tag == "tr":
            self.tables[self._table].append([])
        if tag in ("td", "th"):
            self.tables[self._table][-1].append("")
        if tag in ("h1", "h2", "h3", "h4"):
            self.headings.append((int(tag[1]), ""))

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1] == tag, f"</{tag}> closes <{self.open[-1]}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            return
        self.text += data
        if "td" in self.open or "th" in self.open:
            self.tables[self._table][-1][-1] += data
        if self.open and self.open[-1] in ("h1", "h2", "h3", "h4"):
            level, text = self.headings[-1]
            self.headings[-1] = level, text + data


def read_page(report: Path) -> PageReader:
    """Reads index.html of a report."""
    return PageReader((report / "index.html").read_text(encoding="utf-8"))


def table_of(page: PageReader, name: str) -> list[dict[str, str]]:
    """Returns the rows of a table as cells by head."""
    heads, *rows = page.tables[f"table-{name}"]
    return [dict(zip(heads, row, strict=True)) for row in rows]
