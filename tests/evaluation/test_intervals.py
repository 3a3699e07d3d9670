"""Intervals and paired tests: formulas against plain loops, coverage against simulated populations."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import t as student

from mmls_tf.errors import UsageError
from mmls_tf.evaluation.confusion import Confusion
from mmls_tf.evaluation.intervals import bootstrap, estimates, paired_bootstrap, spatial_blocks
from mmls_tf.evaluation.resampling import METRICS, Table, resample, values_of
from mmls_tf.schema import Place

# Share of landslide, recall and false alarms by tile, as logits: means, deviations and correlations as a U-Net of
# 16 filters had them on the 60 tiles of val.
MEANS = np.array([-1.13, 1.71, -3.36])
SPREAD = np.diag([1.69, 1.68, 1.54]) @ np.linalg.cholesky([[1, 0.49, 0.34], [0.49, 1, 0.2], [0.34, 0.2, 1]])
PIXELS = 128 * 128
ALONE = np.arange(56)
# Blocks of unequal size: as in val, twelve, and as in an isolated region.
LAYOUTS = {
    "17 blocks": np.repeat(np.arange(17), [2] * 8 + [3] * 2 + [4] * 6 + [5]),
    "12 blocks": np.repeat(np.arange(12), [1, 2, 3, 4, 4, 5, 5, 6, 6, 6, 7, 8]),
    "9 blocks": np.repeat(np.arange(9), [2, 4, 7, 8, 10, 11, 12, 13, 15]),
}


def latent(groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns standard normal [tiles, 3]; half of the variance is common to the tiles of a group, if it has several."""
    common = rng.standard_normal((groups.max() + 1, 3))[groups]
    return np.sqrt(0.5) * (common + rng.standard_normal(common.shape))


def counts_of(latents: np.ndarray, better: float = 0.0) -> np.ndarray:
    landslide, recall, alarms = expit(MEANS + [0.0, better, 0.0] + latents @ SPREAD.T).T
    positive = np.rint(PIXELS * landslide)
    hits, false = np.rint(positive * recall), np.rint((PIXELS - positive) * alarms)
    return np.stack([hits, false, positive - hits, PIXELS - positive - false], axis=1).astype(np.int64)


def draw(groups: np.ndarray, seed: int) -> np.ndarray:
    return counts_of(latent(groups, np.random.default_rng([seed, 1])))


