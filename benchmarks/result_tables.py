"""Tables of runs and of what a changed input costs, from what `mmls_tf.results` and `mmls_tf.robustness` wrote."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from benchmarks.measured_tables import read_result
from mmls_tf.config import TrainConfig
from mmls_tf.errors import UsageError
from mmls_tf.reporting.rows import signed_text
from mmls_tf.sweeping.plan import value_text
from mmls_tf.sweeping.report import markdown
from mmls_tf.sweeping.spread import number_text, spread, spread_text


@dataclass(frozen=True)
class Column:
    """A column of figures.

    Attributes:
      path: where in a run's entry, keys joined by dots; {split} becomes that of the row.
      divisor: what the figure is divided by, as 60 for minutes.
      digits: behind the decimal point.
      alike: the figure is the same in all runs of a row, as a count of parameters, and has no spread.
    """

    title: str
    path: str
    divisor: float = 1.0
    digits: int = 3
    alike: bool = False


@dataclass(frozen=True)
class Table:
    """A table of the page: a row for each group of runs, and for each split if there are any.

    Attributes:
      name: of its markers.
      source: file in docs/results, without .json.
      group: flags of mmls_tf.train (or seed) by whose values runs are grouped, in the order of the file.
      splits: a row for each of them in every group.
      where: values of flags that a run must have to be in the table.
      over: flags in which runs of one row may differ, and do: its figures are means over them.
    """

    name: str
    source: str
    columns: tuple[Column, ...]
    group: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    where: tuple[tuple[str, Any], ...] = ()
    over: tuple[str, ...] = ("seed",)

    def text(self, results: Path) -> str:
        """Returns the table in Markdown; see `table_text`."""
        return table_text(self, _runs(self, results))


@dataclass(frozen=True)
class Changes:
    """A table of what changes of the input cost, from what `mmls_tf.robustness` wrote of one run or more.

    Attributes:
      sources: title and file in docs/results, without .json, of each run.
      rows: names of the changes.
      shown: drop of mIoU, or its value under the change.
    """

    name: str
    sources: tuple[tuple[str, str], ...]
    rows: tuple[str, ...]
    shown: Literal["drop", "value"] = "drop"

    def text(self, results: Path) -> str:
        """Returns the table in Markdown; see `changes_text`."""
        return changes_text(self, results)


_DEFAULTS = {field.name: field.default for field in fields(TrainConfig)}


def table_text(table: Table, runs: Sequence[Mapping[str, Any]]) -> str:
    """Returns a table in Markdown: mean ± sample standard deviation; the figures alone where each group is a seed.

    Raises:
      UsageError: a run has no such figure, or runs of a row are no repetitions of one another.
    """
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for entry in runs:
        groups.setdefault(tuple(value_text(_flag(entry, name)) for name in table.group), []).append(entry)
    single = "seed" in table.group
    split_title = ["split"] if table.splits else []
    count_title = [] if single else ["n"]
    rows = [[*table.group, *split_title, *(column.title for column in table.columns), *count_title]]
    for key, members in groups.items():
        _require_alike(table, members)
        for split in table.splits or ("",):
            cells = [_cell(table, column, members, split, single) for column in table.columns]
            count = [] if single else [str(len(members))]
            rows.append([*key, *([split] if split else []), *cells, *count])
    return markdown(rows)


def changes_text(table: Changes, results: Path) -> str:
    """Returns a table in Markdown: mIoU or its drop by change and run, with its 95 % interval.

    Raises:
      UsageError: a file is missing, or no run was changed so.
    """
    columns = [read_result(results, source, table.name) for _, source in table.sources]
    dropped = table.shown == "drop"
    rows = [["change", *(f"{'drop' if dropped else 'mIoU'}, {title}" for title, _ in table.sources)]]
    clean = "none: mIoU" if dropped else "none"
    rows.append([clean, *(_with_interval(one["clean"], "value", number_text) for one in columns)])
    for name in table.rows:
        found = [next((row for row in one["changes"] if row["name"] == name), None) for one in columns]
        if not any(found):
            raise UsageError(f"table {table.name}: expected a run under the change {name!r}, found none")
        text = signed_text if dropped else number_text
        rows.append([name, *(_with_interval(row, table.shown, text) if row else "-" for row in found)])
    return markdown(rows)


def _with_interval(row: Mapping[str, Any], name: str, text: Callable[[float], str]) -> str:
    low, high = (text(end) for end in row["interval" if name == "value" else f"{name}_interval"])
    return f"{text(row[name])} [{low} to {high}]"


def _runs(table: Table, results: Path) -> list[Mapping[str, Any]]:
    entries = read_result(results, table.source, table.name)["runs"]
    chosen = [entry for entry in entries if all(_flag(entry, name) == value for name, value in table.where)]
    if not chosen:
        raise UsageError(
            f"{results / table.source}.json: expected runs for table {table.name}, found none with {dict(table.where)}"
        )
    return chosen


def _flag(entry: Mapping[str, Any], name: str) -> Any:
    if name not in _DEFAULTS:
        raise UsageError(f"TABLES: expected flags of mmls_tf.train in group, where and over, found {name!r}")
    return entry["seed"] if name == "seed" else entry["config"].get(name, _DEFAULTS[name])


def _require_alike(table: Table, members: Sequence[Mapping[str, Any]]) -> None:
    """Refuses a mean over runs that are not repetitions of one another."""
    seen: list[Any] = []
    for entry in members:
        for what, here, there in (
            ("flags", _settings(table, entry), _settings(table, members[0])),
            ("data", entry["fingerprint"], members[0]["fingerprint"]),
            ("evaluated weights", _weights(entry, members[0]), _weights(members[0], entry)),
        ):
            if here != there:
                raise UsageError(
                    f"{table.source}.json: expected {entry['name']} and {members[0]['name']}, in one row of table "
                    f"{table.name}, to have the same {what}, found {here} and {there}; "
                    "group by them, or choose by where"
                )
        place = [_flag(entry, name) for name in table.over]
        if place in seen:
            raise UsageError(
                f"{table.source}.json: expected runs of table {table.name} to differ in {', '.join(table.over)}, found "
                f"{entry['name']} to repeat {place}"
            )
        seen.append(place)


def _settings(table: Table, entry: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry["config"].items() if name not in table.over}


def _weights(entry: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, str]:
    """Returns whose weights were evaluated, by evaluations that both runs have: what a column lacks is found there."""
    evaluations = entry["evaluations"]
    return {name: evaluations[name]["weights"] for name in evaluations if name in other["evaluations"]}


def _cell(
    table: Table, column: Column, members: Sequence[Mapping[str, Any]], split: str, single: bool
) -> str:
    path = column.path.format(split=split)
    values = [_figure(table, entry, path) / column.divisor for entry in members]
    if column.alike and len(set(values)) > 1:
        raise UsageError(
            f"{table.source}.json: expected one {column.title} in each row of table {table.name}, found {values}"
        )
    if column.alike or (single and len(values) == 1):
        return number_text(values[0], column.digits)
    return spread_text(spread(values), column.digits)


def _figure(table: Table, entry: Mapping[str, Any], path: str) -> float:
    value: Any = entry
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    if not isinstance(value, int | float):
        raise UsageError(
            f"{table.source}.json: expected a number at {path} of run {entry['name']} for table {table.name}, found "
            f"{value!r}"
        )
    return float(value)
