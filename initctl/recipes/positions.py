"""Where in the text of a TOML document something is, as far as that is certain: its parser keeps no positions."""

from __future__ import annotations

import re
import tomllib
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from initctl.errors import Excerpt, RuleError, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Path = tuple[str | int, ...]
    """The keys and indices that lead to a value."""

Checked = TypeVar("Checked")

_FAULT = re.compile(r"(?P<fault>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)", re.DOTALL)
"""What `tomllib` says of a fault: before Python 3.14 its place is in the text alone."""
_RULE = re.compile(r"""[ \t]*\[\[[ \t]*(rule|"rule"|'rule')[ \t]*\]\]""")
_LONGEST = 50_000
"""Characters of a text in which keys are looked for."""
_MOST_TRIED = 20
"""Places at which a key may be, each of which costs a parse."""


class Located(NamedTuple):
    """A document's text, if it is that of a file, and what messages call it."""

    source: str
    text: str

    def place(self, path: Path) -> tuple[str, Excerpt | None]:
        """Where the key is that `path` ends with, as a message begins, and an excerpt: as exactly as is certain."""
        if found := key_position(self.text, path):
            return f"{shown(self.source)}:{found}", found.excerpt
        match path:
            case ("rule", int(number), *_) if line := self.rule_lines().get(number):
                return f"{shown(self.source)}:{line}", None
        return shown(self.source), None

    def rule_lines(self) -> dict[int, int]:
        """The line at which each rule begins, if that is certain."""
        return dict(enumerate(rule_lines(self.text)))

    def error(self, error: RuleError, path: Path) -> RuleError:
        """`error`, which is about the key that `path` ends with, with its place."""
        place, excerpt = self.place(path)
        return error.prefixed(f"{place}: ").at(excerpt)

    def checked(self, path: Path, check: Callable[[], Checked]) -> Checked:
        """What `check` makes of the value at `path`. Raises its `RuleError` with the place."""
        try:
            return check()
        except RuleError as error:
            raise self.error(error, path) from None


class Position(NamedTuple):
    """A line and a column of a text, counted from 1, and what is there."""

    line: int
    column: int
    excerpt: Excerpt

    def __str__(self) -> str:
        return f"{self.line}:{self.column}"


def position(text: str, start: int, stop: int) -> Position:
    """That of the characters from `start` to `stop`, of one line."""
    begin = text.rfind("\n", 0, start) + 1
    line = text[begin:].partition("\n")[0].removesuffix("\r")
    return Position(text.count("\n", 0, start) + 1, start - begin + 1, Excerpt(line, start - begin, stop - begin))


def fault_position(text: str, fault: str) -> tuple[str, Position | None]:
    """What the parser of TOML says is wrong with `text`, without the place, and the place."""
    found = _FAULT.fullmatch(fault)
    if not found:
        return fault, None
    start = len(text.rstrip("\n"))
    if found["line"]:
        lines = text.split("\n")[: int(found["line"]) - 1]
        start = sum(len(line) + 1 for line in lines) + int(found["column"]) - 1
    return found["fault"], position(text, start, start + 1)


def key_position(text: str, path: Path) -> Position | None:
    """That of the key which `path` ends with, in a document that has it.

    The key is where another name in its place changes just the document's key, and nothing else could.
    """
    if len(text) > _LONGEST:
        return None
    key = str(path[-1])
    other = "k" * (max(map(len, re.findall("k+", text)), default=0) + 1)
    for found in islice(re.finditer(rf"(?<![\w-]){re.escape(key)}(?![\w-])", text), _MOST_TRIED):
        try:
            table = _at(tomllib.loads(text[: found.start()] + other + text[found.end() :]), path[:-1])
        except (ValueError, LookupError, TypeError, RecursionError):
            continue
        if other in table and key not in table:
            return position(text, *found.span())
    return None


def rule_lines(text: str) -> list[int]:
    """The line at which each rule begins; none if texts of several lines leave open which they are."""
    if '"""' in text or "'''" in text:
        return []
    lines = enumerate(text.split("\n"), start=1)
    return [number for number, line in lines if _RULE.match(line)]


def _at(content: Any, path: Path) -> Mapping[str, Any]:  # noqa: ANN401 - whatever the document holds
    for key in path:
        content = content[key]
    if not isinstance(content, dict):
        raise TypeError
    return content
