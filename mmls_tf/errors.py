"""The exceptions of both packages: one base class, messages that say what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class MmlsError(Exception):
    """Something that the user can put right. Commands print its message and exit with `exit_code`."""

    exit_code = 2


class UsageError(MmlsError):
    """A flag, a path or a combination of them cannot be used."""


@dataclass(frozen=True)
class Issue:
    """One thing wrong with one input file: what was expected of it and what was found."""

    path: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.path}: expected {self.expected}, found {self.found}"


class InputError(MmlsError):
    """One or more input files cannot be used; the message lists every one of them."""

    def __init__(self, issues: Sequence[Issue], advice: str = "") -> None:
        self.issues = tuple(issues)
        files = len({issue.path for issue in self.issues})
        lines = [f"{files} {'file' if files == 1 else 'files'} cannot be used:"]
        lines += [f"  {issue}" for issue in self.issues]
        if advice:
            lines.append(advice)
        super().__init__("\n".join(lines))


class DatasetError(MmlsError):
    """A built data set is missing, damaged, or not the one that its manifest describes."""


class RunFolderError(MmlsError):
    """A run folder is missing, incomplete, or in the way of a new run."""


class CompilationError(MmlsError):
    """XLA was asked for and cannot be had: never trained without it in silence."""
