"""A part of a text, and its place in a file. A fault is shown as the text around it, with carets below."""

from __future__ import annotations

from typing import NamedTuple

from initctl.escaping import columns, forms, shown

_AROUND = 40
"""The characters before a fault that an excerpt shows; from the fault on, it shows twice this many."""


class Place(NamedTuple):
    """A character of a text file: its line and its column, both counted from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        """In the form that compilers print and editors understand."""
        return f"{shown(self.file)}:{self.line}:{self.column}"


class Excerpt(NamedTuple):
    """The characters of `text` from `start` to `stop`: a parser's input, or the place of a fault.

    `file` is the file with exactly this `text`, if there is one.
    """

    text: str
    start: int
    stop: int
    file: str | None = None

    @classmethod
    def of(cls, text: str | Excerpt) -> Excerpt:
        """The whole `text`; an excerpt stays the same."""
        return text if isinstance(text, Excerpt) else cls(text, 0, len(text))

    def __str__(self) -> str:
        """Its characters."""
        return self.text[self.start : self.stop]

    def part(self, start: int, stop: int) -> Excerpt:
        """Its characters from `start` to `stop`."""
        return self._replace(start=self.start + start, stop=self.start + stop)

    def stripped(self) -> Excerpt:
        """It without surrounding blanks."""
        chars = str(self)
        start = len(chars) - len(chars.lstrip())
        return self.part(start, start + len(chars.strip()))

    def up_to(self, other: Excerpt) -> Excerpt:
        """From its start to the end of another of the same text."""
        return self._replace(stop=other.stop)

    @property
    def place(self) -> Place | None:
        """Where it begins in its file, if it is in one."""
        if self.file is None:
            return None
        return Place(self.file, self.text.count("\n", 0, self.start) + 1, self.start - self._line_start + 1)

    @property
    def _line_start(self) -> int:
        return self.text.rfind("\n", 0, self.start) + 1

    def _on_its_line(self) -> Excerpt:
        """The same, in the line of the file at which it begins."""
        begin = self._line_start
        line = self.text[begin:].partition("\n")[0].removesuffix("\r")
        return Excerpt(line, self.start - begin, self.stop - begin)

    def lines(self) -> tuple[str, str]:
        """The text around the fault, and carets under it.

        The carets are below the fault as shown, so the columns of escapes count.
        """
        if self.file is not None:
            return self._on_its_line().lines()
        first = max(0, min(self.start, len(self.text) - 1) - _AROUND)
        last = min(len(self.text), self.start + 2 * _AROUND)
        lead, tail = "…" if first else "", "…" if last < len(self.text) else ""
        around = forms(self.text[first:last], begins_line=not lead)
        before = lead + "".join(around[: self.start - first])
        fault = "".join(around[self.start - first : self.stop - first])
        return f"{lead}{''.join(around)}{tail}", " " * columns(before) + "^" * max(1, columns(fault))
