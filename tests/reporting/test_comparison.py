"""Differences between evaluations: their size and their intervals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from made_runs import evaluation, make_run
from reading_pages import read_page, table_of

from mmls_tf.evaluation.confusion import Confusion
from mmls_tf.evaluation.intervals import paired_bootstrap
from mmls_tf.reporting.comparison import gap, gap_interval
from mmls_tf.reporting.reading import TileTable, read_runs
from mmls_tf.reporting.rows import make_rows


def tiles(seed: int, blocks: int, quality: float) -> TileTable:
    """Blocks of two tiles that share their luck."""
    rng = np.random.default_rng(seed)
    luck = np.repeat(rng.normal(quality, 0.1, blocks).clip(0.05, 0.95), 2)
    landslide = rng.integers(2000, 6000, 2 * blocks)
    hits, alarms = (landslide * luck).astype(int), (landslide * (1 - luck) * 0.8).astype(int)
    counts = np.stack([hits, alarms, landslide - hits, 16384 - landslide - alarms], 1)
    keys = tuple(str(index) for index in range(2 * blocks))
    return TileTable(keys, counts, np.repeat(np.arange(blocks), 2), (None,) * len(keys), (None,) * len(keys))


def miou(counts: np.ndarray) -> float:
    return Confusion(*(int(value) for value in counts.sum(axis=0))).miou or 0.0


def drawn_anew(table: TileTable, rng: np.random.Generator) -> float:
    blocks = rng.integers(0, table.blocks.max() + 1, table.blocks.max() + 1)
    return miou(np.concatenate([table.counts[table.blocks == block] for block in blocks]))


def test_the_interval_of_the_gap_is_as_wide_as_draws_of_both_splits_by_themselves_say() -> None:
    test, isolated = tiles(1, 40, 0.8), tiles(2, 25, 0.65)
    rng = np.random.default_rng(3)
    deviation = np.std([drawn_anew(isolated, rng) - drawn_anew(test, rng) for _ in range(1000)])
    interval = gap_interval(test, isolated)
    assert interval is not None
    low, high = interval
    assert (low + high) / 2 == pytest.approx(miou(isolated.counts) - miou(test.counts))
    assert (high - low) / 2 == pytest.approx(1.96 * deviation, rel=0.15)


def test_a_split_of_one_block_gives_the_gap_no_interval() -> None:
    assert gap_interval(tiles(1, 1, 0.8), tiles(2, 25, 0.65)) is None


def test_draws_without_any_landslide_make_the_interval_of_the_gap_wider_and_not_narrower() -> None:
    test, isolated = tiles(1, 40, 0.8), tiles(2, 3, 0.65)
    isolated.counts[isolated.blocks > 0] = 0, 0, 0, 16384  # 8 of 27 draws have none
    assert gap_interval(test, isolated) == (-1.0, 1.0)


def test_only_evaluations_of_the_same_weights_and_threshold_have_a_gap(runs: Path) -> None:
    (run,), _ = read_runs([runs / "unet_rgb"], patterns=False)
    test, isolated = run.evaluations["test"], run.evaluations["isolated"]
    found = [evaluation(runs / "unet_rgb", name)["labelled_pixels"]["miou"] for name in ("isolated", "test")]
    assert gap(test, isolated) == pytest.approx(found[0] - found[1])
    for name, value in (("threshold", 0.4), ("weights_sha256", "other"), ("tta", "d4")):
        changed = type(test)(test.folder, test.name, {**test.figures, name: value})
        assert gap(changed, isolated) is None


def test_rows_are_compared_with_the_best_one_by_tile_whatever_the_order_of_their_files(
    report: Path, runs: Path
) -> None:
    found, _ = read_runs([runs / "unet_s0", runs / "segformer"], patterns=False)
    ours, theirs = (run.evaluations["test"].tiles for run in found)
    expected = paired_bootstrap(theirs.counts, ours.counts, ours.blocks, ("miou",))["miou"]
    assert expected is not None
    (row,) = [row for row in table_of(read_page(report), "paired") if row["model"].startswith("SegFormer")]
    assert float(row["difference in mIoU"].replace("−", "-")) == pytest.approx(  # noqa: RUF001
        expected["difference"], abs=6e-4
    )
    assert row["p"] == ("< .001" if expected["p"] < 0.001 else f"{expected['p']:.3f}".removeprefix("0"))


def test_pairs_are_matched_by_key_and_not_by_line(tmp_path: Path) -> None:
    from mmls_tf.reporting.comparison import compare

    for seed in (0, 1):
        make_run(tmp_path / f"run{seed}", 0.3 + seed / 10, ("test",), seed=seed)
    (first, second), _ = read_runs([tmp_path / "run0", tmp_path / "run1"], patterns=False)
    straight = compare(first.evaluations["test"], second.evaluations["test"])
    path = tmp_path / "run1" / "evaluations" / "test.csv"
    head, *lines = path.read_text().splitlines()
    path.write_text("\n".join([head, *reversed(lines)]) + "\n")
    (again,), _ = read_runs([tmp_path / "run1"], patterns=False)
    assert compare(first.evaluations["test"], again.evaluations["test"]) == straight


def test_rows_keep_runs_apart_that_differ_in_more_than_their_seed(runs: Path) -> None:
    found, left_out = read_runs(sorted(runs.iterdir()), patterns=True)
    rows = {row.label: [run.name.rpartition("/")[2] for run in row.runs] for row in make_rows(found)}
    assert rows == {
        "SegFormer, bands=all": ["segformer"],
        "U-Net, bands=rgb": ["unet_rgb"],
        "U-Net, bands=all": ["unet_s0", "unet_s1"],
    }
    assert left_out == [str(runs / "notes")]


def test_a_row_states_which_surroundings_were_seen_though_no_other_row_differs(tmp_path: Path) -> None:
    for name, flags in (("a", {}), ("b", {"seed": 1})):
        make_run(tmp_path / name, context=32, context_from="all", **flags)
    found, _ = read_runs([tmp_path / "a", tmp_path / "b"], patterns=False)
    assert [row.label for row in make_rows(found)] == ["U-Net, context=32, context_from=all"]


def test_a_row_states_what_was_known_of_other_ground(tmp_path: Path) -> None:
    adaptation = {"methods": ["statistics", "prior"], "column": "transductive"}
    for name, beside in (
        ("plain", {}),
        ("moved", {"adaptation": adaptation}),
        ("taught", {"images_seen": {"f": ["train", "isolated"]}}),
    ):
        record = make_run(tmp_path / name) / "run.json"
        record.write_text(json.dumps({**json.loads(record.read_text()), **beside}))
    found, _ = read_runs([tmp_path / name for name in ("plain", "moved", "taught")], patterns=False)
    assert [row.label for row in make_rows(found)] == [
        "U-Net",
        "U-Net, adapted by statistics+prior (transductive)",
        "U-Net, encoder taught by images of isolated, train",
    ]
