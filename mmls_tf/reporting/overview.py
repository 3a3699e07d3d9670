"""What a report is about: data, runs, and how to read it."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from mmls_tf.reporting.document import Block, Command, Paragraph, Section, Table
from mmls_tf.reporting.reading import Run
from mmls_tf.reporting.rows import SPLITS, Row, best_row, counted, metric_text, short_data, value_text
from mmls_tf.sweeping.collection import changed_flags


def lead(runs: Sequence[Run], rows: Sequence[Row], command: str) -> tuple[Block, ...]:
    """Says in a few lines what the page is and what came out best."""
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(sep=" ", timespec="minutes")
    best = best_row(rows)
    scores = [
        f"{split} {metric_text(found, 'miou')}" for split in SPLITS if (found := best.evaluations(split))
    ]
    first: tuple[Block, ...] = (
        Paragraph(f"{counted(len(runs), 'run')} in {counted(len(rows), 'row')} of tables; made {now} by"),
        Command(command),
    )
    if not scores:
        return *first, Paragraph("No run has an evaluation: make some by python -m mmls_tf.evaluate.")
    return *first, Paragraph(f"Highest here: {best.label}, mIoU on {', on '.join(scores)}.")


def overview(
    runs: Sequence[Run], rows: Sequence[Row], left_out: Sequence[str], detailed: Sequence[Row]
) -> Section:
    """The data, the runs, and how to read the page."""
    reading = Paragraph(
        "A row is a model as it was configured: runs that differ in their seed alone share "
        "one, as mean ± sample standard deviation over n runs; one run alone stands with its "
        "95 % bootstrap interval over spatial blocks in brackets. The two say different "
        "things: how much seeds differ, and how much other tiles would. Shares are written "
        "without the zero before the point. Pictures, maps and plots of single rows are "
        f"those of the first run of: {'; '.join(row.label for row in detailed)}."
    )
    parts = [Section("data", "Data", _data(rows)), Section("runs", "Runs", _runs(rows, left_out))]
    return Section("overview", "What this is about", (reading,), tuple(parts))


def _data(rows: Sequence[Row]) -> tuple[Block, ...]:
    tiles: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        for split in SPLITS:
            for one in row.evaluations(split):
                tiles.setdefault((one.fingerprint, split), set()).add(str(one.figures["tiles"]))
    prints = sorted({row.fingerprint for row in rows} | {fingerprint for fingerprint, _ in tiles})
    trained = {row.fingerprint for row in rows}
    cells = [
        (
            fingerprint,
            "yes" if fingerprint in trained else "no",
            *(", ".join(sorted(tiles.get((fingerprint, split), {"no evaluation"}))) for split in SPLITS),
        )
        for fingerprint in prints
    ]
    heads = ("fingerprint", "runs trained on it", *(f"tiles scored, {split}" for split in SPLITS))
    text = Paragraph(
        "A fingerprint is the checksum of a data set's records: equal ones mean the same "
        "tiles in the same splits. Run folders do not say how many tiles were trained on; "
        "the data set's own manifest does."
    )
    return text, Table("data", "Data sets", heads, tuple(cells))


def _runs(rows: Sequence[Row], left_out: Sequence[str]) -> tuple[Block, ...]:
    cells = [_run_cells(row, run) for row in rows for run in row.runs]
    heads = (
        "run", "row", "seed", "data", "flags that differ from their defaults", "epochs (best)", "evaluations",
        "evaluated",
        "precision, backend", "code",
    )  # fmt: skip
    blocks: list[Block] = [Table("runs", "Runs of this report", heads, tuple(cells))]
    strangers = [
        run.name
        for row in rows
        for run in row.runs
        for one in run.evaluations.values()
        if not one.figures["trained_on_this_data_set"]
    ]
    if strangers:
        blocks.append(
            Paragraph(
                "Scored on another data set than they were trained on, whose test tiles may have "
                f"been their training tiles: {', '.join(dict.fromkeys(strangers))}."
            )
        )
    if left_out:
        blocks.append(Paragraph(f"Named by --runs, but no runs, and left out: {', '.join(left_out)}."))
    return tuple(blocks)


def _run_cells(row: Row, run: Run) -> tuple[str, ...]:
    summary, record = run.files.summary, run.files.record
    flags = {name: value for name, value in changed_flags(run.files.config).items() if name != "data"}
    epochs = (
        f"{summary['epochs']} ({summary['best_epoch']})"
        if summary
        else f"not finished, {len(run.history)} so far"
    )
    times = sorted(str(one.figures["time"])[:10] for one in run.evaluations.values())
    return (
        run.name,
        row.label,
        str(run.files.config.seed),
        short_data(run.files.fingerprint),
        ", ".join(f"{name}={value_text(value)}" for name, value in flags.items()) or "none",
        epochs,
        ", ".join(run.evaluations) or "none",
        times[-1] if times else "-",
        f"{record.get('precision', '-')}, {record.get('backend', '-')}",
        str(summary["commit"]) if summary else "-",
    )
