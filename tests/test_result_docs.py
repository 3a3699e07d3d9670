"""Tables of the docs: rendered from docs/results alone, and the committed pages are what the script writes."""

from __future__ import annotations

import json
import re
import statistics
from pathlib import Path
from typing import Any

import pytest

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
from benchmarks.result_docs import METRICS, PAGES, render
from benchmarks.result_tables import Changes, Column, Table, table_text
from mmls_tf.errors import UsageError

ROOT = Path(__file__).parents[1]
MIOU = Column("mIoU", "evaluations.{split}.miou")
ALL = (("bands", "all"),)
PAGE = "# Page\n\nBefore.\n\n<!-- begin a -->\n{}<!-- end a -->\n\nAfter.\n"


def entry(seed: int, miou: float | None, **config: Any) -> dict[str, Any]:
    scores = {"test": {"miou": miou, "weights": "ema"}, "isolated": {"miou": 0.5, "weights": "ema"}}
    return {
        "name": f"r{seed}", "seed": seed, "config": config, "fingerprint": "f", "evaluations": scores, "seconds": 90.0,
    }  # fmt: skip


def cells(text: str) -> list[list[str]]:
    """Cells of a table by row, the head first."""
    lines = text.splitlines()
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in (lines[0], *lines[2:])]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    runs = [entry(0, 0.7), entry(1, 0.8), entry(0, 0.6, bands="rgb")]
    (tmp_path / "a.json").write_text(json.dumps({"runs": runs}))
    return tmp_path


@pytest.mark.parametrize("name", PAGES)
def test_the_committed_page_is_what_the_script_writes(name: str) -> None:
    page = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert render(page, PAGES[name], ROOT / "docs/results") == page


def test_the_table_of_the_unet_has_the_means_and_deviations_of_its_three_seeds() -> None:
    page = (ROOT / "docs/results.md").read_text(encoding="utf-8")
    text = page.partition("<!-- begin unet -->\n")[2].partition("<!-- end unet -->")[0].strip()
    runs = json.loads((ROOT / "docs/results/unet.json").read_text(encoding="utf-8"))["runs"]
    for row, split in zip(cells(text)[1:], ("test", "isolated"), strict=True):
        values = [run["evaluations"][split]["miou"] for run in runs]
        mean, deviation = statistics.fmean(values), statistics.stdev(values)
        assert row[:2] == [split, f"{mean:.3f} ± {deviation:.3f}".replace("0.", ".")]
        assert row[-1] == "3"


def test_no_file_of_results_has_an_absolute_path() -> None:
    files = sorted((ROOT / "docs/results").glob("*.json"))
    assert files
    for path in files:
        assert re.findall(r'"[/~][^"]*"', path.read_text(encoding="utf-8")) == []


def test_runs_are_grouped_by_flags_defaults_included_and_split_by_split(results: Path) -> None:
    runs = json.loads((results / "a.json").read_text())["runs"]
    table = Table("a", "a", (MIOU,), group=("bands", "full_skip"), splits=("test", "isolated"))
    assert cells(table_text(table, runs)) == [
        ["bands", "full_skip", "split", "mIoU", "n"],
        ["all", "false", "test", ".750 ± .071", "2"],
        ["all", "false", "isolated", ".500 ± .000", "2"],
        ["rgb", "false", "test", ".600 ± -", "1"],
        ["rgb", "false", "isolated", ".500 ± -", "1"],
    ]


def test_a_table_of_seeds_has_figures_alone(results: Path) -> None:
    columns = (Column("mIoU", "evaluations.test.miou"), Column("minutes", "seconds", divisor=60, digits=1))
    table = Table("a", "a", columns, group=("seed",), where=ALL)
    page = render(PAGE.format(""), [table], results)
    text = page.partition("-->\n")[2].partition("<!--")[0].strip()
    assert cells(text) == [["seed", "mIoU", "minutes"], ["0", ".700", "1.5"], ["1", ".800", "1.5"]]


