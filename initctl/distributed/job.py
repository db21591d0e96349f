"""One result that several processes write: what all of them must agree on, and the directory that they share."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from hashlib import blake2b
from socket import gethostname
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from initctl.checksums import Sums
from initctl.commit.mounts import check_no_bucket
from initctl.commit.shared_staging import SharedStaging
from initctl.display.tables import count
from initctl.distributed.note import Note
from initctl.distributed.receipt import Receipt, WrittenRange, name_of
from initctl.distributed.split import Share, split
from initctl.errors import ConflictError, Problem, UsageError, listed, shown
from initctl.stores.mirror import place_of

if TYPE_CHECKING:
    from initctl.execution.content import Draft
    from initctl.execution.destination import Destination
    from initctl.execution.writer import Writer
    from initctl.planning import Plan

_NOTE = "parts.json"
"""The note of the first part, which the others must match."""


class Job(NamedTuple):
    """A result: `writer` writes its `draft`, in pieces, to `staging`; then it takes its `place`.

    `digest` is the same in all processes that may write parts of it.
    """

    writer: Writer
    draft: Draft
    place: Destination
    digest: str
    staging: SharedStaging

    @classmethod
    def of(cls, writer: Writer, draft: Draft, place: Destination) -> Job:
        check_no_bucket(place.path, place.path, "several processes cannot write one file")
        if place_of(place.path):
            fault = f"{shown(place.path)}: is in a store, where several processes cannot write one result"
            raise UsageError(Problem("parts.store", fault, "use one process, or write to a path that all share"))
        digest = _digest(writer.plan, draft, place)
        return cls(writer, draft, place, digest, SharedStaging(place.path, f"initctl-{digest}"))

    def shares(self, parts: int) -> list[Share]:
        return split(self.draft.contents, parts)

    def parts(self) -> int | None:
        """The number of parts that the first one was written with; None if no part was begun."""
        note = self._note()
        return note and note.parts

    def write(self, number: int, parts: int) -> Receipt:
        """Write part `number` of `parts`, unless that is done. Raises `ConflictError` if this is not the result that
        the first part belongs to, and what writing raises.
        """
        self.staging.make()
        own = Note.of(self.writer.plan, self.draft, parts)
        self._check(own, self.staging.leave_first(_NOTE, own.packed()))
        with self.staging.used(_NOTE) as check_same, self.staging.leaving(name_of(number, parts)):
            share = self.shares(parts)[number - 1]
            if receipt := self._receipt(number, parts, share):
                return replace(receipt, was_done=True)
            self._check_begun(share, parts)
            self.place.check_step(self.staging.path)
            started = time.monotonic()
            ranges = self._written(share)
            seconds = round(time.monotonic() - started, 3)
            receipt = Receipt(self.digest, number, parts, ranges, gethostname(), seconds, self.writer.engines)
            check_same()
            self.staging.leave(receipt.name, receipt.to_document())
            return receipt

    def receipts(self, parts: int) -> list[Receipt | None]:
        """The receipt of each part that is done."""
        return [self._receipt(number, parts, share) for number, share in enumerate(self.shares(parts), 1)]

    def _receipt(self, number: int, parts: int, share: Share) -> Receipt | None:
        """The receipt of a part, if it is there and lists what is in its `share`."""
        content = self.staging.note(name_of(number, parts))
        found = None if content is None else Receipt.read(content)
        if found is None or (found.job, found.number, found.parts) != (self.digest, number, parts):
            return None
        return found if found.sections == list(self._sections(share)) else None

    def commit(self) -> list[Receipt]:
        """Let the result take its place if all parts are done.

        Raises `ConflictError` if a part is missing, and what a commit raises. If a commit that was killed let it take
        its place, only what that one left is removed.
        """
        if self.staging.is_left_over:
            self.staging.sweep()
            return []
        if not self.staging.is_in_place:
            self.settle()
        if (note := self._note()) is None:
            fault = f"{shown(self.place.path)}: no part of it was written"
            raise ConflictError(
                Problem("parts.missing", fault, "write every part with --part I/N; if it was committed, it is complete")
            )
        receipts = self._all_receipts(note.parts)  # before parts are locked out: a commit that is refused stops none
        with self.staging.alone(_NOTE):
            if not self.staging.is_spent:
                self._check(Note.of(self.writer.plan, self.draft, note.parts), note.packed())
                self._check_sizes(self.draft.contents)
                self.writer.commit_pieces(self.draft, self.place, self.staging, _sums(receipts))
            self.staging.remove()
        return receipts

    def settle(self) -> None:
        """Remove what an earlier commit left if it was killed after its last step."""
        self.staging.sweep()
        if self.staging.is_spent:
            with self.staging.alone(_NOTE):
                self.staging.remove()

    def _written(self, share: Share) -> tuple[WrittenRange, ...]:
        """Write a share. Returns its ranges."""
        names = {piece.file for piece in share.pieces}
        files = {name: self.staging.file(name if self.place.is_directory else None) for name in names}
        pieces = [(self.draft.contents[piece.file].within(piece.window), files[piece.file]) for piece in share.pieces]
        pieces[:1] = [(content._replace(checked=share.checks), new) for content, new in pieces[:1]]
        found = self.writer.write_pieces(self.draft, pieces, self.place.path)
        self.staging.sync_names()
        return tuple(
            WrittenRange(piece.file, *section, value)
            for piece, sums in zip(share.pieces, found, strict=True)
            for section, value in sums.items()
        )

    def _sections(self, share: Share) -> Iterator[tuple[str, int, int]]:
        """The ranges that the receipt of a share lists."""
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
                self._refuse(f"{shown(name)} is missing there, or not {size:,} bytes long")

    def _is_whole(self, name: str) -> bool:
        path = self._path(name)
        return os.path.isfile(path) and os.path.getsize(path) == self.draft.contents[name].layout.size

    def _path(self, name: str) -> str:
        return os.path.join(self.staging.result, name) if self.place.is_directory else self.staging.result

    def _note(self) -> Note | None:
        """What the first part noted. Raises `ConflictError` if that is damaged."""
        content = self.staging.note(_NOTE)
        return None if content is None else Note.read(content) or self._refuse("is damaged")

    def _check(self, own: Note, first: bytes) -> None:
        """Raise `ConflictError` unless `own` matches the note of the `first` part."""
        noted = Note.read(first) or self._refuse("is damaged")
        if noted.parts != own.parts:
            fault = f"{shown(self.place.path)}: is being written in {noted.parts} parts, not {own.parts}"
            hint = f"use that number, or remove {self.staging.shown} to begin again"
            raise ConflictError(Problem("parts.count", fault, hint))
        if difference := noted.difference(own):
            self._refuse(difference)

    def _refuse(self, fault: str) -> NoReturn:
        hint = f"remove {self.staging.shown}, and write every part again"
        raise ConflictError(Problem("parts.stale", f"{shown(self.staging.path)}: {fault}", hint))

    def _all_receipts(self, parts: int) -> list[Receipt]:
        """The receipts of all parts, which cover every byte. Raises `ConflictError` if one is missing."""
        found = self.receipts(parts)
        if missing := [str(number) for number, receipt in enumerate(found, 1) if receipt is None]:
            which = listed(missing, at_most=8)
            fault = f"{shown(self.place.path)}: {len(missing)} of {count(parts, 'part')} not written yet: {which}"
            raise ConflictError(Problem("parts.missing", fault, "write them with --part I/N, then commit"))
        return [receipt for receipt in found if receipt]


def _digest(plan: Plan, draft: Draft, place: Destination) -> str:
    """The digest of what is done to which tensors, and of the files that are written. The paths of the checkpoint and
    of recipes may differ from machine to machine.
    """
    document = {key: value for key, value in plan.to_document().items() if key not in ("checkpoint", "digest")}
    document["actions"] = [{**action, "source": None} for action in document["actions"]]
    files = {name: content.layout.size for name, content in draft.contents.items()}
    content = [document, os.path.basename(place.path), place.is_directory, files]
    return blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=10).hexdigest()


def _sums(receipts: Sequence[Receipt]) -> dict[str, Sums]:
    """What the receipts say about each file."""
    found: dict[str, Sums] = {}
    for receipt in receipts:
        for file, start, stop, value in receipt.ranges:
            found.setdefault(file, Sums()).note(start, stop, value)
    return found
