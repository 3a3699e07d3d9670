"""The page of a report: its numbers are those of the runs, its form is sound, nothing outside of it is needed."""

from __future__ import annotations

import csv
import itertools
import re
import statistics
from pathlib import Path

import pytest
from made_runs import SIDE, evaluation, make_run
from reading_pages import PageReader, read_page, table_of

from mmls_tf.evaluation import pictures
from mmls_tf.reporting.gallery import ERROR_COLOURS
from mmls_tf.reporting.job import ReportConfig, write_report
from mmls_tf.reporting.published import MEASURED, NOT_QUOTED, QUOTED

METRICS = {
    "precision": "precision", "recall": "recall", "F1": "f1", "IoU background": "iou_background",
    "IoU landslide": "iou_landslide", "mIoU": "miou",
}  # fmt: skip


@pytest.fixture(scope="module")
def page(report: Path) -> PageReader:
    return read_page(report)


def bare(value: float) -> str:
    """A share as papers write it."""
    return f"{value:.3f}".removeprefix("0")


def row_of(page: PageReader, table: str, **cells: str) -> dict[str, str]:
    (found,) = [
        row for row in table_of(page, table) if all(row[head] == cell for head, cell in cells.items())
    ]
    return found


def test_a_single_run_stands_with_its_scores_and_their_intervals_over_blocks(
    page: PageReader, runs: Path
) -> None:
    for split in ("test", "isolated"):
        row = row_of(page, f"scores-{split}", model="U-Net, bands=rgb")
        found = evaluation(runs / "unet_rgb", split)
        for title, name in METRICS.items():
            low, high = (bare(value) for value in found["intervals"]["blocks"][name])
            assert row[title] == f"{bare(found['labelled_pixels'][name])} [{low} to {high}]"
        assert (row["source"], row["n"], row["weights"]) == (MEASURED, "1", "best")


def test_runs_that_differ_in_seed_alone_are_one_row_of_mean_and_sample_deviation(
    page: PageReader, runs: Path
) -> None:
    row = row_of(page, "scores-test", model="U-Net, bands=all")
    for title, name in METRICS.items():
        values = [evaluation(runs / run, "test")["labelled_pixels"][name] for run in ("unet_s0", "unet_s1")]
        assert row[title] == f"{bare(statistics.mean(values))} ± {bare(statistics.stdev(values))}"
    assert row["n"] == "2"


def test_quoted_rows_are_marked_and_only_their_miou_is_filled(page: PageReader) -> None:
    models = ("U-Net", "U-Net++", "PSPNet", "DeepLabV3", "DeepLabV3+", "SegFormer")
    for split, values in (
        ("test", (".814", ".823", ".828", ".817", ".829", ".812")),
        ("isolated", (".721", ".708", ".709", ".725", ".696", ".735")),
    ):
        expected = dict(zip(models, values, strict=True))
        quoted = [row for row in table_of(page, f"scores-{split}") if row["source"] == QUOTED]
        assert {row["model"]: row["mIoU"] for row in quoted} == expected
        assert {row[title] for row in quoted for title in METRICS if title != "mIoU"} == {NOT_QUOTED}
    assert {row["source"] for row in table_of(page, "scores-isolated")} == {MEASURED, QUOTED}
    assert QUOTED == "quoted, arXiv 2602.08112"
    assert "not comparable one to one" in page.text


def test_the_isolated_table_has_the_gap_to_test_and_the_ledger(page: PageReader, runs: Path) -> None:
    row = row_of(page, "scores-isolated", model="U-Net, bands=rgb")
    both = [evaluation(runs / "unet_rgb", split)["labelled_pixels"]["miou"] for split in ("isolated", "test")]
    gap = both[0] - both[1]
    assert row["gap from test, mIoU"].startswith(f"{'−' if gap < 0 else '+'}{bare(abs(gap))} [")  # noqa: RUF001
    assert (row["ledger, run"], row["ledger, data set"]) == ("1", "7")
    assert row_of(page, "scores-isolated", model="U-Net, bands=all")["ledger, run"] == "1, 1"


def test_every_table_with_figures_of_isolated_has_the_counts_of_its_ledgers(page: PageReader) -> None:
    column = "isolated ledgers"
    beside_other_splits = (
        "miou-pooled-and-by-tile", "paired", "boundaries", "leaks", "average-precision", "calibration",
    )  # fmt: skip
    for name in beside_other_splits:
        looked = {(row["split"], row["model"]): row[column] for row in table_of(page, name)}
        assert looked["isolated", "U-Net, bands=rgb"] == "run 1; data set 7", name
        assert {cell for (split, _), cell in looked.items() if split != "isolated"} == {"-"}, name
    for name in ("landslides-isolated", "errors-slope-isolated", "errors-elevation-isolated"):
        looked = {(row["model"], row[column]) for row in table_of(page, name)}
        assert ("U-Net, bands=rgb", "run 1; data set 7") in looked, name
    assert row_of(page, "ladder", bands="RGB", source=MEASURED)[column] == "run 1; data set 7"
    without = {
        table
        for table in (name.removeprefix("table-") for name in page.tables)
        if any("isolated" in cell for row in table_of(page, table) for cell in [*row, *row.values()])
        and not any("ledger" in head for head in table_of(page, table)[0])
    }
    assert without == {"data", "runs"}, "these hold no score"


