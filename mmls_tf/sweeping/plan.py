"""Which runs a grid asks for: text goes in, cells with checked configurations come out, and nothing is touched."""

from __future__ import annotations

import dataclasses
import itertools
import re
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from absl import flags

from mmls_tf.config import TrainConfig
from mmls_tf.errors import MmlsError, UsageError

HOW_STARTED = ("run", "overwrite", "resume")  # set by a sweep itself
NOT_OF_THE_RUN = (*HOW_STARTED, "profile")  # where a run lies and how it is watched, which is not what it is
_FIELDS = {field.name: field for field in dataclasses.fields(TrainConfig)}
_LONGEST_NAME = 240  # file systems take 255 bytes, and `.log` comes behind it


@dataclass(frozen=True)
class Cell:
    """One run of a grid.

    Attributes:
      values: what the grid says about it, by flag, in the grid's order.
      config: all of its flags; `config.run` is its folder, named after `values`.
    """

    values: dict[str, Any]
    config: TrainConfig

    @property
    def folder(self) -> Path:
        """The run folder."""
        return Path(self.config.run)

    @property
    def name(self) -> str:
        """Name of the run folder, such as `bands=rgb,seed=0`."""
        return self.folder.name


def parse_grid(text: str) -> dict[str, tuple[Any, ...]]:
    """Returns the values of every flag in a grid such as `bands=rgb,all;seed=0,1,2`.

    An empty word among several is the empty value of flags that have one: `pretrained=,imagenet`.

    Raises:
      UsageError: a flag that training does not have, or that a sweep sets itself; a value that the flag does not
        take; a flag or a value twice; a list without values.
    """
    axes: dict[str, tuple[Any, ...]] = {}
    for part in text.split(";"):
        name, equals, words = (word.strip() for word in part.partition("="))
        if not name or not equals or not words:
            raise UsageError(
                f"--grid={text}: expected FLAG=VALUE,VALUE;FLAG=VALUE..., found {part.strip() or 'nothing'!r}"
            )
        if name in HOW_STARTED:
            raise UsageError(
                f"--grid={text}: expected what is to be trained, found {name!r}, which a sweep sets itself"
            )
        if name not in _FIELDS:
            raise UsageError(
                f"--grid={text}: expected flags of mmls_tf.train ({', '.join(_FIELDS)}), found {name!r}"
            )
        if name in axes:
            raise UsageError(f"--grid={text}: expected every flag once, found {name!r} twice")
        axes[name] = _values(text, name, words)
    return axes


def plan_cells(
    base: TrainConfig, axes: Mapping[str, Sequence[Any]], out: Path, flag: str
) -> tuple[Cell, ...]:
    """Returns a cell for every combination of values, the last flag changing fastest.

    Args:
      base: every flag that `axes` does not set.
      axes: values by flag.
      out: folder under which the runs lie.
      flag: what the user gave and errors are to name, such as `--grid=seed=0,1`.

    Raises:
      UsageError: training refuses a combination, or folders would have the same name or too long a name.
    """
    cells: list[Cell] = []
    for combination in itertools.product(*axes.values()):
        values = dict(zip(axes, combination, strict=True))
        started = {name: _FIELDS[name].default for name in HOW_STARTED if name in _FIELDS}
        run = str(out / _folder_name(values))
        try:
            config = dataclasses.replace(base, **{**started, **values, "run": run})
        except MmlsError as error:
            raise UsageError(f"{flag}: expected values that training takes, found {error}") from error
        cells.append(Cell(values, config))
    _check_names(cells, flag)
    return tuple(cells)


def config_flags(config: TrainConfig) -> list[str]:
    """Returns a configuration as words of a command line, every field as one flag."""
    return [f"--{name}={value_text(value)}" for name, value in dataclasses.asdict(config).items()]


def differences(expected: TrainConfig, found: TrainConfig) -> list[str]:
    """Returns a line for each field in which two runs differ, but for where they lie and how they are watched."""
    return [
        f"--{name}: expected {value_text(getattr(expected, name))!r}, found {value_text(getattr(found, name))!r}"
        for name in _FIELDS
        if name not in NOT_OF_THE_RUN and getattr(expected, name) != getattr(found, name)
    ]


def value_text(value: Any) -> str:
    """Returns a flag's value as it is typed."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _values(text: str, name: str, words: str) -> tuple[Any, ...]:
    values: list[Any] = []
    for word in (word.strip() for word in words.split(",")):
        if not word and _FIELDS[name].default != "":
            raise UsageError(f"--grid={text}: expected a value between the commas of {name!r}, found none")
        try:
            value = _parser(name).parse(word)
        except (TypeError, ValueError) as error:
            reason = " ".join(str(part) for part in error.args)
            raise UsageError(f"--grid={text}: {name}={word}: {reason}") from error
        if value in values:
            raise UsageError(
                f"--grid={text}: expected every value once, found {name}={value_text(value)} twice"
            )
        values.append(value)
    return tuple(values)


def _parser(name: str) -> Any:
    """Returns what reads this flag on the command line too."""
    choices = _FIELDS[name].metadata["choices"]
    if choices:
        return flags.EnumParser(choices)
    parsers = {
        str: flags.ArgumentParser,
        int: flags.IntegerParser,
        float: flags.FloatParser,
        bool: flags.BooleanParser,
    }
    return parsers[typing.get_type_hints(TrainConfig)[name]]()


def _folder_name(values: Mapping[str, Any]) -> str:
    words = (f"{name}={value_text(value)}" for name, value in values.items())
    return ",".join(re.sub(r"[^\w.+=-]", "_", word) for word in words)


def _check_names(cells: Sequence[Cell], flag: str) -> None:
    by_name: dict[str, Cell] = {}
    for cell in cells:
        other = by_name.setdefault(cell.name.casefold(), cell)  # some file systems do not tell cases apart
        if other is not cell:
            raise UsageError(
                f"{flag}: expected values with run folders of their own, found {other.values} and {cell.values}, "
                f"both {cell.name}; sweep them one after the other with an --out each"
            )
        if len(cell.name.encode()) > _LONGEST_NAME:
            raise UsageError(
                f"{flag}: expected run folders with names of up to {_LONGEST_NAME} bytes, found {cell.name}; sweep "
                "fewer flags, or shorter paths"
            )
