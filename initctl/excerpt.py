"""A part of a text, and how a fault in it is shown: the text around it, and carets below."""

from __future__ import annotations

from typing import NamedTuple

from initctl.escaping import columns, forms

_AROUND = 40
"""Characters before a fault that an excerpt shows; of the fault and what follows it, twice as many."""


class Excerpt(NamedTuple):
    """The characters of `text` from `start` to `stop`: what a parser reads, or where a fault is."""

    text: str
    start: int
    stop: int

    @classmethod
    def of(cls, text: str | Excerpt) -> Excerpt:
        """All of `text`, which may be an excerpt already."""
        return text if isinstance(text, Excerpt) else cls(text, 0, len(text))

    def __str__(self) -> str:
        """Its characters."""
        return self.text[self.start : self.stop]

    def part(self, start: int, stop: int) -> Excerpt:
        """Its own characters from `start` to `stop`."""
        return Excerpt(self.text, self.start + start, self.start + stop)

    def stripped(self) -> Excerpt:
        """The same without the blanks around it."""
        chars = str(self)
        start = len(chars) - len(chars.lstrip())
        return self.part(start, start + len(chars.strip()))

    def up_to(self, other: Excerpt) -> Excerpt:
        """From its start to the end of another of the same text."""
        return Excerpt(self.text, self.start, other.stop)

    def lines(self) -> tuple[str, str]:
        """The text around the fault, and carets under it.

        It is escaped as a whole, and what each character is shown as is counted: carets are where the fault is seen.
        """
        first = max(0, min(self.start, len(self.text) - 1) - _AROUND)
        last = min(len(self.text), self.start + 2 * _AROUND)
        lead, tail = "…" if first else "", "…" if last < len(self.text) else ""
        around = forms(self.text[first:last], begins_line=not lead)
        before = lead + "".join(around[: self.start - first])
        fault = "".join(around[self.start - first : self.stop - first])
        return f"{lead}{''.join(around)}{tail}", " " * columns(before) + "^" * max(1, columns(fault))