def test_what_is_missing_is_said(page: PageReader) -> None:
    assert "Without an evaluation on isolated: SegFormer, bands=all." in page.text
    assert "No evaluation of the same weights on both test and isolated: SegFormer, bands=all." in page.text
    assert "Named by --runs, but no runs, and left out: " in page.text
    assert row_of(page, "ladder", bands="RGB", source=MEASURED)["mIoU, val"] != "no evaluation"


def test_the_ladder_has_runs_that_differ_in_bands_alone_in_its_order_beside_the_quoted_ends(
    page: PageReader, runs: Path
) -> None:
    rows = table_of(page, "ladder")
    assert [row["bands"] for row in rows] == [
        "RGB", "+ grayscale (all seven)", "RGB", "+ grayscale (all seven)",
    ]  # fmt: skip
    assert [row["mIoU, test"] for row in rows[2:]] == [".71", ".81"]
    assert {row["source"] for row in rows[2:]} == {QUOTED}
    assert "SegFormer" not in " ".join(row["model"] for row in rows)
    miou = evaluation(runs / "unet_rgb", "test")["labelled_pixels"]["miou"]
    assert rows[0]["mIoU, test"].startswith(bare(miou))


def test_hard_cases_boundaries_and_calibration_are_those_of_the_evaluation(
    page: PageReader, runs: Path
) -> None:
    found = evaluation(runs / "unet_rgb", "test")
    for stratum in ("all", "small", "cut"):
        row = row_of(page, "landslides-test", model="U-Net, bands=rgb", landslides=stratum)
        expected = found["landslides"][stratum]
        assert row["in truth"] == str(expected["true_landslides"])
        assert row["object recall"] == bare(expected["object_recall"])
        assert row["object precision"] == bare(expected["object_precision"])
    row = row_of(page, "boundaries", model="U-Net, bands=rgb", split="test", **{"radius (pixels)": "3"})
    assert row["boundary F1"] == bare(found["boundary"]["3"]["f1"])
    row = row_of(page, "calibration", model="U-Net, bands=rgb", split="test")
    assert row["ECE"] == f"{found['calibration']['before']['ece']:.4f}".removeprefix("0")
    assert row["ECE after"] == f"{found['calibration']['after']['ece']:.4f}".removeprefix("0")
    row = row_of(page, "leaks", model="U-Net, bands=rgb", split="test")
    left = found["leaks"]["without_touching"]
    assert row["mIoU without touching tiles"] == f"{bare(left['miou'])} ({left['tiles']} tiles)"


def test_robustness_is_shown_graded_or_named_with_what_did_not_apply(page: PageReader) -> None:
    assert row_of(page, "robustness-1", change="slope")["mIoU"] == ".432"
    assert row_of(page, "robustness-1", change="noise of 2 sd")["mIoU"] == ".500"
    assert row_of(page, "robustness-1", change="noise of 2 sd")["drop"] == "+.200"
    assert "Not applicable: all thermal (missing): the run sees none." in page.text
    assert any(found.get("id") == "figure-plot-robustness-1-1" for _, found in page.elements)


def test_other_ways_of_evaluating_stand_beside_the_run_as_it_is(page: PageReader, runs: Path) -> None:
    (row,) = table_of(page, "other-evaluations")
    assert (row["model"], row["evaluation"]) == ("U-Net, bands=rgb", "test-d4")
    for head, name in (("mIoU", "test-d4"), ("mIoU as it is", "test")):
        assert row[head].startswith(bare(evaluation(runs / "unet_rgb", name)["labelled_pixels"]["miou"]))


def test_costs_are_those_of_the_evaluation(page: PageReader) -> None:
    row = row_of(page, "cost", model="SegFormer, bands=all")
    assert (row["parameters"], row["GMACs a tile"]) == ("1,234", "5.60")
    assert (row["ms a tile, batch 1"], row["ms a tile, batch 16"]) == ("12.2", "3.5")
    assert row["training (minutes)"] == "1.5"


def test_csv_files_hold_the_cells_of_the_page(page: PageReader, report: Path) -> None:
    assert len(page.tables) > 15
    for name, cells in page.tables.items():
        with (report / f"{name.removeprefix('table-')}.csv").open(encoding="utf-8", newline="") as file:
            assert list(csv.reader(file)) == cells


