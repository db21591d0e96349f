"""The places of keys and values in the text of a TOML document: the TOML parser does not keep them."""

from __future__ import annotations

import re
import tomllib
from functools import lru_cache
from typing import NamedTuple

from initctl.errors import Excerpt, Problem, RuleError, shown
from initctl.rules import Origin

Path = tuple[str | int, ...]
"""The keys and indices that lead to a value."""
Range = tuple[int, int]
"""The characters of a text from the first to before the second."""

_FAULT = re.compile(r"(?P<fault>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)", re.DOTALL)
"""A message of `tomllib`: before Python 3.14 only its text contains the place."""
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
"""Blanks, line ends and comments between two parts: in a valid document, line ends are only at allowed places."""
_KEY = re.compile(r"""[\w-]+|"(?:\\.|[^"\\])*"|'[^']*'""")
_TEXT = re.compile(
    r'''"""(?:\\.|[^\\])*?""""{0,2}|\'\'\'.*?\'\'\'\'{0,2}|"(?:\\.|[^"\\])*"|'[^']*\'''',
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}\r\n#]*[^,\]}\r\n# \t]")
"""A number, a date, true or false."""


class Positions(NamedTuple):
    """The places of the `keys` of values and tables, and of the `values`; the header of a table is its key."""

    keys: dict[Path, Range]
    values: dict[Path, Range]


@lru_cache(maxsize=4)
def positions(text: str) -> Positions:
    """All positions in `text`, which is a valid document; none if it is nested too deeply."""
    try:
        return _Scanner(text).positions()
    except RecursionError:
        return Positions({}, {})


class _Scanner:
    """Walks through a document that is known to be valid, so that every step finds what it expects."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.found = Positions({}, {})
        self.tables: dict[Path, int] = {}
        """The number of the last table in each array of tables."""

    def positions(self) -> Positions:
        table: Path = ()
        self.skip()
        while self.at < len(self.text):
            if self.text[self.at] == "[":
                table = self.header()
            else:
                self.pair(table)
            self.skip()
        return self.found

    def header(self) -> Path:
        """The path of the table whose header is next."""
        is_of_array = self.text.startswith("[[", self.at)
        self.skip("[[" if is_of_array else "[")
        path, last = self.key(())
        if is_of_array:
            self.tables[path] = self.tables.get(path, -1) + 1
            path = (*path, self.tables[path])
            self.found.keys[path] = last
        self.skip("]]" if is_of_array else "]")
        return path

    def pair(self, table: Path) -> None:
        path, _ = self.key(table)
        self.skip("=")
        self.value(path)

    def key(self, table: Path) -> tuple[Path, Range]:
        """The path of the next dotted key, starting from `table`, and the place of its last part.

        A key of an array of tables means the last of these tables.
        """
        path = table
        while True:
            if path in self.tables:
                path = (*path, self.tables[path])
            found = self.take(_KEY)
            path = (*path, _name(self.text[slice(*found)]))
            self.found.keys.setdefault(path, found)
            self.skip()
            if not self.text.startswith(".", self.at):
                return path, found
            self.skip(".")

    def value(self, path: Path) -> None:
        start = self.at
        match self.text[start]:
            case "[":
                self.items(path)
            case "{":
                self.pairs(path)
            case '"' | "'":
                self.take(_TEXT)
            case _:
                self.take(_SCALAR)
        self.found.values[path] = start, self.at

    def items(self, path: Path) -> None:
        self.skip("[")
        number = 0
        while self.text[self.at] != "]":
            self.value((*path, number))
            self.skip()
            if self.text[self.at] == ",":
                self.skip(",")
            number += 1
        self.at += 1

    def pairs(self, path: Path) -> None:
        self.skip("{")
        while self.text[self.at] != "}":
            self.pair(path)
            self.skip()
            if self.text[self.at] == ",":
                self.skip(",")
        self.at += 1

    def take(self, pattern: re.Pattern[str]) -> Range:
        """The range of the next part, which matches `pattern`; go on after it."""
        found = next(pattern.finditer(self.text, self.at))
        self.at = found.end()
        return found.span()

    def skip(self, sign: str = "") -> None:
        """Go on after a `sign` that is next, and after blanks and comments."""
        self.at += len(sign)
        self.take(_BLANK)


def _name(written: str) -> str:
    """The key in the text `written`, with quotes or without."""
    return next(iter(tomllib.loads(f"{written} = 0"))) if written[0] in "\"'" else written


class DocumentText(NamedTuple):
    """The text of a document: that of a preset, or of the file `name`."""

    text: str
    name: str
    is_preset: bool = False

    @property
    def source(self) -> str:
        """Its name in messages."""
        return f"preset {self.name}" if self.is_preset else self.name

    def origin(self, number: int, source: Excerpt) -> Origin:
        """The origin of a rule in table `number`, counted from 0; its pattern is at `source`."""
        return self.origin_of(f"rule {number + 1}", source)

    def origin_of(self, name: str, source: Excerpt) -> Origin:
        """The origin of what messages call `name`, whose pattern is at `source`."""
        recipe, preset = (None, self.name) if self.is_preset else (self.name, None)
        return Origin(name, recipe, preset, source)

    @property
    def positions(self) -> Positions:
        """The places of its keys and values; empty for a preset, which is not the user's file."""
        return Positions({}, {}) if self.is_preset else positions(self.text)

    def key(self, path: Path) -> Excerpt | None:
        """The key or list item at `path`, or else the nearest one around it; None for a preset."""
        keys, values = self.positions
        ends = (path[:stop] for stop in range(len(path), 0, -1))
        found = next((range_ for end in ends if (range_ := keys.get(end) or values.get(end))), None)
        return found and Excerpt(self.text, *found, self.name)

    def value(self, path: Path, text: str) -> Excerpt:
        """The value at `path`, which is `text`: its place in the document, if it is written in the same way there."""
        start, stop = self.positions.values.get(path, (0, 0))
        start = self.text.find(text, start, stop) if text else -1
        return Excerpt.of(text) if start < 0 else Excerpt(self.text, start, start + len(text), self.name)

    def fault(self, reason: str) -> tuple[str, Excerpt | None]:
        """The fault in the TOML parser's message `reason`, without the place, and the place."""
        found = _FAULT.fullmatch(reason)
        if not found:
            return reason, None
        start = len(self.text.rstrip("\n"))
        if found["line"]:
            lines = self.text.split("\n")[: int(found["line"]) - 1]
            start = sum(len(line) + 1 for line in lines) + int(found["column"]) - 1
        return found["fault"], None if self.is_preset else Excerpt(self.text, start, start + 1, self.name)

    def error(self, path: Path, fault: str, hint: str | None = None) -> RuleError:
        """The error about the key at `path`."""
        return RuleError(self.located(Problem("recipe.malformed", fault, hint, self.key(path)), path))

    def located(self, problem: Problem, path: Path = ()) -> Problem:
        """`problem` with a place before its message: its excerpt's, or else that of the key at `path`."""
        place = problem.excerpt and problem.excerpt.place
        if not place and (key := self.key(path)):
            place = key.place
        return problem._replace(message=f"{place or shown(self.source)}: {problem.message}", place=place)
