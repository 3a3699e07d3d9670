"""One report: run folders go in, a page, its Markdown and its tables come out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmls_tf.entry import option
from mmls_tf.errors import UsageError
from mmls_tf.reporting import behaviour, failures, gallery, scores
from mmls_tf.reporting.document import Page, Section
from mmls_tf.reporting.folder import require_free, write_folder
from mmls_tf.reporting.html import to_html
from mmls_tf.reporting.ladder import ladder
from mmls_tf.reporting.markdown import picture_files, to_csv, to_markdown
from mmls_tf.reporting.overview import lead, overview
from mmls_tf.reporting.patterns import find_folders
from mmls_tf.reporting.reading import Run, read_runs
from mmls_tf.reporting.rows import Row, best_first, counted, make_rows


@dataclass(frozen=True)
class ReportConfig:
    """What to report on. Every field is a flag of `python -m mmls_tf.report`."""

    runs: str = option(
        None,
        "Run folders, joined by commas, with * and ? as in a shell; a folder of run folders "
        "stands for those.",
    )
    out: str = option(None, "Folder to write; must be new, or an earlier report, which is replaced.")
    detailed: int = option(
        2,
        "How many rows, the best first, get pictures, maps and plots of their own; the "
        "tables hold all of them.",
    )

    def __post_init__(self) -> None:
        if self.detailed < 1:
            raise UsageError(f"--detailed={self.detailed}: expected 1 or more rows")


def write_report(config: ReportConfig, command: str) -> list[str]:
    """Writes the report; returns what to say about it.

    Raises:
      RunFolderError: a run folder, or a file in it, cannot be used.
      UsageError: --runs names nothing, or runs that do not go together; --out is in the way.
    """
    out = Path(config.out)
    require_free(out)
    runs, left_out = read_runs(find_folders(config.runs), any(mark in config.runs for mark in "*?["))
    rows = make_rows(runs)
    page = make_page(runs, rows, left_out, config.detailed, command)
    texts = {"index.html": to_html(page), "report.md": to_markdown(page)}
    texts.update({f"{table.name}.csv": to_csv(table) for table in page.tables()})
    files = {name: text.encode() for name, text in texts.items()}
    write_folder(out, {**files, **picture_files(page)}, command)
    return [
        *(f"Left out, since no run is there: {name}" for name in left_out),
        f"Written: {config.out}/index.html, report.md and {counted(len(page.tables()), 'CSV file')}; "
        f"{counted(len(runs), 'run')} in {counted(len(rows), 'row')}",
    ]


def make_page(
    runs: Sequence[Run], rows: Sequence[Row], left_out: Sequence[str], detailed: int, command: str
) -> Page:
    """Puts the sections in their order."""
    ranked = best_first(rows)
    near = ranked[:detailed]
    splits = [split for split in ("test", "isolated") if any(row.evaluations(split) for row in rows)]
    splits = splits or [split for split in ("val",) if any(row.evaluations(split) for row in rows)]
    found: list[Section | None] = [
        overview(runs, rows, left_out, near),
        scores.published_form(rows),
        scores.gap_section(rows),
        ladder(rows),
        scores.paired(rows),
        scores.other_ways(rows),
    ]
    if splits:
        found += [
            failures.hard_cases(rows, splits),
            failures.terrain(rows, near, splits),
            failures.boundaries(rows, splits),
            failures.leaks(rows, splits),
            behaviour.curves(rows, splits),
            behaviour.calibration(rows, near, splits),
        ]
    found += [behaviour.learning(rows, near), behaviour.cost(rows), behaviour.robustness(rows)]
    if splits:
        found += [gallery.gallery(near, splits), gallery.maps(near, splits)]
    sections = tuple(section for section in found if section)
    return Page("Landslide segmentation on Mars: report", lead(runs, rows, command), sections)
