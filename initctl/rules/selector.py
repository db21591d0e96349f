"""Which tensors a rule takes, by a glob or a regular expression, and which of their rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import accumulate

from initctl.errors import Excerpt, Problem, RuleError, shown
from initctl.rules.expressions import Expression, parse_expression
from initctl.rules.glob import Glob
from initctl.rules.regex import PREFIX, Regex


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows (dim 0) `start` ≤ i < `stop`, as in Python: negative ones count from the end, absent ones are the ends."""

    text: str
    start: Expression | None
    stop: Expression | None

    @property
    def bounds(self) -> tuple[Expression, ...]:
        """Those that are there."""
        return tuple(bound for bound in (self.start, self.stop) if bound)

    def inside(self, text: str, offset: int) -> Rows:
        """The same rows in `text`, in which their selector begins at `offset`."""
        start, stop = (bound and bound.inside(text, bound.offset + offset) for bound in (self.start, self.stop))
        return Rows(self.text, start, stop)


@dataclass(frozen=True, slots=True)
class Selector:
    """Tensors whose names match, or some rows of them."""

    names: Glob | Regex
    rows: Rows | None = None

    def inside(self, text: str, offset: int) -> Selector:
        """The same selector as a part of `text`, from `offset` on."""
        return replace(self, rows=self.rows and self.rows.inside(text, offset))


def parse_selector(text: str) -> Selector:
    """The selector that `text` writes. A trailing bracket that holds a colon takes rows. Raises `RuleError`."""
    opened = _slice(text)
    pattern = text if opened is None else text[:opened]
    names = Regex(pattern) if text.startswith(PREFIX) else Glob(pattern)
    return Selector(names, None if opened is None else _rows(text, opened))


def _slice(text: str) -> int | None:
    """Where the bracket of a slice opens, if `text` ends with one."""
    if not text.endswith("]") or _is_quoted(text, len(text) - 1):
        return None
    depth = 0
    for at in reversed(range(len(text))):
        depth += (text[at] == "]") - (text[at] == "[")
        if depth == 0:
            colons = len(_colons(text, at + 1, len(text) - 1))
            is_slice = colons == 1 if text.startswith(PREFIX) else colons > 0  # expressions have brackets with colons
            return at if is_slice and not _is_quoted(text, at) else None
    return None


def _is_quoted(text: str, at: int) -> bool:
    before = text[:at]
    return (len(before) - len(before.rstrip("\\"))) % 2 == 1


def _colons(text: str, start: int, stop: int) -> list[int]:
    """Where colons stand, but for quoted ones and those in brackets of their own."""
    depths = accumulate((text[at] == "[") - (text[at] == "]") for at in range(start, stop))
    places = zip(range(start, stop), depths, strict=True)
    return [at for at, depth in places if text[at] == ":" and depth == 0 and text[at - 1] != "\\"]


def _rows(text: str, opened: int) -> Rows:
    first, *others = _colons(text, opened + 1, len(text) - 1)
    if others:
        excerpt = Excerpt(text, opened, len(text))
        message = f"{shown(text[opened:])}: a slice of rows has no step"
        raise RuleError(Problem("rule.rows", message, "write [START:STOP]", excerpt))
    start, stop = _bound(text, opened + 1, first), _bound(text, first + 1, len(text) - 1)
    return Rows(text[opened:], start, stop)


def _bound(text: str, start: int, stop: int) -> Expression | None:
    part = text[start:stop]
    if not part.strip():
        return None
    try:
        return parse_expression(part).inside(text, start)
    except RuleError as error:
        raise error.inside(text, start) from None
