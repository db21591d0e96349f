"""Which parts of a result are written, and what each part writes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from initctl.display.tables import Displayed, Listing, Report, count, size_text
from initctl.errors import shown
from initctl.escaping import escape

if TYPE_CHECKING:
    from initctl.distributed.receipt import Receipt
    from initctl.distributed.split import Share

_NAMED = 3
"""Ranges of a part that a report names."""


@dataclass(frozen=True, slots=True, repr=False)
class Split(Displayed):
    """What each part of the result at `output` writes: the result of `initctl.Parts.split`."""

    output: str
    shares: tuple[Share, ...]

    def rows(self) -> list[dict[str, Any]]:
        """One dict for each part: its number, its bytes, and the ranges of files that it writes."""
        return [
            {"part": number, "bytes": share.nbytes, "ranges": [piece._asdict() for piece in share.pieces]}
            for number, share in enumerate(self.shares, 1)
        ]

    def to_json(self) -> dict[str, Any]:
        return {"output": self.output, "parts": len(self.shares), "split": self.rows()}

    def report(self, *, unfold: bool = False) -> Report:
        """A row for each part, and totals. Each row names only the first ranges unless `unfold`."""
        rows = [
            [f"{number}/{len(self.shares)}", size_text(share.nbytes), ", ".join(_ranges(share, unfold=unfold))]
            for number, share in enumerate(self.shares, 1)
        ]
        sizes = [share.nbytes for share in self.shares]
        parts = count(len(sizes), "part")
        totals = f"{shown(self.output)}: {size_text(sum(sizes))} in {parts} of at most {size_text(max(sizes))}"
        return [Listing(["part", "size", "writes"], rows, right=["size"]), "", totals]


def _ranges(share: Share, *, unfold: bool) -> Iterator[str]:
    shown_ranges = share.pieces if unfold else share.pieces[:_NAMED]
    yield from (f"{shown(piece.file)} from {piece.start:,} to {piece.stop:,}" for piece in shown_ranges)
    if more := len(share.pieces) - len(shown_ranges):
        yield f"and {more:,} more"


@dataclass(frozen=True, slots=True, repr=False)
class Status(Displayed):
    """Which parts of the result at `output` are written: the result of `initctl.Parts.status`.

    `receipts` has one entry for each part, None if it is missing. It is empty if no part was begun.
    """

    output: str
    receipts: tuple[Receipt | None, ...]

    @property
    def missing(self) -> tuple[int, ...]:
        """The numbers of the parts that are not written yet."""
        return tuple(number for number, receipt in enumerate(self.receipts, 1) if receipt is None)

    @property
    def is_complete(self) -> bool:
        """Whether all parts are written, so that they can be committed."""
        return bool(self.receipts) and not self.missing

    def rows(self) -> list[dict[str, Any]]:
        """One dict for each part that is written."""
        return [receipt.summary() for receipt in self.receipts if receipt]

    def to_json(self) -> dict[str, Any]:
        return {
            "output": self.output,
            "parts": len(self.receipts),
            "written": self.rows(),
            "missing": list(self.missing),
            "complete": self.is_complete,
        }

    def report(self, *, unfold: bool = False) -> Report:  # noqa: ARG002 - each part is worth its row
        """A row for each part, and a total."""
        if not self.receipts:
            return [f"{shown(self.output)}: no part of it was begun"]
        parts = len(self.receipts)
        rows = [_row(number, parts, receipt) for number, receipt in enumerate(self.receipts, 1)]
        table = Listing(["part", "size", "seconds", "host"], rows, right=["size", "seconds"])
        written = f"{parts - len(self.missing)} of {count(parts, 'part')} written"
        rest = "" if self.missing else "; commit them with --commit"
        return [table, "", f"{shown(self.output)}: {written}{rest}"]


def _row(number: int, parts: int, receipt: Receipt | None) -> list[str]:
    part = f"{number}/{parts}"
    if receipt is None:
        return [part, "", "", "missing"]
    return [part, size_text(receipt.nbytes), f"{receipt.seconds:.1f}", escape(receipt.host)]
