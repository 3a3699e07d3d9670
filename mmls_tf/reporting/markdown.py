"""A report as Markdown, with its pictures as files beside it, and its tables as CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator

from mmls_tf.reporting.document import (
    Block,
    Command,
    Definitions,
    Legend,
    Page,
    Paragraph,
    Plot,
    Section,
    Strip,
    Table,
)
from mmls_tf.reporting.drawing import file_svg

# Marks that Markdown, or the HTML in it, would take for its own.
_MARKS = re.compile(r"([\\`*_{}\[\]<>|#~$&])")
_LINES = re.compile(r"\s*[\r\n]+\s*")


def to_markdown(page: Page) -> str:
    """Returns the text of report.md."""
    parts = [f"# {escaped(page.title)}", *_texts(page.lead)]
    for section in page.sections:
        parts += _section(section, 2)
    return "\n\n".join(parts) + "\n"


def picture_files(page: Page) -> dict[str, bytes]:
    """Returns the pictures that report.md shows, by file name."""
    files: dict[str, bytes] = {}
    for block in page.blocks():
        if isinstance(block, Plot):
            files[f"{block.name}.svg"] = file_svg(block.svg, block.name, block.title, block.alt).encode()
        if isinstance(block, Strip):
            files.update({f"{picture.name}.png": picture.png for picture in block.pictures})
    return files


def to_csv(table: Table) -> str:
    """Returns a table as CSV: the very cells of the page."""
    buffer = io.StringIO()
    rows = csv.writer(buffer, lineterminator="\n")
    rows.writerow(table.heads)
    rows.writerows(table.rows)
    return buffer.getvalue()


def escaped(text: str) -> str:
    """Returns plain text as Markdown that shows it as it is."""
    return _MARKS.sub(r"\\\1", _LINES.sub(" ", text))


def _section(section: Section, level: int) -> Iterator[str]:
    yield f"{'#' * level} {escaped(section.title)}"
    yield from _texts(section.blocks)
    for part in section.parts:
        yield from _section(part, level + 1)


def _texts(blocks: tuple[Block, ...]) -> Iterator[str]:
    for block in blocks:
        if isinstance(block, Paragraph):
            yield escaped(block.text)
        elif isinstance(block, Command):
            yield "    " + _LINES.sub(" ", block.text)
        elif isinstance(block, Definitions):
            yield "\n".join(f"- **{escaped(term)}**: {escaped(text)}" for term, text in block.entries)
        elif isinstance(block, Legend):
            yield "\n".join(f"- {colour}: {escaped(name)}" for colour, name in block.entries)
        elif isinstance(block, Table):
            yield f"**{escaped(block.caption)}** ([CSV]({block.name}.csv))"
            yield _table(block)
        elif isinstance(block, Plot):
            yield f"![{escaped(block.alt)}]({block.name}.svg)"
            yield f"*{escaped(block.title)}.* {escaped(block.caption)}"
        else:
            yield f"**{escaped(block.caption)}**"
            yield "\n".join(f"![{escaped(picture.alt)}]({picture.name}.png)" for picture in block.pictures)


def _table(block: Table) -> str:
    rows = [[escaped(cell) or " " for cell in row] for row in (block.heads, *block.rows)]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(block.heads), *lines[1:]])
