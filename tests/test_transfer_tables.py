"""Tables of what recipes gain on ground that was not seen."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.transfer_tables import gain_rows, ingredient_rows


def unseen(seed: int, data: str, block: float, shifted: float, **config: str) -> dict[str, Any]:
    changed = {"val-isolated": {"changed": {"shift of both": shifted}}}
    settings = {"data": data, "augment": "none", **config}
    return {
        "seed": seed,
        "config": settings,
        "evaluations": {"isolated": {"miou": block}},
        "robustness": changed,
    }


def test_a_gain_is_that_over_the_plain_run_of_the_same_data_and_seed() -> None:
    plain = [unseen(seed, data, 0.7 + 0.1 * seed, 0.6) for seed in (0, 1) for data in ("east", "west")]
    others = [
        unseen(0, "east", 0.75, 0.59, derive="robust"), unseen(0, "west", 0.69, 0.57, derive="robust"),
        unseen(1, "east", 0.84, 0.60, derive="robust"), unseen(1, "west", 0.84, 0.60, derive="robust"),
    ]  # fmt: skip
    # Blocks: (.05 - .01) / 2 = .02 and .04; shifted val: (-.01 - .03) / 2 = -.02 and 0; deviations .02 / sqrt(2).
    cells = ["--derive=robust", "+.030 ± .014", "−.010 ± .014", "+.010 ± .014", "+.000, +.020"]  # noqa: RUF001
    assert gain_rows({"runs": [*plain, *others]})[1:] == [cells]
    with pytest.raises(KeyError, match="west"):
        gain_rows({"runs": [*plain, *others[:-1]]})


def test_ingredients_are_compared_with_the_plain_recipe_split_by_split() -> None:
    def run(data: str, val: float, shifted: dict[str, float], block: float, **flags: Any) -> dict[str, Any]:
        return {
            "config": {"data": data, "augment": "none", **flags}, "seed": 0, "seconds": 90.0, "val": {"ema_miou": val},
            "robustness": {"val-isolated": {"changed": shifted}}, "evaluations": {"isolated": {"miou": block}},
        }  # fmt: skip

    runs = [
        run("east", 0.8, {"shift of both": 0.7}, 0.75),
        run("west", 0.7, {"shift of both": 0.6}, 0.65),
        run("west", 0.74, {"shift of R, G, B": 0.7}, 0.6, bands="rgb"),
        run("east", 0.76, {"shift of R, G, B": 0.72}, 0.8, bands="rgb"),
    ]
    assert ingredient_rows({"runs": runs}) == [
        ["recipe", "val", "val, shift of both", "east", "west", "mean of both, gained", "minutes"],
        ["plain", ".750", ".650", ".750", ".650", "", "1.5"],
        ["--bands=rgb", ".750", ".710", ".800", ".600", "+.030", "1.5"],
    ]
    with pytest.raises(KeyError, match="west"):
        ingredient_rows({"runs": [*runs[:2], runs[3]]})
