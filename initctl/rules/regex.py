"""Regular expressions over tensor names, by RE2: in time proportional to the name for every expression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from initctl.errors import Excerpt, Problem, RuleError, shown
from initctl.rules.elements import LONGEST_NUMBER, NO_NUMBERS
from initctl.rules.expressions.terms import RESERVED
from initctl.rules.pattern import LONGEST_PATTERN

PREFIX = "re:"
"""The beginning of a selector that is a regular expression."""


class Regex:
    """A regular expression that must match a whole name; a group `(?P<l>[0-9]+)` is like `{l}` in a glob."""

    has_wildcards = True
    tells_digits_apart = True
    counts_back = False
    anchors: tuple[()] = ()
    """Unknown: it may match any name."""

    def __init__(self, pattern: str | Excerpt) -> None:
        """`pattern` begins with `re:`. Raise `RuleError` if the rest is not a regular expression of RE2."""
        import re2

        source = Excerpt.of(pattern)
        self.pattern = str(source)
        text = self.pattern.removeprefix(PREFIX)
        if len(text) > LONGEST_PATTERN:
            raise _error(source, f"longer than {LONGEST_PATTERN} characters")
        if not text:
            raise _error(source, "empty")
        options = re2.Options()
        options.log_errors = False
        options.dot_nl = True
        try:
            self._regex = re2.compile(text, options)
        except (re2.error, UnicodeEncodeError) as error:
            raise _error(source, f"is not a regular expression of RE2: {shown(_reason(error))}") from None
        self.captures = tuple(self._regex.groupindex)
        if taken := sorted(set(self.captures) & RESERVED - {"layer"}):
            raise _error(source, f"a group cannot be named {taken[0]}, which has a meaning in expressions")

    def matches(self, name: str, highest: Mapping[str, int] = NO_NUMBERS) -> bool:  # noqa: ARG002 - as a glob's
        """Whether it matches the whole `name`."""
        return _is_text(name) and self._regex.fullmatch(name) is not None

    def idle_alternatives(self, names: Sequence[str], highest: Mapping[str, int] = NO_NUMBERS) -> list[str]:  # noqa: ARG002
        """Always empty: alternatives in a regular expression are not checked."""
        return []

    def captured(self, name: str, highest: Mapping[str, int] = NO_NUMBERS) -> dict[str, int]:  # noqa: ARG002
        """The numbers that named groups match in `name`, without groups that match something else."""
        match = self._regex.fullmatch(name)
        groups = match.groupdict() if match else {}
        return {group: int(text) for group, text in groups.items() if text and _is_number(text)}


def _is_text(name: str) -> bool:
    return name.isascii() or not any("\ud800" <= char <= "\udfff" for char in name)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= LONGEST_NUMBER


def _reason(error: Exception) -> str:
    reason = error.args[0] if error.args else error
    return reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)


def _error(source: Excerpt, fault: str) -> RuleError:
    pattern = str(source)
    place = source.part(len(PREFIX), len(pattern))
    return RuleError(Problem("rule.regex", f"pattern {shown(pattern)}: {fault}", None, place))