def test_only_what_is_between_the_markers_changes_and_it_changes_once(results: Path) -> None:
    table = Table("a", "a", (MIOU,), splits=("test",), where=ALL)
    page = render(PAGE.format("an old table\n"), [table], results)
    assert page.startswith("# Page\n\nBefore.\n\n<!-- begin a -->\n\n| split")
    assert page.endswith("|\n\n<!-- end a -->\n\nAfter.\n")
    assert "an old table" not in page
    assert render(page, [table], results) == page


@pytest.mark.parametrize(
    ("page", "table", "message"),
    [
        ("# Page\n", Table("a", "a", (MIOU,)), "expected a line <!-- begin a -->"),
        ("<!-- begin a -->\n", Table("a", "a", (MIOU,)), "<!-- end a -->; found"),
        (
            PAGE + "<!-- begin b -->\n",
            Table("a", "a", (MIOU,), splits=("test",), where=ALL),
            "a table for <!-- begin b -->",
        ),
        (PAGE, Table("a", "z", (MIOU,)), r"expected z\.json for table a"),
        (
            PAGE,
            Table("a", "a", (MIOU,), splits=("val",), where=ALL),
            r"a number at evaluations\.val\.miou of run r0",
        ),
        (PAGE, Table("a", "a", (MIOU,), where=(("bands", "dem"),)), "found none with {'bands': 'dem'}"),
        (PAGE, Table("a", "a", (MIOU,), group=("speed",), splits=("test",)), "'speed'"),
    ],
)
def test_what_is_missing_is_an_error_and_never_a_hole(
    page: str, table: Table, message: str, results: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        render(page, [table], results)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"config": {"epochs": 9}}, "the same flags, found {'epochs': 9} and {}"),
        ({"fingerprint": "e"}, "the same data, found e and f"),
        ({"evaluations": {"test": {"miou": 0.7, "weights": "best"}}}, "the same evaluated weights"),
        ({"seed": 0}, r"to differ in seed, found r1 to repeat \[0\]"),
    ],
)
def test_a_row_is_a_mean_over_repetitions_and_nothing_else(change: dict[str, Any], message: str) -> None:
    table = Table("a", "a", (MIOU,), splits=("test",))
    assert cells(table_text(table, [entry(0, 0.7), entry(1, 0.8)]))[1][-1] == "2"
    with pytest.raises(UsageError, match=message):
        table_text(table, [entry(0, 0.7), {**entry(1, 0.8), **change}])


def test_what_is_alike_in_a_row_has_no_spread_and_must_be_alike() -> None:
    table = Table("a", "a", (Column("minutes", "seconds", divisor=60.0, digits=1, alike=True),))
    runs = [entry(0, 0.7), entry(1, 0.8)]
    assert cells(table_text(table, runs)) == [["minutes", "n"], ["1.5", "2"]]
    with pytest.raises(
        UsageError, match=r"expected one minutes in each row of table a, found \[1\.5, 2\.0\]"
    ):
        table_text(table, [runs[0], {**runs[1], "seconds": 120.0}])


def test_folds_of_one_seed_may_be_summed_up_too() -> None:
    runs = [entry(0, 0.5 + fold / 10, fold=fold, folds="random:3") for fold in range(3)]
    table = Table("a", "a", (MIOU,), splits=("test",), over=("fold",))
    assert cells(table_text(table, runs))[1] == ["test", ".600 ± .100", "3"]


def test_an_undefined_figure_is_an_error(results: Path) -> None:
    (results / "a.json").write_text(json.dumps({"runs": [entry(0, None)]}))
    with pytest.raises(UsageError, match="found None"):
        render(PAGE, [Table("a", "a", METRICS[:1], splits=("test",))], results)


