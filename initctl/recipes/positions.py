"""Where in the text of a TOML document its keys and values are: the parser of TOML keeps no positions."""

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
"""The characters of a text from the first up to the second."""

_FAULT = re.compile(r"(?P<fault>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)", re.DOTALL)
"""What `tomllib` says of a fault: before Python 3.14 its place is in the text alone."""
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
"""What may be between any two parts: in a valid document, lines end only where they may."""
_KEY = re.compile(r"""[\w-]+|"(?:\\.|[^"\\])*"|'[^']*'""")
_TEXT = re.compile(
    r'''"""(?:\\.|[^\\])*?""""{0,2}|\'\'\'.*?\'\'\'\'{0,2}|"(?:\\.|[^"\\])*"|'[^']*\'''',
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}\r\n#]*[^,\]}\r\n# \t]")
"""A number, a date, true or false."""


class Positions(NamedTuple):
    """Where the `keys` that lead to values and tables are, and the `values`; the header of a table is its key."""

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
    """Walks through a document that was parsed already: it is valid, so what a step looks for is there."""

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
        """Where the dotted key which is next leads to from `table`, and where the last part of it is.

        A key that leads to an array of tables leads on to the last of these.
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
        """The range of what is next, which is known to match `pattern`; go on behind it."""
        found = next(pattern.finditer(self.text, self.at))
        self.at = found.end()
        return found.span()

    def skip(self, sign: str = "") -> None:
        """Go on behind a `sign` that is next, and behind blanks and comments."""
        self.at += len(sign)
        self.take(_BLANK)


def _name(written: str) -> str:
    """The key that is `written`, in quotes or without."""
    return next(iter(tomllib.loads(f"{written} = 0"))) if written[0] in "\"'" else written


class DocumentText(NamedTuple):
    """The text of a document: that of a preset, or of the file `name`."""

    text: str
    name: str
    is_preset: bool = False

    @property
    def source(self) -> str:
        """What messages call it."""
        return f"preset {self.name}" if self.is_preset else self.name

    def origin(self, number: int, source: Excerpt) -> Origin:
        """That of a rule in a table, which is counted from 0; its pattern is at `source`."""
        recipe, preset = (None, self.name) if self.is_preset else (self.name, None)
        return Origin(f"rule {number + 1}", recipe, preset, source)

    @property
    def positions(self) -> Positions:
        """Where its keys and values are; of a preset, none: it is no file of the user's."""
        return Positions({}, {}) if self.is_preset else positions(self.text)

    def key(self, path: Path) -> Excerpt | None:
        """The key at `path`, or the item of a list; or else that of what holds it. Of a preset, none."""
        keys, values = self.positions
        ends = (path[:stop] for stop in range(len(path), 0, -1))
        found = next((range_ for end in ends if (range_ := keys.get(end) or values.get(end))), None)
        return found and Excerpt(self.text, *found, self.name)

    def value(self, path: Path, text: str) -> Excerpt:
        """The value at `path`, which is `text`: in the document, if it has the same characters there."""
        start, stop = self.positions.values.get(path, (0, 0))
        start = self.text.find(text, start, stop) if text else -1
        return Excerpt.of(text) if start < 0 else Excerpt(self.text, start, start + len(text), self.name)

    def fault(self, reason: str) -> tuple[str, Excerpt | None]:
        """What the parser of TOML says is wrong with it, without the place, and the place."""
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
        """`problem` with its place before its message: that of its excerpt, or else of the key at `path`."""
        place = problem.excerpt and problem.excerpt.place
        if not place and (key := self.key(path)):
            place = key.place
        return problem._replace(message=f"{place or shown(self.source)}: {problem.message}", place=place)
