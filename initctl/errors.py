"""What can go wrong, and how it is told.

    InitctlError
    ├── UsageError        2  a flag or an argument
    │   └── RuleError     2  the text of a rule, an unknown initializer, a parameter out of its range
    ├── InputError        3  the checkpoint: missing, malformed, unsafe, unsupported
    ├── FitError          4  the rules do not fit this checkpoint
    ├── StorageError      5  the environment failed; what was there is as it was
    ├── ConflictError     6  something else holds or changed the files
    └── UncertainError    7  written, but durability or cleanup is uncertain

An error carries one or more problems. A problem has a code that stays from version to version, a message
that begins with the place (a file, a tensor, a rule), and, where there is one, a hint on what to do.
Warnings are problems too: they are collected in a plan instead of being raised.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

SHOWN_LENGTH = 256
"""Characters of a foreign string that a message shows at most."""

_CI_COMMAND_PREFIXES = {"::": ":\\x3a", "##": "#\\x23"}
"""What GitHub Actions, Azure Pipelines and TeamCity read as commands in a log, and how it is shown here."""


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The characters of `text` from `start` to `stop`, where a fault is."""

    text: str
    start: int
    stop: int

    def moved(self, text: str, offset: int) -> Excerpt:
        """The same characters of the `text` that this one stands in, from `offset` on."""
        return Excerpt(text, self.start + offset, self.stop + offset)

    def lines(self) -> tuple[str, str]:
        """What stands around the fault, and carets under it."""
        first = max(0, min(self.start, len(self.text) - 1) - _AROUND)
        last = min(len(self.text), self.start + 2 * _AROUND)
        before, fault = escape(self.text[first : self.start]), escape(self.text[self.start : min(self.stop, last)])
        after = escape(self.text[max(self.start, self.stop) : last])
        lead = "…" if first else ""
        shown_text = f"{lead}{before}{fault}{after}{'…' if last < len(self.text) else ''}"
        return shown_text, " " * len(lead + before) + "^" * max(1, len(fault))


_AROUND = 40
"""Characters before a fault that an excerpt shows; of the fault and what follows it, twice as many."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault or warning: a stable code, a message that names the place, and what to do about it.

    `excerpt` shows where in a text the fault is, where it has one.
    """

    code: str
    message: str
    hint: str | None = None
    excerpt: Excerpt | None = None

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class InitctlError(Exception):
    """Base of everything this package raises on purpose."""

    exit_status: ClassVar[int]

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems

    def prefixed(self, place: str) -> Self:
        """The same error with `place` before each message."""
        return type(self)(*(replace(p, message=place + p.message) for p in self.problems))

    def inside(self, text: str, offset: int) -> Self:
        """The same error about a part of `text`, which begins at `offset` of it."""
        return type(self)(*(replace(p, excerpt=p.excerpt and p.excerpt.moved(text, offset)) for p in self.problems))

    def at(self, excerpt: Excerpt | None) -> Self:
        """The same error, which is where `excerpt` says unless it knows better."""
        return type(self)(*(replace(p, excerpt=p.excerpt or excerpt) for p in self.problems))


class UsageError(InitctlError):
    """A flag or an argument cannot be used as given."""

    exit_status = 2


class RuleError(UsageError):
    """The text of a rule cannot be understood, whatever the checkpoint."""


class InputError(InitctlError):
    """The checkpoint is refused."""

    exit_status = 3


class FitError(InitctlError):
    """The rules do not fit this checkpoint."""

    exit_status = 4


class StorageError(InitctlError):
    """The environment failed; every file that was there is as it was."""

    exit_status = 5


class ConflictError(InitctlError):
    """Another process or an existing file stands in the way."""

    exit_status = 6


class UncertainError(InitctlError):
    """The result is in place but may not last, or something was left behind; or a patch is not finished."""

    exit_status = 7


def escape(text: str) -> str:
    r"""`text` with every character that could move a cursor, break a line or hide itself written as an escape.

    Control, format, surrogate, private and unassigned characters, and all spaces but the plain one, become `\xNN`
    or `\u{…}`; prefixes that continuous-integration systems read as commands are broken up.
    """
    text = "".join(char if char.isprintable() else _code_point(char) for char in text)
    for prefix, shown_prefix in _CI_COMMAND_PREFIXES.items():
        text = text.replace(prefix, shown_prefix)
    return text


def shown(text: object) -> str:
    """A foreign string (a tensor name, a path, a rule) as messages and tables show it.

    Backslashes are doubled, so that the escapes of `escape` can be told from the string's own characters;
    what is empty or could be overlooked is quoted; what is long is cut.
    """
    safe = escape(str(text)[: SHOWN_LENGTH + 1].replace("\\", "\\\\"))
    safe = safe if len(safe) <= SHOWN_LENGTH else safe[:SHOWN_LENGTH] + "…"
    return safe if safe and safe == safe.strip() and not safe.startswith("-") else f"'{safe}'"


def _code_point(char: str) -> str:
    number = ord(char)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{{{number:x}}}"


def listed(texts: Sequence[str], *, at_most: int = 3) -> str:
    """`a, b, c and 4 more`; the texts are shown as they are."""
    more = f" and {len(texts) - at_most} more" if len(texts) > at_most else ""
    return ", ".join(texts[:at_most]) + more
