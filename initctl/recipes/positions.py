"""Where in the text of a TOML document something is, as far as that is certain: its parser keeps no positions."""

from __future__ import annotations

import re
import tomllib
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple

from initctl.errors import Excerpt, Problem, RuleError, shown
from initctl.rules import Origin

Path = tuple[str | int, ...]
"""The keys and indices that lead to a value."""

_FAULT = re.compile(r"(?P<fault>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)", re.DOTALL)
"""What `tomllib` says of a fault: before Python 3.14 its place is in the text alone."""
_RULE = re.compile(r"""[ \t]*\[\[[ \t]*(rule|"rule"|'rule')[ \t]*\]\]""")
_LONGEST = 50_000
"""Characters of a text in which keys are looked for."""
_MOST_TRIED = 20
"""Places at which a key may be, each of which costs a parse."""


class DocumentText(NamedTuple):
    """The text of a document: that of a preset, or of the file `name`."""

    text: str
    name: str
    is_preset: bool = False

    @property
    def source(self) -> str:
        """What messages call it."""
        return f"preset {self.name}" if self.is_preset else self.name

    def origin(self, number: int) -> Origin:
        """That of the rules of a table, counted from 0."""
        recipe, preset = (None, self.name) if self.is_preset else (self.name, None)
        return Origin(f"rule {number + 1}", recipe, preset, self.rule_line(number))

    def rule_line(self, number: int) -> int | None:
        """The line at which a table of rules begins, if that is certain; of a preset, none."""
        lines = () if self.is_preset else rule_lines(self.text)
        return lines[number] if number < len(lines) else None

    def place(self, path: Path) -> tuple[str, Excerpt | None]:
        """Where the key is that `path` ends with, as a message begins, and an excerpt: as exactly as is certain."""
        if not self.is_preset and (found := key_position(self.text, path)):
            place, excerpt = found
            return f"{shown(self.source)}:{place}", excerpt
        match path:
            case ("rule", int(number), *_) if line := self.rule_line(number):
                return f"{shown(self.source)}:{line}", None
        return shown(self.source), None

    def error(self, path: Path, fault: str, hint: str | None = None) -> RuleError:
        """The error about the key that `path` ends with."""
        place, excerpt = self.place(path)
        return RuleError(Problem("recipe.malformed", f"{place}: {fault}", hint, excerpt))


Position = tuple[str, Excerpt]
"""A line and a column of a text, counted from 1, as in 3:2, and what is there."""


def position(text: str, start: int, stop: int) -> Position:
    """That of the characters from `start` to `stop`, of one line."""
    begin = text.rfind("\n", 0, start) + 1
    line = text[begin:].partition("\n")[0].removesuffix("\r")
    number = text.count("\n", 0, start) + 1
    return f"{number}:{start - begin + 1}", Excerpt(line, start - begin, stop - begin)


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
            table: Any = tomllib.loads(text[: found.start()] + other + text[found.end() :])
            for step in path[:-1]:
                table = table[step]
        except (ValueError, LookupError, TypeError, RecursionError):
            continue
        if isinstance(table, dict) and other in table and key not in table:
            return position(text, *found.span())
    return None


@lru_cache(maxsize=4)
def rule_lines(text: str) -> tuple[int, ...]:
    """The line at which each rule begins; none if texts of several lines leave open which they are."""
    if '"""' in text or "'''" in text:
        return ()
    lines = enumerate(text.split("\n"), start=1)
    return tuple(number for number, line in lines if _RULE.match(line))
