"""The place in a text where a fault is, and how it is shown: the text around it, and carets below."""

from __future__ import annotations

from dataclasses import dataclass

from initctl.escaping import columns, forms

_AROUND = 40
"""Characters before a fault that an excerpt shows; of the fault and what follows it, twice as many."""


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The characters of `text` from `start` to `stop`, where a fault is."""

    text: str
    start: int
    stop: int

    def moved(self, text: str, offset: int) -> Excerpt:
        """The same characters of the `text` that this one is a part of, from `offset` on."""
        return Excerpt(text, self.start + offset, self.stop + offset)

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