def test_what_changes_cost_stands_by_run_with_intervals_and_a_dash_where_it_does_not_apply(
    tmp_path: Path,
) -> None:
    def made(*names: str) -> str:
        value = {"value": 0.625, "interval": [0.25, 0.75]}
        rows = [{"name": name, "drop": 0.125, "drop_interval": [-0.25, 0.5], **value} for name in names]
        return json.dumps({"clean": {"value": 0.75, "interval": [0.5, 1.0]}, "changes": rows})

    (tmp_path / "one.json").write_text(made("blur", "gray"))
    (tmp_path / "two.json").write_text(made("blur"))
    table = Changes("a", (("first", "one"), ("second", "two")), ("blur", "gray"))
    text = render(PAGE.format(""), [table], tmp_path).partition("begin a -->")[2].partition("<!-- end")[0]
    assert cells(text.strip()) == [
        ["change", "drop, first", "drop, second"],
        ["none: mIoU", ".750 [.500 to 1.000]", ".750 [.500 to 1.000]"],
        ["blur", "+.125 [\N{MINUS SIGN}.250 to +.500]", "+.125 [\N{MINUS SIGN}.250 to +.500]"],
        ["gray", "+.125 [\N{MINUS SIGN}.250 to +.500]", "-"],
    ]
    table = Changes("a", (("first", "one"),), ("blur",), shown="value")
    assert cells(table.text(tmp_path))[::2] == [["change", "mIoU, first"], ["blur", ".625 [.250 to .750]"]]
    with pytest.raises(UsageError, match="expected a run under the change 'noise', found none"):
        render(PAGE.format(""), [Changes("a", (("first", "one"),), ("noise",))], tmp_path)
    with pytest.raises(UsageError, match=r"expected three\.json for table a, found none"):
        render(PAGE.format(""), [Changes("a", (("third", "three"),), ("blur",))], tmp_path)


def rounds(*values: float) -> dict[str, Any]:
    return {"median": values[0], "rounds": list(values)}


def test_a_table_of_scenes_has_medians_with_their_range_and_the_large_scene_below() -> None:
    def ours(rate: float, ratio: float) -> dict[str, Any]:
        return {
            "megapixels_per_second": rounds(rate, rate - 0.1, rate + 0.1),
            "whole / bare forward passes": rounds(ratio, ratio),
            "peak_memory_mb": 1000,
        }

    scene = {
        "scene": "20 rows x 20 columns",
        **{f"mmls_tf, overlap {overlap}": ours(0.5, 1.25) for overlap in ("0.0", "0.5")},
        **{f"PyTorch, overlap {o}": {"megapixels_per_second": rounds(0.4)} for o in ("0.0", "0.5")},
        **{f"speed of mmls_tf / PyTorch, overlap {o}": rounds(1.25, 1.0, 1.5) for o in ("0.0", "0.5")},
        "large scene": {
            "size": "2000 rows x 1000 columns", "seconds": 4.0, "bare_seconds": 3.2, "peak_memory_mb": 900,
        },
    }  # fmt: skip
    first, second, large = scene_rows(scene)[1:]
    measured = [".50 (.40 to .60)", "1.25 (1.25)", ".40 (.40)", "1.25 (1.00 to 1.50)", "1000 MB"]
    assert first == ["20 rows x 20 columns", "0", *measured]
    assert second[1:] == ["0.5, the default", *measured]
    assert large[1:4] == ["0", ".50 (one round)", "1.25"]
    assert large[-1] == "900 MB"


def test_a_table_of_seams_has_a_row_a_split_and_one_of_an_inventory_a_row_a_size() -> None:
    def way(miou: float, ratio: float) -> dict[str, Any]:
        return {"miou": miou, "mean_jump": {"ratio": ratio}}

    seams = {"split": "test", "tiles": 56, "tile by tile": way(0.75, 4.5), "seamless": way(0.8125, 0.5)}
    assert seam_rows(seams)[1:] == [["test", "56", ".750", ".812", "4.50", ".50"]]
    counts = {"found": 3, "missed": 1, "right": 5, "false": 2}
    sizes = ((0, 10), (10, 100), (100, None))
    by_size = [{"from_km2": low, "below_km2": high, **counts} for low, high in sizes]
    assert inventory_rows({"by_size": by_size, "landslides": counts})[1:] == [
        [size, "4", "3", "7", "5"] for size in ("below 10 km2", "10 to 100 km2", "100 km2 or more", "all")
    ]


def test_a_table_of_shares_is_of_the_mapped_area_and_has_a_row_for_all_seeds() -> None:
    runs = [
        {"name": name, "train_tiles": 280, "landslides": count, "landslide_km2": area}
        for name, count, area in (("a", 3, 25.0), ("b", 7, 50.0), ("a", 5, 27.0))
    ]
    assert share_rows({"mapped_km2": 200.0, "runs": runs})[1:] == [
        ["a", "280", "3 to 5", "13.0 ± .7", "2"],
        ["b", "280", "7", "25.0 ± -", "1"],
    ]


