"""Writes the tables of docs/*.md from docs/results/*.json, which benchmarks and `mmls_tf.results` write.

    python -m benchmarks.result_docs [--docs=docs] [--results=docs/results]

A table of a page stands between `<!-- begin NAME -->` and `<!-- end NAME -->`; `PAGES` says what is in it. The rest
of a page is written by hand and left as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.measured_tables import (
    Measured,
    adaptation_rows,
    builder_rows,
    evaluation_rows,
    inventory_rows,
    scene_rows,
    seam_rows,
    share_rows,
    together_rows,
    training_rows,
)
from benchmarks.result_tables import Changes, Column, Table
from benchmarks.transfer_tables import gain_rows, ingredient_rows
from mmls_tf.entry import config_from_flags, define_flags, option, run
from mmls_tf.errors import UsageError


@dataclass(frozen=True)
class DocsConfig:
    """Where to read and write."""

    docs: str = option("docs", "Folder of the pages whose tables are written anew.")
    results: str = option("docs/results", "Folder of the JSON files.")


class Rendered(Protocol):
    """A table of a page."""

    @property
    def name(self) -> str:
        """Of its markers."""

    def text(self, results: Path) -> str:
        """Returns it in Markdown, from the files of a folder."""


METRICS = tuple(
    Column(title, f"evaluations.{{split}}.{name}")
    for title, name in (
        ("mIoU", "miou"),
        ("IoU landslide", "iou_landslide"),
        ("IoU background", "iou_background"),
        ("F1", "f1"),
        ("precision", "precision"),
        ("recall", "recall"),
    )
)
WATCHED = (
    Column("val mIoU, last epoch", "val.last_miou"),
    Column("val mIoU, average", "val.ema_miou"),
)
UNSEEN = (
    Column("val mIoU", "val.ema_miou"),
    Column("test", "evaluations.test.miou"),
    Column("isolated block", "evaluations.isolated.miou"),
)
_RESULTS: tuple[Rendered, ...] = (
    Table("unet", "unet", METRICS, splits=("test", "isolated")),
    Table(
        "unet-seeds",
        "unet",
        (
            Column("val mIoU, best epoch", "val.best_miou"),
            Column("test mIoU", "evaluations.test.miou"),
            Column("isolated mIoU", "evaluations.isolated.miou"),
            Column("seconds", "seconds", digits=0),
        ),
        group=("seed",),
    ),
    Table("ladder", "ladder", METRICS, group=("bands",), splits=("val", "test")),
    Table(
        "ablation",
        "ablation",
        WATCHED,
        group=("augment", "loss", "batch", "learning_rate", "context", "context_from", "windows"),
    ),
    Table(
        "zoo",
        "zoo",
        (Column("10^6 parameters", "parameters", divisor=1e6, digits=2, alike=True), *WATCHED),
        group=("model", "encoder", "filters", "fusion"),
    ),
    Table("zoo-regions", "zoo_regions", UNSEEN, group=("data", "model", "encoder", "filters", "fusion")),
    Table(
        "fusion",
        "fusion",
        (
            *UNSEEN[1:],
            *(
                Column(f"test without {part}", f"evaluations.test-without-{part}.miou")
                for part in ("optical", "terrain", "thermal")
            ),
        ),
        group=("fusion", "band_dropout"),
    ),
    Table(
        "context-highland",
        "context_highland",
        METRICS[:1],
        group=("context", "context_from", "windows"),
        splits=("val", "test", "isolated"),
    ),
    Table(
        "context-blocks",
        "context_blocks",
        UNSEEN,
        group=("derive", "augment", "context"),
    ),
    Table("context-all", "context_all", UNSEEN, group=("context", "context_from", "context_masks")),
    Table("augment-blocks", "augment_blocks", METRICS, group=("augment",), splits=("val", "test")),
    Table(
        "light",
        "light",
        METRICS,
        group=("derive", "augment", "epochs"),
        splits=("val", "test", "isolated"),
    ),
    Table(
        "light-published", "light_published", WATCHED, group=("augment", "context", "context_from", "windows")
    ),
    Table("surroundings", "surroundings", WATCHED, group=("context", "batch", "weight_decay", "derive")),
    Table("neighbours", "neighbours", WATCHED, group=("context_masks",)),
    Measured("together", ("together",), together_rows),
    Table("pretraining", "pretraining", UNSEEN, group=("pretrained",)),
    Table(
        "light-augment",
        "light_augment",
        METRICS,
        group=("augment",),
        splits=("val", "test", "isolated"),
    ),
    Changes(
        "robustness",
        (("all", "robustness_all"), ("rgb+dem+slope", "robustness_rgb_dem_slope")),
        (
            *("red", "green", "blue", "elevation", "slope", "thermal inertia", "grayscale", "all optical"),
            *("noise of 1 sd", "Gaussian of 4 px", "pixels 4 x 4", "optical x 1.3", "optical +40 DN"),
            *("elevation +6000 m", "shift of R, G, B", "shift of elevation", "shift of both"),
        ),
    ),
    Measured("seams", ("seams_isolated", "seams_test"), seam_rows),
    Measured("inventory", ("inventory",), inventory_rows),
    Measured("builder", ("builder",), builder_rows),
    Measured("evaluation", ("evaluation",), evaluation_rows),
)
PAGES: dict[str, tuple[Rendered, ...]] = {
    "results.md": _RESULTS,
    "transfer.md": (
        Changes(
            "shift-light",
            (
                ("as above", "shift_none"),
                ("--augment=elevation+optics", "shift_elevation_optics"),
                ("--derive=relative_dem", "shift_relative"),
                ("--derive=relative_dem --augment=optics", "shift_relative_optics"),
            ),
            ("shift of R, G, B", "shift of elevation", "shift of both"),
            shown="value",
        ),
        Table(
            "stage-2",
            "stage2",
            (
                Column("val mIoU", "val.ema_miou"),
                Column("val, shift of both", "robustness.val-isolated.changed.shift of both"),
                Column("test", "evaluations.test.miou"),
                Column("isolated block", "evaluations.isolated.miou"),
            ),
            group=("data", "derive", "augment"),
        ),
        Measured("gain", ("stage2",), gain_rows),
        Measured("ingredients", ("ingredients",), ingredient_rows),
        Measured("together-blocks", ("together_blocks",), together_rows),
        Measured("shares", ("isolated_share",), share_rows),
        Measured("adaptation", ("adaptation",), adaptation_rows),
    ),
    "mapping.md": (Measured("scene", ("scene",), scene_rows),),
    "training.md": (Measured("training", ("training",), training_rows),),
}


def render(page: str, tables: Sequence[Rendered], results: Path) -> str:
    """Returns the page with every table written anew.

    Raises:
      UsageError: a table has no markers, or markers no table; a file or a figure is missing.
    """
    for table in tables:
        begin, end = f"<!-- begin {table.name} -->\n", f"<!-- end {table.name} -->\n"
        head, found, rest = page.partition(begin)
        _, closed, tail = rest.partition(end)
        if not found or not closed:
            raise UsageError(
                f"--docs: expected a line {begin.strip()} and, below it, {end.strip()}; found them not"
            )
        page = f"{head}{begin}\n{table.text(results)}\n\n{end}{tail}"
    for line in page.splitlines():
        if line.startswith("<!-- begin ") and line.split()[2] not in {table.name for table in tables}:
            raise UsageError(f"--docs: expected a table for {line}, found none in PAGES")
    return page


def main() -> None:
    """Reads, renders and writes."""
    config = config_from_flags(DocsConfig)
    for name, tables in PAGES.items():
        page = Path(config.docs) / name
        page.write_text(
            render(page.read_text(encoding="utf-8"), tables, Path(config.results)), encoding="utf-8"
        )
        print(f"Written: {page}")


if __name__ == "__main__":
    define_flags(DocsConfig)
    run(main)
