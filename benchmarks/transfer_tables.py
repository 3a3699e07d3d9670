"""Tables of what recipes gain on ground that was not seen, from files of `mmls_tf.results`: runs in, rows out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from statistics import fmean

from benchmarks.measured_tables import Found, Rows
from mmls_tf.config import TrainConfig
from mmls_tf.reporting.rows import signed_text
from mmls_tf.sweeping.spread import number_text, spread, spread_text

_DEFAULTS = {field.name: field.default for field in fields(TrainConfig)}
_INGREDIENTS = {
    "bands": "all",
    "derive": "none",
    "augment": "none",
    "band_dropout": 0.0,
    "dropped_together": "band",
}  # flags in which recipes differ, and what the plain one has


def gain_rows(found: Found) -> Rows:
    """Rows of docs/results/stage2.json: what recipes gain over the plain one, run by run of the same data and seed.

    Gains are means over the data sets, then over seeds; the deviation is that over seeds.
    """
    recipes: dict[str, dict[tuple[str, int], Found]] = {}
    for entry in found["runs"]:
        recipes.setdefault(_recipe(entry), {})[entry["config"]["data"], entry["seed"]] = entry
    plain = recipes.pop("")
    rows = [["recipe", "blocks", "val, shift of both", "mean of both", "by seed"]]
    for recipe, runs in recipes.items():
        by_seed = [_gain(plain, runs, seed) for seed in sorted({seed for _, seed in plain})]
        both = [fmean(pair) for pair in by_seed]
        spreads = [spread(values) for values in (*zip(*by_seed, strict=True), both)]
        cells = [f"{signed_text(one.mean)} ± {spread_text(one).split()[-1]}" for one in spreads]
        rows.append([recipe, *cells, ", ".join(signed_text(value) for value in both)])
    return rows


def _gain(
    plain: Mapping[tuple[str, int], Found], runs: Mapping[tuple[str, int], Found], seed: int
) -> list[float]:
    """Returns the gain on blocks and on val under the known shift, means over the data sets."""
    pairs = [(_unseen(plain[place]), _unseen(runs[place])) for place in plain if place[1] == seed]
    return [fmean(there[i] - here[i] for here, there in pairs) for i in (0, 1)]


def _recipe(entry: Found) -> str:
    config = {**_DEFAULTS, **entry["config"]}
    return " ".join(
        f"--{flag}={config[flag]}" for flag, plain in _INGREDIENTS.items() if config[flag] != plain
    )


def ingredient_rows(found: Found) -> Rows:
    """Rows of docs/results/ingredients.json: recipes one by one, one seed; all but blocks are means over splits."""
    recipes: dict[str, dict[str, Found]] = {}
    for entry in found["runs"]:
        recipes.setdefault(_recipe(entry), {})[entry["config"]["data"]] = entry
    plain = recipes[""]
    rows = [["recipe", "val", "val, shift of both", *plain, "mean of both, gained", "minutes"]]
    for recipe, runs in recipes.items():
        unseen = [_unseen(runs[data]) for data in plain]
        gained = fmean(fmean(one) for one in unseen) - fmean(fmean(_unseen(one)) for one in plain.values())
        rows.append(
            [
                recipe or "plain",
                number_text(fmean(runs[data]["val"]["ema_miou"] for data in plain)),
                number_text(fmean(shifted for _, shifted in unseen)),
                *(number_text(block) for block, _ in unseen),
                signed_text(gained) if recipe else "",
                number_text(fmean(runs[data]["seconds"] for data in plain) / 60, 1),
            ]
        )
    return rows


def _unseen(entry: Found) -> tuple[float, float]:
    """Returns the mIoU on the block and on val under the known shift: that of brightness for what sees no elevation."""
    changed = entry["robustness"]["val-isolated"]["changed"]
    blind = _DEFAULTS["bands"] != entry["config"].get("bands", "all") and "shift of both" not in changed
    return entry["evaluations"]["isolated"]["miou"], changed["shift of R, G, B" if blind else "shift of both"]
