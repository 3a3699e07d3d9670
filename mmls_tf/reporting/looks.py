"""How often the isolated split was looked at, by its ledgers: a column of every table that has figures of it."""

from __future__ import annotations

from collections.abc import Iterable

from mmls_tf.reporting.rows import Row

NAME = "isolated"
_HEAD = "isolated ledgers"


def looks(row: Row, name: str = NAME) -> tuple[str, str]:
    """Returns the counts of evaluations on isolated, of every run and of the data set.

    Args:
      name: of an evaluation on isolated; only runs that have it count.

    Returns:
      Of the run, how many its ledger holds now; of the data set, how many there were when the run was evaluated.
    """
    runs = [run for run in row.runs if name in run.evaluations]
    entered = [
        str(found["of_this_data_set"])
        for one in row.evaluations(name)
        if (found := one.figures.get("isolated_evaluations"))
    ]
    return ", ".join(str(run.isolated_evaluations()) for run in runs), ", ".join(entered) or "-"


def look_heads(splits: Iterable[str]) -> tuple[str, ...]:
    """Returns the head of the column, for a table with figures of these splits: none without isolated among them."""
    return (_HEAD,) if NAME in splits else ()


def look_cells(row: Row, split: str, splits: Iterable[str], name: str | None = None) -> tuple[str, ...]:
    """Returns the cell of the column in a line of `split`, of a table with figures of `splits`.

    Args:
      name: of the evaluation, if it is not that of the split as it is.
    """
    if NAME not in splits:
        return ()
    if split != NAME or not row.evaluations(name or split):
        return ("-",)
    run, data = looks(row, name or split)
    return (f"run {run}; data set {data}",)
