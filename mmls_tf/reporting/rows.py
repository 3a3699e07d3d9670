"""Rows of tables: runs that differ in their seed alone are one, with mean and standard deviation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mmls_tf.errors import UsageError
from mmls_tf.reporting.published import model_title
from mmls_tf.reporting.reading import Evaluation, Run
from mmls_tf.sweeping.collection import changed_flags
from mmls_tf.sweeping.spread import number_text, spread, spread_text

SPLITS = ("test", "isolated", "val")
UNDEFINED = "undefined"
Getter = Callable[[Evaluation], "float | None"]


@dataclass(frozen=True)
class Row:
    """Runs that differ in their seed alone.

    Attributes:
      label: model and what tells it from other rows, unique in a report.
      flags: those that differ from their defaults, without data and seed.
      fingerprint: of the data set that they were trained on.
    """

    label: str
    runs: tuple[Run, ...]
    flags: dict[str, Any]
    fingerprint: str

    @property
    def model(self) -> str:
        """The flag --model."""
        return self.runs[0].files.config.model

    def evaluations(self, name: str) -> list[Evaluation]:
        """Returns the evaluations of that name, such as test, of the runs that have one."""
        return [run.evaluations[name] for run in self.runs if name in run.evaluations]

    def mean(self, split: str, metric: str = "miou") -> float | None:
        """Returns the mean of a metric over the runs scored on a split, None if there are none."""
        values = [value for one in self.evaluations(split) if (value := one.metric(metric)) is not None]
        return spread(values).mean if values else None


def make_rows(runs: Sequence[Run]) -> list[Row]:
    """Puts runs together; rows are in the order of their first runs.

    Raises:
      UsageError: runs of a row have the same seed, or evaluations that are not of the same kind.
    """
    groups: dict[tuple[Any, ...], list[Run]] = {}
    for run in runs:
        known = run.files.known_beside_source
        key = (tuple(sorted(_flags(run).items())), run.files.fingerprint, run.finished, known)
        groups.setdefault(key, []).append(run)
    for members in groups.values():
        _require_one_kind(members)
    flags = [_flags(members[0]) for members in groups.values()]
    labels = _labels(list(groups.values()), flags)
    return [
        Row(label, tuple(members), own, members[0].files.fingerprint)
        for label, members, own in zip(labels, groups.values(), flags, strict=True)
    ]


def splits_of(rows: Sequence[Row]) -> list[str]:
    """Returns the splits that some row was scored on as it is."""
    return [split for split in SPLITS if any(row.evaluations(split) for row in rows)]


def best_row(rows: Sequence[Row]) -> Row:
    """Returns the row of highest mean mIoU on test; if none was scored there on isolated, or else on val."""
    for split in SPLITS:
        scored = [(value, row) for row in rows if (value := row.mean(split)) is not None]
        if scored:
            return max(scored, key=lambda pair: pair[0])[1]
    return rows[0]


def best_first(rows: Sequence[Row]) -> list[Row]:
    """Returns the rows with the best one in front, the others in order of the split that it is the best of."""
    best = best_row(rows)
    split = next((split for split in SPLITS if best.mean(split) is not None), SPLITS[0])

    def rank(row: Row) -> tuple[bool, float]:
        value = row.mean(split)
        return value is None, -(value or 0.0)

    return sorted(rows, key=rank)


def figure_text(evaluations: Sequence[Evaluation], value: Getter, digits: int = 3) -> str:
    """Returns one value as it is, several as mean ± standard deviation."""
    values = [value(one) for one in evaluations]
    known = [one for one in values if one is not None]
    if not known or len(known) < len(values):
        return UNDEFINED
    return number_text(known[0], digits) if len(known) == 1 else spread_text(spread(known), digits)


def metric_text(evaluations: Sequence[Evaluation], metric: str) -> str:
    """Returns a pooled metric: mean ± standard deviation, or of one run the value with its interval over blocks."""
    text = figure_text(evaluations, lambda one: one.metric(metric))
    if len(evaluations) != 1 or text == UNDEFINED:
        return text
    return f"{text} {interval_text(evaluations[0].interval(metric))}"


def interval_text(interval: Sequence[float] | None, signed: bool = False) -> str:
    """Returns `[.664 to .862]`."""
    if interval is None:
        return "[no interval]"
    low, high = (signed_text(value) if signed else number_text(value) for value in interval)
    return f"[{low} to {high}]"


def signed_text(value: float, digits: int = 3) -> str:
    """Returns `+.012` or `-.093`, with a minus sign that screen readers say."""
    text = number_text(abs(value), digits)
    return f"{'−' if value < 0 else '+'}{text}"  # noqa: RUF001  # the minus sign is meant


def counted(count: int, noun: str) -> str:
    """Returns `1 run` or `2 runs`."""
    return f"{count} {noun}{'s' * (count != 1)}"


def short_data(fingerprint: str) -> str:
    """Returns enough of a fingerprint to tell data sets apart."""
    return fingerprint[:8]


def value_text(value: Any) -> str:
    """Returns the value of a flag as it is typed."""
    return str(value).lower() if isinstance(value, bool) else f"{value}"


def _flags(run: Run) -> dict[str, Any]:
    return {name: value for name, value in changed_flags(run.files.config).items() if name != "data"}


def _labels(groups: Sequence[Sequence[Run]], flags: Sequence[dict[str, Any]]) -> list[str]:
    names = sorted({name for own in flags for name in own} - {"model"})
    configs = [members[0].files.config for members in groups]
    differing = [name for name in names if len({getattr(config, name) for config in configs}) > 1]
    labels = []
    for members, config, own in zip(groups, configs, flags, strict=True):
        parts = [model_title(config.model)]
        named = dict.fromkeys([*differing, *config.surroundings])
        parts += [f"{name}={value_text(own.get(name, getattr(config, name)))}" for name in named]
        parts += [known] if (known := members[0].files.known_beside_source) else []
        parts += [] if members[0].finished else ["not finished"]
        labels.append(", ".join(parts))
    return [
        label if labels.count(label) == 1 else f"{label}, data {short_data(members[0].files.fingerprint)}"
        for label, members in zip(labels, groups, strict=True)
    ]


def _require_one_kind(runs: Sequence[Run]) -> None:
    seeds = [run.files.config.seed for run in runs]
    for seed in seeds:
        if seeds.count(seed) > 1:
            names = ", ".join(run.name for run in runs if run.files.config.seed == seed)
            raise UsageError(
                f"--runs: expected runs of the same flags to differ in their seed, found seed {seed} "
                f"in {names}; leave all but one out"
            )
    kinds: dict[str, dict[tuple[Any, ...], str]] = {}
    for run in runs:
        for name, one in run.evaluations.items():
            kind = tuple(str(one.figures[key]) for key in ("weights", "data_fingerprint", "threshold"))
            # A threshold chosen on val is each run's own.
            kind = kind[:2] if name.endswith("threshold-val") else kind
            kinds.setdefault(name, {}).setdefault(kind, run.name)
    for name, found in kinds.items():
        if len(found) > 1:
            listed = "; ".join(f"{' '.join(kind)} in {run}" for kind, run in found.items())
            raise UsageError(
                f"--runs: expected evaluations {name} of runs that differ in their seed alone to have "
                f"the same weights, data and threshold, found {listed}; evaluate again alike, or "
                "leave runs out"
            )
