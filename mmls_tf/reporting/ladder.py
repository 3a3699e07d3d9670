"""The section on the ladder: what each further band brings."""

from __future__ import annotations

from collections.abc import Sequence

from mmls_tf.bands import BANDS, parse_bands
from mmls_tf.reporting.document import Paragraph, Section, Table
from mmls_tf.reporting.looks import NAME, look_cells, look_heads
from mmls_tf.reporting.published import LADDER, LADDER_ENDS, LADDER_TITLES, MEASURED, NOT_QUOTED, QUOTED
from mmls_tf.reporting.rows import Row, metric_text, number_text, splits_of
from mmls_tf.reporting.scores import METRICS

_STEPS = [parse_bands(step) for step in LADDER]


def ladder(rows: Sequence[Row]) -> Section:
    """mIoU by set of bands, of rows that differ in nothing else."""
    families: dict[str, list[Row]] = {}
    for row in rows:
        rest = {name: value for name, value in row.flags.items() if name != "bands"}
        families.setdefault(repr((sorted(rest.items()), row.fingerprint, row.runs[0].finished)), []).append(
            row
        )
    ladders = [members for members in families.values() if len(members) > 1]
    title = "The ladder of bands"
    if not ladders:
        return Section("ladder", title, (Paragraph("No runs that differ in --bands alone: no ladder."),))
    splits = splits_of([row for members in ladders for row in members])
    cells = [_measured(row, splits) for members in ladders for row in sorted(members, key=_order)]
    cells += [
        (
            _title(parse_bands(bands)),
            "U-Net",
            QUOTED,
            NOT_QUOTED,
            *(number_text(miou, 2) if split == "test" else NOT_QUOTED for split in splits),
            *("-" for _ in look_heads(splits)),
        )
        for bands, miou in LADDER_ENDS.items()
    ]
    scores = (f"{METRICS['miou']}, {split}" for split in splits)
    heads = ("bands", "model", "source", "n", *scores, *look_heads(splits))
    lead = Paragraph(
        "Runs that differ in --bands alone (and in their seed). The paper's text gives the "
        "two ends of its own ladder, with two digits, for its own splits; other steps are "
        "not quoted."
    )
    return Section("ladder", title, (lead, Table("ladder", "mIoU by set of bands", heads, tuple(cells))))


def _measured(row: Row, splits: Sequence[str]) -> tuple[str, ...]:
    scores = (
        metric_text(found, "miou") if (found := row.evaluations(split)) else "no evaluation"
        for split in splits
    )
    looked = look_cells(row, NAME, splits)
    return (_title(_bands(row)), row.label, MEASURED, str(len(row.runs)), *scores, *looked)


def _bands(row: Row) -> tuple[int, ...]:
    return parse_bands(row.runs[0].files.config.bands)


def _order(row: Row) -> tuple[int, int]:
    bands = _bands(row)
    return (_STEPS.index(bands) if bands in _STEPS else len(_STEPS)), len(bands)


def _title(bands: tuple[int, ...]) -> str:
    if bands in _STEPS:
        return LADDER_TITLES[_STEPS.index(bands)]
    return " + ".join(BANDS[index].title for index in bands)
