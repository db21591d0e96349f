"""One result that several processes write: what all of them must agree on, and the notes that they leave each other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn, Protocol

from initctl.display.tables import count
from initctl.distributed.note import Note
from initctl.distributed.receipt import Receipt, name_of
from initctl.errors import ConflictError, Problem, listed, shown

if TYPE_CHECKING:
    from initctl.distributed.split import Share
    from initctl.execution.content import Draft
    from initctl.execution.destination import Destination
    from initctl.execution.writer import Writer

NOTE = "parts.json"
"""The note of the first part, which the others must match."""


class Notes(Protocol):
    """Notes that processes leave each other, by name."""

    path: str

    @property
    def shown(self) -> str:
        """What a user must remove to begin again."""

    def others(self) -> list[str]:
        """Where processes leave notes of other results in the same place, or of this one by other rules."""

    def note(self, name: str) -> bytes | None:
        """The content of the note `name`, if it is there."""

    def leave(self, name: str, content: bytes) -> None:
        """Write the note `name` in one step."""

    def leave_first(self, name: str, content: bytes) -> bytes:
        """Write the note `name` unless it is there. Returns what it says then: of several processes, one is first."""


@dataclass(frozen=True)
class Job(ABC):
    """A result: `writer` writes its `draft`, in parts, with `notes`; then it takes its `place`.

    `digest` is the same in all processes that may write parts of it.
    """

    writer: Writer
    draft: Draft
    place: Destination
    digest: str
    notes: Notes

    @abstractmethod
    def shares(self, parts: int) -> list[Share]:
        """What each of `parts` writes."""

    @abstractmethod
    def prepare(self, parts: int) -> None:
        """What one of several ranks does before all of them write."""

    @abstractmethod
    def write(self, number: int, parts: int) -> Receipt:
        """Write part `number` of `parts`, unless that is done. Raises `ConflictError` if this is not the result that
        the first part belongs to, and what writing raises.
        """

    @abstractmethod
    def commit(self) -> list[Receipt]:
        """Let the result take its place if all parts are done.

        Raises `ConflictError` if a part is missing, and what a commit raises. If a commit that was killed let it take
        its place, only what that one left is removed.
        """

    @abstractmethod
    def settle(self) -> None:
        """Remove what an earlier commit left if it was killed after its last step."""

    @property
    @abstractmethod
    def is_in_place(self) -> bool:
        """Whether a commit that was killed let the result take the target's place."""

    @abstractmethod
    def sections(self, share: Share) -> Iterator[tuple[str, int, int]]:
        """The ranges that the receipt of a share lists."""

    def receipts(self, parts: int) -> list[Receipt | None]:
        """The receipt of each part that is done."""
        return [self.receipt(number, parts, share) for number, share in enumerate(self.shares(parts), 1)]

    def receipt(self, number: int, parts: int, share: Share) -> Receipt | None:
        """The receipt of a part, if it is there and lists what is in its `share`."""
        content = self.notes.note(name_of(number, parts))
        found = None if content is None else Receipt.read(content)
        if found is None or (found.job, found.number, found.parts) != (self.digest, number, parts):
            return None
        return found if found.sections == list(self.sections(share)) else None

    def noted(self) -> Note | None:
        """What the first part noted. Raises `ConflictError` if that is damaged."""
        content = self.notes.note(NOTE)
        return None if content is None else self.read(content)

    def read(self, content: bytes) -> Note:
        """The note with this `content`. Raises `ConflictError` if it is damaged."""
        return Note.read(content) or self.refuse("is damaged")

    def check(self, own: Note, noted: Note) -> None:
        """Raise `ConflictError` unless `own` matches what the first part `noted`."""
        if noted.parts != own.parts:
            fault = f"{shown(self.place.path)}: is being written in {noted.parts} parts, not {own.parts}"
            hint = f"use that number, or remove {self.notes.shown} to begin again"
            raise ConflictError(Problem("parts.count", fault, hint))
        if difference := noted.difference(own):
            self.refuse(difference)

    def refuse(self, fault: str) -> NoReturn:
        hint = f"remove {self.notes.shown}, and write every part again"
        raise ConflictError(Problem("parts.stale", f"{shown(self.notes.path)}: {fault}", hint))

    def to_commit(self) -> Note:
        """What the first part noted. Raises `ConflictError` if no part was written."""
        if (note := self.noted()) is None:
            fault = f"{shown(self.place.path)}: no part of it was written"
            hint = f"write every part with --part I/N; if it was committed, it is complete{self._elsewhere()}"
            raise ConflictError(Problem("parts.missing", fault, hint))
        return note

    def check_begun(self, noted: Note) -> None:
        """Raise `ConflictError` if the checkpoint changed after the first part `noted` it."""
        self.check(self.own_note(noted.parts), noted)

    def own_note(self, parts: int) -> Note:
        """What this process would note if it wrote the first of `parts`."""
        return Note.of(self.writer.plan, self.draft, parts)

    def all_receipts(self, parts: int) -> list[Receipt]:
        """The receipts of all parts, which cover every byte. Raises `ConflictError` if one is missing."""
        found = self.receipts(parts)
        if missing := [str(number) for number, receipt in enumerate(found, 1) if receipt is None]:
            which = listed(missing, at_most=8)
            fault = f"{shown(self.place.path)}: {len(missing)} of {count(parts, 'part')} not written yet: {which}"
            hint = f"write them with --part I/N, then commit{self._elsewhere()}"
            raise ConflictError(Problem("parts.missing", fault, hint))
        return [receipt for receipt in found if receipt]

    def _elsewhere(self) -> str:
        if not (others := self.notes.others()):
            return ""
        return f"; parts by other rules, or of other results, are in {listed(list(map(shown, others)))}"
