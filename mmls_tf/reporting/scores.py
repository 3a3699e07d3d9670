"""Sections on how high runs score: the tables in the published form, the gap, the ladder, run beside run."""

from __future__ import annotations

from collections.abc import Sequence

from mmls_tf.reporting.comparison import compare, gap_interval, gap_pairs, gaps
from mmls_tf.reporting.document import Block, Paragraph, Section, Table
from mmls_tf.reporting.looks import look_cells, look_heads, looks
from mmls_tf.reporting.plots import gap_plot
from mmls_tf.reporting.published import MEASURED, NOT_QUOTED, QUOTED, ROWS, SOURCE, model_title
from mmls_tf.reporting.reading import Evaluation
from mmls_tf.reporting.rows import (
    SPLITS,
    Row,
    best_row,
    figure_text,
    interval_text,
    metric_text,
    number_text,
    short_data,
    signed_text,
    splits_of,
    spread,
)

METRICS = {
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "iou_background": "IoU background",
    "iou_landslide": "IoU landslide",
    "miou": "mIoU",
}
_OF_SPLIT = {"test": "the test split", "isolated": "the isolated region", "val": "the val split"}


def published_form(rows: Sequence[Row]) -> Section:
    """The two tables as published, and one of val where runs were scored on it."""
    parts = [_part(rows, split) for split in ("test", "isolated")]
    if any(row.evaluations("val") for row in rows):
        parts.append(_part(rows, "val"))
    lead = Paragraph(
        "Rows marked “measured here” come from the runs of this report; rows marked “quoted” "
        f"are figures that {SOURCE} report for "
        "their own splits and training. The tiles measured here may not be the published "
        "splits (a fingerprint says which tiles they are, and none was published): quoted "
        "rows are for orientation and not comparable one to one."
    )
    how = Paragraph(
        "All figures are pooled over the labelled pixels of a split. A row of one run gives "
        "its 95 % bootstrap interval over spatial blocks in brackets; a row of n runs that "
        "differ in their seed alone gives mean ± sample standard deviation."
    )
    return Section("scores", "Scores in the published form", (lead, how), (*parts, _pooled(rows)))


def gap_section(rows: Sequence[Row]) -> Section:
    """Test beside isolated."""
    pairs = [row for row in rows if gaps(row)]
    blocks: list[Block] = [
        Paragraph(
            "How much mIoU is lost from test to the isolated region, by the same weights at the "
            "same threshold. Both splits are drawn anew independently for the interval."
        )
    ]
    if pairs:
        blocks.append(gap_plot(pairs))
    without = [row.label for row in rows if not gaps(row)]
    if without:
        blocks.append(
            Paragraph(
                "No evaluation of the same weights on both test and isolated: " + "; ".join(without) + "."
            )
        )
    return Section("gap", "The gap from test to isolated", tuple(blocks))


def gap_text(row: Row) -> str:
    """Returns isolated minus test with its interval, or mean ± standard deviation over runs."""
    found = gaps(row)
    if not found:
        return "no test of the same weights"
    if len(found) > 1:
        over = spread(found)
        return f"{signed_text(over.mean)} ± {number_text(over.sd or 0.0)} (n = {over.n})"
    (test, isolated), *_ = gap_pairs(row)
    interval = gap_interval(test.tiles, isolated.tiles)
    return f"{signed_text(found[0])} {interval_text(interval, signed=True)}"


def paired(rows: Sequence[Row]) -> Section:
    """Every row's first run beside that of the best row, on the same tiles."""
    best, splits = best_row(rows), splits_of(rows)
    cells: list[tuple[str, ...]] = []
    for split in splits:
        theirs = best.evaluations(split)[:1]
        for row in rows:
            mine = row.evaluations(split)[:1]
            if row is best or not mine or not theirs:
                continue
            found = compare(mine[0], theirs[0])
            cells.append(
                (
                    row.label,
                    split,
                    signed_text(found["difference"]),
                    interval_text(found["interval"], True),
                    p_text(found["p"]),
                    *look_cells(row, split, splits),
                )
                if found
                else (row.label, split, "not the same tiles", "-", "-", *look_cells(row, split, splits))
            )
    lead = Paragraph(
        f"The first run of each row minus the first run of the best row ({best.label}) in "
        "mIoU on the same tiles: a paired bootstrap over spatial blocks. Intervals and p "
        "values say how sure the difference is for these two runs on other tiles, not for "
        "other seeds; they are not corrected for the number of comparisons, nor for the best "
        "row having been picked by the same tiles."
    )
    if not cells:
        return Section(
            "paired",
            "Runs beside the best one",
            (Paragraph("There is no second row scored on a split that the best one was scored on."),),
        )
    table = Table(
        "paired",
        f"mIoU beside {best.label}, paired by tile",
        ("model", "split", "difference in mIoU", "95 % interval over blocks", "p", *look_heads(splits)),
        tuple(cells),
    )
    return Section("paired", "Runs beside the best one", (lead, table))


