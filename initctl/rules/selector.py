"""Which tensors a rule selects, by a glob or a regular expression, and which of their rows."""

from __future__ import annotations

from itertools import accumulate
from typing import NamedTuple

from initctl.errors import Excerpt, Problem, RuleError, shown
from initctl.rules.call import between_commas
from initctl.rules.expressions.expression import Expression, parse_expression
from initctl.rules.glob import Glob
from initctl.rules.regex import PREFIX, Regex


class Rows(NamedTuple):
    """Rows (dim 0) `start` ≤ i < `stop`, as in Python: negative bounds count from the end, and both are optional."""

    text: str
    start: Expression | None
    stop: Expression | None

    @property
    def bounds(self) -> tuple[Expression, ...]:
        """The bounds that are given."""
        return tuple(bound for bound in (self.start, self.stop) if bound)


class Selector(NamedTuple):
    """Tensors whose names match, or some rows of them."""

    names: Glob | Regex
    rows: Rows | None = None


def parse_selector(text: str | Excerpt) -> Selector:
    """The selector in `text`. A trailing bracket with a colon selects rows. Raises `RuleError`."""
    source = Excerpt.of(text)
    written = str(source)
    opened = _slice(written)
    pattern = source if opened is None else source.part(0, opened)
    names = Regex(pattern) if written.startswith(PREFIX) else Glob(pattern)
    return Selector(names, None if opened is None else _rows(source, opened))


def _slice(text: str) -> int | None:
    """Where the bracket of a slice opens, if `text` ends with one."""
    if not text.endswith("]") or _is_quoted(text, len(text) - 1):
        return None
    depth = 0
    for at in reversed(range(len(text))):
        depth += (text[at] == "]") - (text[at] == "[")
        if depth == 0:
            colons = len(_colons(text, at + 1, len(text) - 1))
            is_slice = colons == 1 if text.startswith(PREFIX) else colons > 0  # as [[:digit:]] in an expression
            return at if is_slice and not (_is_quoted(text, at) or _is_part(text, at)) else None
    return None


def _is_quoted(text: str, at: int) -> bool:
    before = text[:at]
    return (len(before) - len(before.rstrip("\\"))) % 2 == 1


def _is_part(text: str, at: int) -> bool:
    """Whether the bracket at `at` of a glob is a part between dots, as in `layers.[-2:]`: no name ends with a dot."""
    return text[at - 1 : at] == "." and not _is_quoted(text, at - 1) and not text.startswith(PREFIX)


def _colons(text: str, start: int, stop: int) -> list[int]:
    """The places of colons that are not quoted and not inside inner brackets."""
    depths = accumulate((text[at] == "[") - (text[at] == "]") for at in range(start, stop))
    places = zip(range(start, stop), depths, strict=True)
    return [at for at, depth in places if text[at] == ":" and depth == 0 and text[at - 1] != "\\"]


def _rows(source: Excerpt, opened: int) -> Rows:
    text = str(source)
    closed = len(text) - 1
    if len(list(between_commas(source.part(opened + 1, closed)))) > 1:
        message = f"{shown(text[opened:])}: a rule can select rows, but not columns"
        hint = "write [START:STOP], such as [5:6] for row 5"
        raise RuleError(Problem("rule.rows", message, hint, source.part(opened, len(text))))
    first, *others = _colons(text, opened + 1, closed)
    if others:
        message = f"{shown(text[opened:])}: a slice of rows cannot have a step"
        raise RuleError(Problem("rule.rows", message, "write [START:STOP]", source.part(opened, len(text))))
    bounds = source.part(opened + 1, first), source.part(first + 1, closed)
    start, stop = (parse_expression(bound) if str(bound).strip() else None for bound in bounds)
    return Rows(text[opened:], start, stop)
