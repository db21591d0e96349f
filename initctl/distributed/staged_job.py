"""A result among files that several processes write to one directory, until one of them puts it in place."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from socket import gethostname
from typing import TYPE_CHECKING, Self, cast

from initctl.checksums import Sums
from initctl.commit.mounts import check_no_bucket
from initctl.commit.shared_staging import SharedStaging
from initctl.distributed.job import NOTE, Job
from initctl.distributed.receipt import Receipt, WrittenRange, name_of
from initctl.distributed.split import Share, split
from initctl.errors import UncertainError, shown

if TYPE_CHECKING:
    from initctl.execution.content import Draft
    from initctl.execution.destination import Destination
    from initctl.execution.writer import Writer


@dataclass(frozen=True)
class StagedJob(Job):
    """A job whose notes are in a directory beside the target, with the result."""

    notes: SharedStaging

    @classmethod
    def of(cls, writer: Writer, draft: Draft, place: Destination, digest: str) -> Self:
        check_no_bucket(place.path, place.path, "several processes cannot write one file")
        return cls(writer, draft, place, digest, SharedStaging(place.path, f"initctl-{digest}"))

    def shares(self, parts: int) -> list[Share]:
        return split(self.draft.contents, parts)

    def prepare(self, parts: int) -> None:  # noqa: ARG002 - what one of them notes, all do
        self.settle()

    def write(self, number: int, parts: int) -> Receipt:
        self.notes.make()
        own = self.own_note(parts)
        self.check(own, self.read(self.notes.leave_first(NOTE, own.packed())))
        with self.notes.used(NOTE) as check_same, self.notes.leaving(name_of(number, parts)):
            share = self.shares(parts)[number - 1]
            if receipt := self.receipt(number, parts, share):
                return replace(receipt, was_done=True)
            self._check_begun(share, parts)
            self.place.check_step(self.notes.path)
            started = time.monotonic()
            ranges = self._written(share)
            seconds = round(time.monotonic() - started, 3)
            receipt = Receipt(self.digest, number, parts, ranges, gethostname(), seconds, self.writer.engines)
            check_same()
            self.notes.leave(receipt.name, receipt.to_document())
            return receipt

    def commit(self) -> list[Receipt]:
        if self.notes.is_left_over:
            self.notes.sweep()
            return []
        if not self.is_in_place:
            self.settle()
        note = self.to_commit()
        if not self.notes.is_spent:
            self.check_begun(note)
        receipts = self.all_receipts(note.parts)  # before parts are locked out: a commit that is refused stops none
        with self.notes.alone(NOTE):
            if not self.notes.is_spent:
                self._check_sizes(self.draft.contents)
                with self._left_if_uncertain():
                    self.writer.commit_pieces(self.draft, self.place, self.notes, _sums(receipts))
            self.notes.remove()
        return receipts

    @contextmanager
    def _left_if_uncertain(self) -> Iterator[None]:
        """The body puts the result in place. If it raises `UncertainError`, the error names the directory of the parts,
        which stays.
        """
        try:
            yield
        except UncertainError as error:
            raise error.extended(f"{shown(self.notes.path)} is left until you commit again") from error

    @property
    def is_in_place(self) -> bool:
        return self.notes.is_in_place

    def settle(self) -> None:
        self.notes.sweep()
        if self.notes.is_spent:
            with self.notes.alone(NOTE):
                self.notes.remove()

    def _written(self, share: Share) -> tuple[WrittenRange, ...]:
        """Write a share. Returns its ranges."""
        names = {piece.file for piece in share.pieces}
        files = {name: self.notes.file(name if self.place.is_directory else None) for name in names}
        pieces = [(self.draft.contents[piece.file].within(piece.window), files[piece.file]) for piece in share.pieces]
        pieces[:1] = [(content._replace(checked=share.checks), new) for content, new in pieces[:1]]
        found = self.writer.write_pieces(self.draft, pieces, self.place.path)
        self.notes.sync_names()
        return tuple(
            WrittenRange(piece.file, *section, value)
            for piece, sums in zip(share.pieces, found, strict=True)
            for section, value in sums.items()
        )

    def sections(self, share: Share) -> Iterator[tuple[str, int, int]]:
        for piece in share.pieces:
            for section in self.draft.contents[piece.file]._replace(window=piece.window).sections:
                yield piece.file, *section

    def _check_begun(self, share: Share, parts: int) -> None:
        """Raise `ConflictError` if a file of `share` was removed or changed its size after another part was written to
        it: a new file would have zeros there.
        """
        if not all(self._is_whole(piece.file) for piece in share.pieces):
            done = [receipt for receipt in self.receipts(parts) if receipt]
            written = {found.file for receipt in done for found in receipt.ranges}
            self._check_sizes(piece.file for piece in share.pieces if piece.file in written)

    def _check_sizes(self, names: Iterable[str]) -> None:
        """Raise `ConflictError` unless all these files are there, as long as they must be."""
        for name in names:
            if not self._is_whole(name):
                size = self.draft.contents[name].layout.size
                self.refuse(f"{shown(name)} is missing there, or not {size:,} bytes long")

    def _is_whole(self, name: str) -> bool:
        path = self._path(name)
        return os.path.isfile(path) and os.path.getsize(path) == self.draft.contents[name].layout.size

    def _path(self, name: str) -> str:
        return os.path.join(self.notes.result, name) if self.place.is_directory else self.notes.result


def _sums(receipts: Sequence[Receipt]) -> dict[str, Sums]:
    """What the receipts say about each file."""
    found: dict[str, Sums] = {}
    for receipt in receipts:
        for file, start, stop, value, _ in receipt.ranges:
            found.setdefault(file, Sums()).note(start, stop, cast("int", value))
    return found