def other_ways(rows: Sequence[Row]) -> Section | None:
    """Evaluations under other names: symmetries, ensembles, thresholds, missing bands."""
    cells = []
    splits = {found.split for row in rows for name in _other_names(row) for found in row.evaluations(name)}
    for row in rows:
        for name in _other_names(row):
            found = row.evaluations(name)
            cells.append(
                (
                    row.label,
                    name,
                    str(len(found)),
                    metric_text(found, "miou"),
                    metric_text(row.evaluations(found[0].split), "miou")
                    if row.evaluations(found[0].split)
                    else "no evaluation",
                    figure_text(found, lambda one: one.metric("precision")),
                    figure_text(found, lambda one: one.metric("recall")),
                    figure_text(found, lambda one: float(one.figures["threshold"])),
                    *look_cells(row, found[0].split, splits, name),
                )
            )
    if not cells:
        return None
    heads = (
        "model",
        "evaluation",
        "n",
        "mIoU",
        "mIoU as it is",
        "precision",
        "recall",
        "threshold",
        *look_heads(splits),
    )
    text = (
        "Averages over symmetries of the square, ensembles, thresholds chosen on val, bands "
        "taken away; beside the run as it is."
    )
    table = Table("other-evaluations", "Evaluations in other ways", heads, tuple(cells))
    return Section("other", "Other ways of evaluating", (Paragraph(text), table))


def _other_names(row: Row) -> list[str]:
    return sorted({name for run in row.runs for name in run.evaluations} - set(SPLITS))


def _part(rows: Sequence[Row], split: str) -> Section:
    title = f"On {_OF_SPLIT[split]}"
    isolated, many = (
        split == "isolated",
        len({one.fingerprint for row in rows for one in row.evaluations(split)}) > 1,
    )
    heads = ["model", "source", "n", "weights", *METRICS.values()]
    heads += ["gap from test, mIoU", "ledger, run", "ledger, data set"] if isolated else []
    heads += ["data"] if many else []
    cells = [_measured(row, split, isolated, many) for row in rows if row.evaluations(split)]
    if split != "val":
        cells += [_quoted(model, split, isolated, many) for model in range(len(ROWS))]
    blocks: list[Block] = (
        []
        if any(row.evaluations(split) for row in rows)
        else [Paragraph(f"No run of this report was scored on {split} as it is: alone, at threshold 0.5.")]
    )
    if split == "val":
        blocks.append(Paragraph("Val chose the best epoch, and thresholds and temperatures: it flatters."))
    if isolated:
        blocks.append(
            Paragraph(
                "Whoever picks a model by the isolated region can be seen doing it: each evaluation "
                "there is entered in a ledger, whose count of evaluations stands in the last "
                "columns: of the run as it is now, and of the data set when the run was evaluated."
            )
        )
    without = [row.label for row in rows if not row.evaluations(split)]
    if without and len(without) < len(rows):
        blocks.append(Paragraph(f"Without an evaluation on {split}: " + "; ".join(without) + "."))
    blocks.append(Table(f"scores-{split}", f"Scores on {_OF_SPLIT[split]}", tuple(heads), tuple(cells)))
    return Section(f"scores-on-{split}", title, tuple(blocks))


def _measured(row: Row, split: str, isolated: bool, many: bool) -> tuple[str, ...]:
    found = row.evaluations(split)
    cells = [row.label, MEASURED, str(len(found)), str(found[0].figures["weights"])]
    cells += [metric_text(found, name) for name in METRICS]
    if isolated:
        cells += [gap_text(row), *looks(row)]
    return (*cells, *([short_data(found[0].fingerprint)] if many else []))


def _quoted(index: int, split: str, isolated: bool, many: bool) -> tuple[str, ...]:
    row = ROWS[index]
    cells = [
        model_title(row.model),
        QUOTED,
        NOT_QUOTED,
        NOT_QUOTED,
        *[NOT_QUOTED] * (len(METRICS) - 1),
        number_text(row.miou(split)),
    ]
    cells += [f"{signed_text(row.isolated - row.test)} (of the quoted figures)", "-", "-"] if isolated else []
    return (*cells, *(["published"] if many else []))


def _pooled(rows: Sequence[Row]) -> Section:
    heads = (
        "model",
        "split",
        "tiles",
        "blocks",
        "pooled",
        "95 % over tiles",
        "95 % over blocks",
        "mean of tiles",
        "median of tiles",
        "valid pixels only",
        *look_heads(splits := splits_of(rows)),
    )
    cells = []
    for split in splits:
        for row in rows:
            found = row.evaluations(split)
            if not found:
                continue
            first = found[0]
            spans = [
                interval_text(first.interval("miou", over)) if len(found) == 1 else "see single runs"
                for over in ("tiles", "blocks")
            ]
            cells.append(
                (
                    row.label,
                    split,
                    str(first.figures["tiles"]),
                    str(first.figures["intervals"]["number_of_blocks"]),
                    figure_text(found, lambda one: one.metric("miou")),
                    *spans,
                    *(_per_tile(found, kind) for kind in ("mean", "median")),
                    figure_text(found, lambda one: one.figures["valid_pixels_only"]["miou"]),
                    *look_cells(row, split, splits),
                )
            )
    text = Paragraph(
        "One number pooled over pixels hides what happens on single tiles, and neighbouring "
        "tiles are alike: intervals over tiles are too narrow, those over blocks of 4 by 4 "
        "tiles are not."
    )
    if not cells:
        return Section("pooled-or-not", "mIoU, pooled and by tile", (Paragraph("No evaluation at all."),))
    return Section(
        "pooled-or-not",
        "mIoU, pooled and by tile",
        (text, Table("miou-pooled-and-by-tile", "mIoU pooled over pixels and by tile", heads, tuple(cells))),
    )


def p_text(p: float) -> str:
    """Returns a p value to three digits; one below a thousandth is only said to be that."""
    return "< .001" if p < 0.001 else number_text(p)


def _per_tile(found: Sequence[Evaluation], kind: str) -> str:
    return figure_text(found, lambda one: one.figures["per_tile"]["miou"][kind])