def draw_pair(groups: np.ndarray, seed: int, better: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns two runs on the same tiles: what is hard for the one is mostly hard for the other."""
    rng = np.random.default_rng([seed, 2])
    shared, own = latent(groups, rng), [latent(groups, rng), latent(groups, rng)]
    mixed = [np.sqrt(0.8) * shared + np.sqrt(0.2) * mine for mine in own]
    for run in mixed:
        run[:, 0] = shared[:, 0]
    return counts_of(mixed[0], better), counts_of(mixed[1])


@pytest.fixture(scope="module")
def population() -> dict[str, float | None]:
    return estimates(draw(np.arange(1_000_000), 0))


Trial = Callable[[int], dict[str, bool]]


def share(trials: int, trial: Trial) -> dict[str, float]:
    """Returns in which share of trials each metric was right."""
    results = [trial(seed) for seed in range(trials)]
    return {name: float(np.mean([result[name] for result in results])) for name in results[0]}


def coverage(
    drawn: np.ndarray,
    resampled: np.ndarray | None,
    names: tuple[str, ...],
    truth: dict[str, float | None],
    draws: int,
) -> dict[str, float]:
    def trial(seed: int) -> dict[str, bool]:
        found = bootstrap(draw(drawn, seed), resampled, names, draws, seed)
        return {
            name: bool(limits and limits[0] <= truth[name] <= limits[1]) for name, limits in found.items()
        }

    return share(200, trial)


def loop(counts: np.ndarray, groups: np.ndarray, weights: np.ndarray) -> dict[str, float | None]:
    """Evaluates one resample by writing its tiles out one by one."""
    times = weights[groups]
    tiles = [Confusion(*row) for row, n in zip(counts.tolist(), times, strict=True) for _ in range(n)]
    ious = [tile.iou_landslide for tile in tiles if tile.iou_landslide is not None]
    return {
        **sum(tiles, Confusion()).metrics(),
        "tile_iou_mean": float(np.mean(ious)),
        "tile_iou_median": float(np.median(ious)),
    }


def small_world() -> tuple[np.ndarray, np.ndarray]:
    counts = draw(np.arange(9), 3)
    counts[2] = [0, 0, 0, PIXELS]
    return counts, np.array([5, 5, 2, 2, 2, 7, 7, 9, 9])


def test_resamples_are_those_of_tiles_written_out_one_by_one() -> None:
    counts, groups = small_world()
    rows = np.unique(groups, return_inverse=True)[1]
    table = Table.of(counts, groups)
    for weights in np.random.default_rng(0).multinomial(4, [0.25] * 4, size=20):
        expected = loop(counts, rows, weights)
        for name in METRICS:
            assert values_of([table], name, 1.0 * weights[None])[0][0] == pytest.approx(
                expected[name], rel=1e-12
            )


def test_estimates_are_the_pooled_metrics_and_the_mean_and_median_of_tiles() -> None:
    counts, groups = small_world()
    assert estimates(counts) == pytest.approx(loop(counts, groups, np.ones(10, int)), rel=1e-12)


@pytest.mark.parametrize("name", [name for name in METRICS if name != "tile_iou_median"])
def test_standard_errors_are_those_of_the_jackknife_where_groups_are_many(name: str) -> None:
    counts = draw(np.arange(2000), 0)
    table, count = Table.of(counts, None), 2000
    (error,) = values_of([table], name, np.ones((1, count)))[1]
    left_out = values_of([table], name, 1 - np.eye(count))[0]
    jackknife = np.sqrt((count - 1) / count * ((left_out - left_out.mean()) ** 2).sum())
    assert error == pytest.approx(jackknife, rel=0.01)


def test_the_same_seed_gives_the_same_intervals_and_another_seed_others() -> None:
    counts = draw(ALONE, 0)
    assert bootstrap(counts, seed=4) == bootstrap(counts, seed=4)
    assert bootstrap(counts, seed=4) != bootstrap(counts, seed=5)


def test_intervals_hold_their_metric_and_stay_between_0_and_1() -> None:
    counts = draw(ALONE, 0)
    values = estimates(counts)
    for name, (low, high) in bootstrap(counts).items():
        assert 0.0 < low < values[name] < high < 1.0


def test_the_numbers_of_blocks_are_only_names() -> None:
    counts, groups = small_world()
    assert bootstrap(counts, groups) == bootstrap(counts, groups * 100 - 70)


def test_the_median_has_percentiles_moved_out_by_what_student_adds_for_few_groups() -> None:
    counts, groups = draw(LAYOUTS["9 blocks"], 0), LAYOUTS["9 blocks"]
    medians = resample([Table.of(counts, groups)], ["tile_iou_median"], 2000, 0)["tile_iou_median"][0]
    # Student's 2.306 for eight degrees of freedom times sqrt(9 / 8) is 2.446; a normal falls below it in 0.0072.
    low, high = bootstrap(counts, groups)["tile_iou_median"]
    assert np.quantile(medians, 0.004) <= low <= np.quantile(medians, 0.011)
    assert np.quantile(medians, 0.989) <= high <= np.quantile(medians, 0.996)


def test_resampling_in_parts_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table.of(draw(ALONE, 0), None)
    whole = resample([table], METRICS, 300, 0)
    monkeypatch.setattr("mmls_tf.evaluation.resampling._CELLS", 56 * 7)
    for name, parts in resample([table], METRICS, 300, 0).items():
        for part, expected in zip(parts, whole[name], strict=True):
            assert part == pytest.approx(expected, rel=1e-9, nan_ok=True)


def test_what_is_undefined_or_cannot_vary_has_no_interval() -> None:
    counts = draw(ALONE, 0)
    assert set(bootstrap(counts, np.zeros(56, int)).values()) == {None}, "one block"
    assert set(bootstrap(counts[:1]).values()) == {None}, "one tile"
    assert set(bootstrap(counts[:0]).values()) == {None}, "no tile"
    timid = np.stack(
        [0 * counts[:, 0], 0 * counts[:, 1], counts[:, [0, 2]].sum(1), counts[:, [1, 3]].sum(1)], 1
    )
    found = bootstrap(timid)
    undefined_or_0 = ("precision", "recall", "f1", "iou_landslide", "tile_iou_mean", "tile_iou_median")
    assert {found[name] for name in undefined_or_0} == {None}
    assert found["iou_background"] is not None
    assert set(bootstrap(np.tile(counts[:1], (56, 1))).values()) == {None}, "tiles that are all the same"


def test_a_metric_that_few_tiles_decide_is_as_good_as_unknown() -> None:
    counts = np.tile([[0, 0, 100, 900]], (30, 1))
    counts[0] = [60, 40, 40, 860]
    assert bootstrap(counts, names=("precision",))["precision"] is None
    counts[1] = [20, 80, 80, 820]
    assert bootstrap(counts, names=("precision",))["precision"] == (0.0, 1.0)


def test_a_difference_that_few_tiles_decide_can_be_anything() -> None:
    one = np.tile([[0, 0, 100, 900]], (30, 1))
    other = one.copy()
    one[0], other[0] = [60, 40, 40, 860], [20, 80, 80, 820]
    one[1], other[1] = [50, 40, 50, 860], [30, 80, 70, 820]
    found = paired_bootstrap(one, other, names=("precision",))["precision"]
    assert found["difference"] == pytest.approx(110 / 190 - 50 / 210)
    assert found["interval"] == (-1.0, 1.0)
    assert found["p"] > 0.05


def test_the_difference_of_medians_has_the_interval_of_student() -> None:
    groups = LAYOUTS["9 blocks"]
    pair = draw_pair(groups, 0, better=0.5)
    name = "tile_iou_median"
    tables = [Table.of(counts, groups) for counts in pair]
    spread = np.std(resample(tables, [name], 2000, 0)[name][0])
    found = paired_bootstrap(*pair, groups)[name]
    low, high = found["interval"]
    assert (high - low) / 2 == pytest.approx(2.306 * spread, rel=1e-3)
    assert found["p"] == pytest.approx(2 * student.sf(abs(found["difference"]) / spread, 8))


def test_a_resample_without_any_landslide_has_no_median() -> None:
    counts = np.array([[0, 0, 0, 1000]] * 3 + [[40, 30, 20, 910]])
    medians, _ = values_of(
        [Table.of(counts, None)], "tile_iou_median", np.array([[2.0, 1, 1, 0], [1, 1, 1, 1]])
    )
    assert np.isnan(medians[0])
    assert medians[1] == pytest.approx(40 / 90)


def test_few_draws_are_refused() -> None:
    with pytest.raises(UsageError, match="draws=99: expected at least 100"):
        bootstrap(draw(ALONE, 0), draws=99)


def test_coverage_of_95_percent_intervals_over_blocks(population: dict[str, float | None]) -> None:
    names = ("miou", "iou_landslide", "precision", "tile_iou_median")
    blocks = LAYOUTS["12 blocks"]
    found = coverage(blocks, blocks, names, population, draws=300)
    assert all(0.90 <= value <= 0.98 for value in found.values()), found


def test_intervals_over_tiles_are_too_narrow_where_the_tiles_of_a_block_are_alike(
    population: dict[str, float | None],
) -> None:
    found = coverage(LAYOUTS["9 blocks"], None, ("miou", "tile_iou_mean"), population, draws=300)
    assert all(value < 0.85 for value in found.values()), found


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["56 tiles", *LAYOUTS])
def test_coverage_of_every_metric_over_tiles_and_blocks(
    layout: str, population: dict[str, float | None]
) -> None:
    groups = LAYOUTS.get(layout, ALONE)
    found = coverage(groups, groups, METRICS, population, draws=2000)
    assert all(0.90 <= value <= 0.98 for value in found.values()), found


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["56 tiles", *LAYOUTS])
@pytest.mark.parametrize("better", [0.0, 0.5])
def test_paired_intervals_hold_the_true_difference_and_the_test_is_seldom_wrong(
    layout: str, better: float
) -> None:
    groups = LAYOUTS.get(layout, ALONE)
    true_a, true_b = (estimates(counts) for counts in draw_pair(np.arange(1_000_000), 0, better))
    truth = {name: true_a[name] - true_b[name] if better else 0.0 for name in METRICS}

    def trial(seed: int) -> dict[str, bool]:
        found = paired_bootstrap(*draw_pair(groups, seed, better), groups, draws=1000, seed=seed)
        for difference in found.values():
            low, high = difference["interval"]
            assert (difference["p"] <= 0.05) == (not low <= 0.0 <= high)
        return {
            name: difference["interval"][0] <= truth[name] <= difference["interval"][1]
            for name, difference in found.items()
        }

    # A mean over metrics says more than the luckiest or unluckiest of eight.
    found = share(200, trial)
    assert all(value >= 0.90 for value in found.values()), found
    assert np.mean(list(found.values())) <= 0.985, found


def test_a_run_that_is_better_everywhere_is_told_apart_and_a_run_like_it_is_not() -> None:
    better = paired_bootstrap(*draw_pair(ALONE, 0, better=2.0))
    for name in ("recall", "iou_landslide", "miou", "tile_iou_mean", "tile_iou_median"):
        assert better[name]["p"] < 0.01, name
        assert better[name]["interval"][0] > 0.0, name
    assert paired_bootstrap(*draw_pair(ALONE, 0, better=0.0))["miou"]["p"] > 0.05


def test_the_difference_is_that_of_the_estimates_and_turns_with_the_runs() -> None:
    one, other = draw_pair(ALONE, 0, better=0.5)
    there, back = paired_bootstrap(one, other), paired_bootstrap(other, one)
    for name in METRICS:
        difference = estimates(one)[name] - estimates(other)[name]
        assert there[name]["difference"] == pytest.approx(difference, abs=1e-12)
        assert back[name]["difference"] == pytest.approx(-difference, abs=1e-12)
        assert there[name]["p"] == pytest.approx(back[name]["p"], abs=1e-9)
        assert there[name]["interval"] == pytest.approx(
            [-end for end in back[name]["interval"]][::-1], abs=1e-9
        )


def test_what_runs_have_in_common_cancels() -> None:
    one, other = draw_pair(ALONE, 0, better=0.5)
    low, high = paired_bootstrap(one, other)["miou"]["interval"]
    alone = bootstrap(one)["miou"]
    assert high - low < 0.8 * (alone[1] - alone[0])


def test_a_run_does_not_differ_from_itself() -> None:
    counts = draw(ALONE, 0)
    for difference in paired_bootstrap(counts, counts.copy()).values():
        assert difference == {"difference": 0.0, "interval": (0.0, 0.0), "p": 1.0}
    assert set(paired_bootstrap(counts, counts, np.zeros(56, int)).values()) == {None}


def test_a_difference_that_is_the_same_in_every_tile_has_no_interval() -> None:
    one, other = np.tile([[60, 40, 40, 860]], (20, 1)), np.tile([[50, 40, 50, 860]], (20, 1))
    assert set(paired_bootstrap(one, other).values()) == {None}


def test_no_p_value_is_smaller_than_the_draws_can_tell() -> None:
    found = paired_bootstrap(*draw_pair(ALONE, 0, better=6.0), names=("recall",), draws=200)
    assert found["recall"]["p"] == pytest.approx(1 / 201)


def test_runs_on_other_tiles_or_in_another_order_are_refused() -> None:
    counts = draw(ALONE, 0)
    with pytest.raises(UsageError, match="same tiles, found 56 and 55"):
        paired_bootstrap(counts, counts[1:])
    with pytest.raises(UsageError, match="other labels in 2 of 56 tiles, the first at place 3"):
        paired_bootstrap(counts, counts[[0, 1, 2, 4, 3, *range(5, 56)]])


def test_blocks_are_squares_of_the_map_and_tiles_without_a_place_stand_alone() -> None:
    def at(x: float, y: float, frame: str = "map 232") -> Place:
        return Place(frame, x, y, 232.0)

    places = [at(0, 0), at(511, 384), at(512, 0), None, at(-1, 0), at(0, 0, "grid b"), None, at(130, 512)]
    assert spatial_blocks(places, 128).tolist() == [0, 0, 1, 2, 3, 4, 5, 6]
    assert spatial_blocks(places, 128, tiles_a_side=8).tolist() == [0, 0, 0, 1, 2, 3, 4, 0]
    assert spatial_blocks([], 128).tolist() == []