def test_markdown_has_the_same_cells_and_its_pictures_beside_it(page: PageReader, report: Path) -> None:
    text = (report / "report.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    shown = [[re.sub(r"\\(.)", r"\1", cell) for cell in re.split(r" \| ", line[2:-2])] for line in lines]
    expected = [row for cells in page.tables.values() for row in cells]
    assert shown == expected
    pictures_shown = re.findall(r"\]\(([\w-]+\.(?:png|svg))\)", text)
    assert len(pictures_shown) > 30
    assert all((report / name).stat().st_size > 100 for name in pictures_shown)
    assert {path.name for path in report.iterdir() if path.suffix in (".png", ".svg")} == set(pictures_shown)


def test_nothing_outside_of_the_page_is_asked_for(page: PageReader, report: Path) -> None:
    for tag, found in page.elements:
        assert tag not in ("script", "iframe", "object")
        for name in ("src", "href", "xlink:href", "srcset", "data"):
            assert found.get(name, "#").startswith(("#", "data:")), found
    assert not re.search(r"url\((?!#)|@import|https?://", (report / "index.html").read_text(encoding="utf-8"))


def test_links_and_references_inside_the_page_lead_somewhere_and_ids_are_unique(page: PageReader) -> None:
    ids = [found["id"] for _, found in page.elements if "id" in found]
    assert len(ids) == len(set(ids))
    for _, found in page.elements:
        targets = [found["href"][1:]] if found.get("href", "").startswith("#") else []
        targets += found.get("aria-labelledby", "").split() + found.get("aria-describedby", "").split()
        targets += re.findall(r"url\(#([^)]+)\)", " ".join(found.values()))
        assert set(targets) <= set(ids)


def test_headings_go_down_one_level_at_a_time_from_a_single_title(page: PageReader) -> None:
    levels = [level for level, _ in page.headings]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert all(text.strip() for _, text in page.headings)


def test_pictures_and_plots_have_words_and_tables_have_captions_and_scopes(page: PageReader) -> None:
    alts = [found["alt"] for tag, found in page.elements if tag == "img"]
    assert len(alts) > 50
    assert all(len(alt) > 20 for alt in alts)
    plots = [found for tag, found in page.elements if tag == "svg"]
    assert len(plots) > 10
    assert all(found["role"] == "img" and found["aria-describedby"] for found in plots)
    tags = [tag for tag, _ in page.elements]
    assert tags.count("caption") == tags.count("table") == tags.count("thead")
    assert all("scope" in found for tag, found in page.elements if tag == "th")
    assert ("html", {"lang": "en"}) in page.elements


def test_alternative_texts_of_plots_hold_the_figures(report: Path, runs: Path) -> None:
    text = (report / "index.html").read_text(encoding="utf-8")
    (alt,) = re.findall(r'<desc id="plot-precision-recall-test-alt">([^<]+)<', text)
    ap = evaluation(runs / "segformer", "test")["curve"]["average_precision"]
    assert f"SegFormer, bands=all: average precision {bare(ap)}" in alt
    (alt,) = re.findall(r'<desc id="plot-map-test-1-1-alt">([^<]+)<', text)
    assert "12 tiles, 11 of them with a landslide" in alt
    (alt,) = re.findall(r'<desc id="plot-robustness-1-1-alt">([^<]+)<', text)
    assert "Largest drop of mIoU +.200, to .500, with noise of 2 sd at severity 2." in alt


def test_what_users_named_cannot_break_the_page(tmp_path: Path) -> None:
    make_run(tmp_path / "<b>&'|`*_run\n", splits=("test",), pretrained="<script>alert(1)</script>")
    make_run(tmp_path / "other", splits=("test",))
    out = tmp_path / "out"
    write_report(ReportConfig(runs=f"{tmp_path}/*", out=str(out)), "python <i>& --x")
    page = read_page(out)
    assert {tag for tag, _ in page.elements}.isdisjoint({"b", "script", "i"})
    assert "<b>&'|`*_run" in page.text
    assert "python <i>& --x" in page.text
    text = (out / "report.md").read_text()
    assert "\\<b\\>\\&'\\|\\`\\*\\_run" in text
    assert "<script" not in text.replace("\\<script", "")


def test_the_gallery_speaks_of_the_colours_that_evaluations_draw() -> None:
    drawn = (pictures._HIT, pictures._FALSE_ALARM, pictures._MISS)
    shades = ["#" + "".join(f"{round(255 * part):02x}" for part in colour) for colour in drawn]
    assert [colour for colour, _ in ERROR_COLOURS] == shades


def test_the_gallery_holds_the_pictures_of_the_evaluation(report: Path, runs: Path) -> None:
    from matplotlib.image import imread

    kept = pictures.read_gallery(runs / "unet_s0" / "evaluations" / "test.npz")
    for place, tile in enumerate(kept, 1):
        shown = imread(report / f"tile-test-1-{place}-colour.png")
        assert shown.shape[:2] == (SIDE, SIDE)
        assert (shown[..., :3] * 255).round().astype(int).tolist() == tile.colour.tolist()
