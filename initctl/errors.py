"""Errors and warnings: their classes, problems and exit statuses.

    InitctlError
    ├── UsageError        2  a flag or an argument
    │   └── RuleError     2  the text of a rule, an unknown initializer, a parameter out of range
    ├── InputError        3  the checkpoint: missing, malformed, unsafe, unsupported
    ├── FitError          4  the rules do not fit this checkpoint
    ├── StorageError      5  the environment failed; existing files are unchanged
    ├── ConflictError     6  another program holds or changed the files
    └── UncertainError    7  written, but durability, cleanup or a file beside it is uncertain

An error has one or more problems. A problem has a stable code, a message that begins with the place (a file, a tensor,
a rule), and maybe a hint on what to do. Warnings are problems too: they are collected in a plan instead of being
raised, and issued as `InitctlWarning`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple, Self

from initctl.escaping import as_line, escape, shown
from initctl.excerpt import Excerpt, Place

__all__ = [
    "NO_MEMORY",
    "ConflictError",
    "Excerpt",
    "FitError",
    "InitctlError",
    "InitctlWarning",
    "InputError",
    "Place",
    "Problem",
    "RuleError",
    "StorageError",
    "UncertainError",
    "UsageError",
    "escape",
    "listed",
    "shown",
]
"""Everything that a message needs, including the escaping of foreign text."""


class Problem(NamedTuple):
    """One fault or warning: a stable code, a message that names the place, and a hint on what to do.

    `excerpt` shows the place in a text, if the fault is in one. `place` is the file, line and column at the beginning
    of the message, if it has them.
    """

    code: str
    message: str
    hint: str | None = None
    excerpt: Excerpt | None = None
    place: Place | None = None

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message

    def in_python(self) -> str:
        """The same as a line, with arguments of Python in place of the command line's options."""
        from initctl.arguments import in_python

        return as_line(in_python(str(self)))


class InitctlWarning(UserWarning):
    """What the functions of this package warn of: a warning of the command line, in Python's words."""


class InitctlError(Exception):
    """Base class of all errors that this package raises on purpose."""

    exit_status: ClassVar[int]

    def __init__(self, *problems: Problem) -> None:
        super().__init__(*problems)
        self.problems = problems

    def __str__(self) -> str:
        """A line for each problem, with arguments of Python in place of the command line's options."""
        return "\n".join(problem.in_python() for problem in self.problems)

    def prefixed(self, place: str) -> Self:
        """The error with `place` before each message."""
        return type(self)(*(p._replace(message=place + p.message) for p in self.problems))

    def extended(self, fact: str, hint: str | None = None) -> Self:
        """The error with a further `fact` behind its last message, and with another `hint` there, if it is given."""
        *others, last = self.problems
        return type(self)(*others, last._replace(message=f"{last.message}; {fact}", hint=hint or last.hint))


class UsageError(InitctlError):
    """A flag or an argument cannot be used as given."""

    exit_status = 2


class RuleError(UsageError):
    """The text of a rule is wrong for every checkpoint."""


class InputError(InitctlError):
    """The checkpoint is refused."""

    exit_status = 3


class FitError(InitctlError):
    """The rules do not fit this checkpoint."""

    exit_status = 4


class StorageError(InitctlError):
    """The environment failed; every existing file is unchanged."""

    exit_status = 5


class ConflictError(InitctlError):
    """Another process or an existing file is in the way."""

    exit_status = 6


NO_MEMORY = StorageError(Problem("storage.memory", "there is not enough memory", "use fewer --threads"))
"""The report of a `MemoryError`."""


class UncertainError(InitctlError):
    """The result is in place but may not last, something was left behind, or a file beside it could not be written; or
    a patch is unfinished.
    """

    exit_status = 7


def listed(texts: Sequence[str], *, at_most: int = 3) -> str:
    """`a, b, c and 4 more`; the texts are not escaped here."""
    more = f" and {len(texts) - at_most} more" if len(texts) > at_most else ""
    return ", ".join(texts[:at_most]) + more
