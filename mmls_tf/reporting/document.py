"""What a report is made of, whichever form it is written in. All text is plain: whoever renders it escapes it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of plain text."""

    text: str


@dataclass(frozen=True)
class Command:
    """A command as it was typed."""

    text: str


@dataclass(frozen=True)
class Definitions:
    """Terms and what they mean."""

    entries: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Legend:
    """What colours stand for: (colour as #rrggbb, name)."""

    entries: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Table:
    """A table, which is a CSV file as well.

    Attributes:
      name: of the file and of the element, unique in the page.
      heads: of the columns; the first column names the row.
      folded: long, and closed until it is asked for.
    """

    name: str
    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    folded: bool = False

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.heads):
                raise ValueError(f"table {self.name}: expected {len(self.heads)} cells, found {row}")


@dataclass(frozen=True)
class Plot:
    """A drawing.

    Attributes:
      name: of the file and of the element, unique in the page.
      alt: what is seen, with the figures that matter.
      svg: the text of an SVG file, with the colours of `drawing`.
    """

    name: str
    title: str
    caption: str
    alt: str
    svg: str


@dataclass(frozen=True)
class Picture:
    """A photograph or map as the bytes of a PNG file; name, title and alt as of `Plot`."""

    name: str
    title: str
    alt: str
    png: bytes


@dataclass(frozen=True)
class Strip:
    """Pictures of one tile side by side."""

    caption: str
    pictures: tuple[Picture, ...]


Block: TypeAlias = "Paragraph | Command | Definitions | Legend | Table | Plot | Strip"


@dataclass(frozen=True)
class Section:
    """A headline with what belongs to it; name is unique in the page, parts are sections of the next level."""

    name: str
    title: str
    blocks: tuple[Block, ...] = ()
    parts: tuple[Section, ...] = ()


@dataclass(frozen=True)
class Page:
    """A whole report."""

    title: str
    lead: tuple[Block, ...]
    sections: tuple[Section, ...]

    def blocks(self) -> Iterator[Block]:
        """Yields every block in the order of reading."""
        yield from self.lead
        stack = list(reversed(self.sections))
        while stack:
            section = stack.pop()
            yield from section.blocks
            stack += reversed(section.parts)

    def tables(self) -> list[Table]:
        """Returns every table."""
        return [block for block in self.blocks() if isinstance(block, Table)]