def test_a_table_of_runs_together_has_a_spread_over_seeds_and_says_what_was_not_measured() -> None:
    rows = [
        {"runs": "a", "averaged": "none", "east": [0.8, 0.81, 0.82], "west": [0.7]},
        {"runs": "a", "averaged": "3 seeds", "east": [0.83], "west": []},
    ]
    assert together_rows({"columns": ["east", "west"], "rows": rows}) == [
        ["runs", "averaged", "east", "west"],
        ["a", "none", ".810 ± .010", ".700 ± -"],
        ["a", "3 seeds", ".830 ± -", "not measured"],
    ]


def test_tables_of_speed_have_ranges() -> None:
    ratios = {"predict": [0.9, 1.0, 1.2], "count": [1.0, 1.1, 1.4]}
    assert [row[1] for row in evaluation_rows({"ratio_to_bare": ratios})[1:]] == [
        "1.00 (.90 to 1.20)",
        "1.10 (1.00 to 1.40)",
    ]
    steps = {"step": rounds(20.0, 18.0), "training": rounds(19.0), "share": rounds(0.95)}
    training = {"unet memory": {**steps, "input_share": rounds(0.001, 0.002), "first_step_s": rounds(9.5)}}
    assert training_rows({"cores": 2, **training})[1:] == [
        ["unet", "memory", "20.0 (18.0 to 20.0)", "19.0 (19.0)", ".95 (.95)", ".1 to .2 %", "9.5 (9.5)"]
    ]
    plain = {"tiles_per_second": 347.4, "seconds": [1.2, 1.5], "peak_mib": 793}
    ours = {"tiles_per_second": 250.0, "seconds": [2.0], "peak_mib": 101, "speed_over_plain": [0.6, 0.7]}
    assert builder_rows({"cores": 2, "plain": plain, "ours": ours})[1:] == [
        ["plain", "347", "1.20 to 1.50", "", "793"],
        ["ours", "250", "2.00", ".60 to .70", "101"],
    ]


def adapted(method: str, miou: float, tiles: int, **more: Any) -> dict[str, Any]:
    there = {"isolated": {"miou": miou, "precision": 0.9, "recall": 0.75, "tiles": tiles}}
    return {"name": f"east: plain: {method}", "val": {"ema_miou": 0.79}, "evaluations": there, **more}


def test_seeds_of_an_adaptation_are_one_row_beside_what_it_started_from() -> None:
    known = {"adaptation": {"column": "few labels"}}
    runs = [
        adapted("none", 0.8, 82),
        adapted("finetune", 0.81, 74, **known),
        adapted("finetune", 0.83, 73, **known),
    ]
    assert adaptation_rows({"runs": runs})[1:] == [
        ["east", "plain", "none", "source only", ".790 ± -", ".800 ± -", ".900 ± -", ".750 ± -", "82", "1"],
        [
            *(
                "east",
                "plain",
                "finetune",
                "few labels",
                ".790 ± .000",
                ".820 ± .014",
                ".900 ± .000",
                ".750 ± .000",
            ),
            *("73 to 74", "2"),
        ],
    ]


def test_an_evaluation_that_only_one_run_of_a_row_has_is_no_difference_between_them() -> None:
    table = Table("a", "a", (Column("test", "evaluations.test.miou"),))
    one, other = entry(0, 0.7), entry(1, 0.8)
    other["evaluations"]["val-d4"] = {"miou": 0.9, "weights": "best"}
    assert cells(table_text(table, [one, other]))[1] == [".750 ± .071", "2"]


def test_a_measurement_that_lacks_a_figure_is_named(tmp_path: Path) -> None:
    table = Measured("a", ("one",), seam_rows)
    with pytest.raises(UsageError, match=r"expected one\.json for table a, found none"):
        render(PAGE, [table], tmp_path)
    (tmp_path / "one.json").write_text("{}")
    with pytest.raises(UsageError, match=r"one\.json: expected 'split' for table a, found none"):
        render(PAGE, [table], tmp_path)
