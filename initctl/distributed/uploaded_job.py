"""A result in a store that several processes upload, each some parts of it, until one of them completes the uploads."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from socket import gethostname
from typing import TYPE_CHECKING, Self, cast

from initctl.coworkers import handed_out
from initctl.distributed.job import NOTE, Job
from initctl.distributed.object_notes import ObjectNotes
from initctl.distributed.receipt import Receipt, WrittenRange
from initctl.distributed.split import Piece, Share, hand_out_checks
from initctl.errors import (
    ConflictError,
    InitctlError,
    Problem,
    StorageError,
    UncertainError,
    UsageError,
    listed,
    shown,
)
from initctl.execution.objects import Objects
from initctl.execution.parcels import Parcel, parcels_of
from initctl.execution.sending import NewObject, send
from initctl.execution.uploading import undo
from initctl.stores.places import place_in_store
from initctl.stores.requests import side_by_side
from initctl.stores.store import NO_UPLOAD, OTHER_PART
from initctl.undisturbed import delayed, undisturbed

if TYPE_CHECKING:
    from initctl.distributed.note import Note
    from initctl.execution.content import Content, Draft
    from initctl.execution.destination import Destination
    from initctl.execution.writer import Writer
    from initctl.stores.store import Upload

_MARK = 6
"""Digits."""
_OVER = {
    NO_UPLOAD: "uploads that it names are not there any more",
    OTHER_PART: "a part was uploaded by two processes, and the receipt is not that of the last one",
}
"""Why all parts must be written again, by the code of a problem."""


@dataclass(frozen=True)
class UploadedJob(Job):
    """A job whose notes are objects below a prefix beside the target. The first part begins the upload of each object,
    and notes its ticket. Uploads stay until they are complete: a commit that failed, or was killed, can be run again.
    """

    notes: ObjectNotes

    @classmethod
    def of(cls, writer: Writer, draft: Draft, place: Destination, digest: str) -> Self:
        """Raises `UsageError` if the target is a whole bucket."""
        there = place_in_store(place.path)
        if not there.name:
            fault = f"{shown(place.path)}: is a whole bucket, and parts need a place beside their result for notes"
            raise UsageError(Problem("parts.bucket", fault, "write below a prefix"))
        name = os.path.join(os.path.dirname(there.name), f".initctl-{digest}.parts")
        return cls(writer, draft, place, digest, ObjectNotes(there.bucket, name))

    def shares(self, parts: int) -> list[Share]:
        pieces = [Piece(name, *parcel.window) for name, parcels in self._parcels.items() for parcel in parcels]
        chosen = handed_out([piece.nbytes for piece in pieces], parts)
        shares = [Share([pieces[number] for number in sorted(numbers)]) for numbers in chosen]
        in_windows = {name: content for name, content in self._contents.items() if not content.layout.checksums}
        hand_out_checks(in_windows, [share for share in shares if share.pieces])
        return shares

    def prepare(self, parts: int) -> None:
        self.settle()
        if self.noted() is None:
            self._begun(self.own_note(parts))

    def write(self, number: int, parts: int) -> Receipt:
        own = self.own_note(parts)
        noted = self.noted() or self._begun(own)
        self.check(own, noted)
        share = self.shares(parts)[number - 1]
        if receipt := self.receipt(number, parts, share):
            return replace(receipt, was_done=True)
        started = time.monotonic()
        with self._needing_uploads():
            ranges = tuple(self._written(share, noted))
        seconds = round(time.monotonic() - started, 3)
        receipt = Receipt(self.digest, number, parts, ranges, gethostname(), seconds, self.writer.engines)
        self.notes.leave(receipt.name, receipt.to_document())
        return receipt

    def commit(self) -> list[Receipt]:
        note = self.to_commit()
        if self._are_there(note):
            self._remove_notes()
            return []
        self.check_begun(note)
        receipts = self.all_receipts(note.parts)
        self.writer.check_unchanged(self.draft)
        self._check_alone()
        with undisturbed(), self._needing_uploads():
            self._complete(note, _tags(receipts))
            self.writer.committed()
            self._objects.remove_old(self.place.path)
            self._remove_notes()
        return receipts

    @property
    def is_in_place(self) -> bool:
        noted = self.noted()
        return noted is not None and self._are_there(noted)

    def settle(self) -> None:
        if self.is_in_place:
            self._remove_notes()

    def sections(self, share: Share) -> Iterator[tuple[str, int, int]]:
        for piece in share.pieces:
            for _, (start, stop, _) in self._parcel(piece).parts:
                yield piece.file, start, stop

    @cached_property
    def _objects(self) -> Objects:
        return Objects.of(self.writer.checkpoint, self.draft, self.place, self.digest[:_MARK])

    @cached_property
    def _contents(self) -> Mapping[str, Content]:
        """The content of each object, by its name below the place of the result."""
        return {self._name(path): content for group in self._objects.groups for path, content in group.items()}

    @cached_property
    def _parcels(self) -> Mapping[str, Sequence[Parcel]]:
        checkpoint = self.writer.checkpoint
        return {name: parcels_of(checkpoint, content, self._path(name)) for name, content in self._contents.items()}

    @cached_property
    def _by_start(self) -> Mapping[tuple[str, int], Parcel]:
        return {(name, parcel.window.start): parcel for name, found in self._parcels.items() for parcel in found}

    def _parcel(self, piece: Piece) -> Parcel:
        return self._by_start[piece.file, piece.start]

    def _begun(self, own: Note) -> Note:
        """Begin all uploads and note their tickets, unless another process is faster. Returns what is noted."""
        if self.place.check:
            self.place.check()
        uploads = {name: self._upload(name) for name in self._contents}
        is_noted = False
        with delayed():  # a note is left with its uploads, or without an end of this process
            try:
                side_by_side([upload.begin for upload in uploads.values()])
                content = own._replace(uploads={name: upload.ticket for name, upload in uploads.items()}).packed()
                noted = self.notes.leave_first(NOTE, content)
                is_noted = noted == content
            except UncertainError:
                is_noted = True
                raise
            finally:
                if not is_noted:
                    with suppress(InitctlError):
                        side_by_side([upload.abort for upload in uploads.values()])
        return self.read(noted)

    def _complete(self, note: Note, tags: Mapping[str, Sequence[str]]) -> None:
        """Make all objects visible. If another program was faster, they are removed again, and the job is over; if
        something else fails, the next commit goes on.
        """
        uploads = {name: self._upload(name, note) for name in self._contents}
        try:
            for group in self._objects.groups:
                names = list(map(self._name, group))
                side_by_side([partial(uploads[name].finish, tags[name]) for name in names])
        except ConflictError as error:
            if error.problems[0].code in _OVER:
                raise
            undo(list(uploads.values()), error)
            with suppress(InitctlError):
                side_by_side([upload.abort for upload in uploads.values()])
                self.notes.remove(NOTE)
            again = "write every part again, then commit"
            raise ConflictError(*(problem._replace(hint=again) for problem in error.problems)) from None
        except StorageError as error:
            if not any(upload.is_complete for upload in uploads.values()):
                raise
            fault = f"{shown(self.place.path)}: only some of its files are there: {error}"
            raise UncertainError(Problem("parts.unfinished", fault, "run the commit again")) from error

    def _check_alone(self) -> None:
        """Raise `ConflictError` if other objects are below the prefix by now; an earlier commit may have begun."""
        if self.place.is_directory and self.place.without is None:
            there = place_in_store(self.place.path)
            own = {os.path.join(there.name, name) for name in self._contents}
            found = (stored.name for stored in there.store.below(f"{there.name}/", is_deep=True))
            if others := [shown(name) for name in found if name not in own]:
                fault = f"{shown(self.place.path)}: contains other objects by now: {listed(others)}"
                raise ConflictError(Problem("output.changed", fault, "remove them, or write to another prefix"))

    @contextmanager
    def _needing_uploads(self) -> Iterator[None]:
        """Say what to do if an upload is not there any more."""
        try:
            yield
        except ConflictError as error:
            if error.problems[0].code not in _OVER:
                raise
            self.refuse(_OVER[error.problems[0].code])

    def _written(self, share: Share, noted: Note) -> Iterator[WrittenRange]:
        """Upload a share. Returns its ranges."""
        names = dict.fromkeys(piece.file for piece in share.pieces)
        new = {name: NewObject(self._path(name), self._contents[name], self._upload(name, noted), {}) for name in names}
        parcels = [(new[piece.file], self._parcel(piece)) for piece in share.pieces]
        send(self.writer, self.draft, parcels, share.checks)
        self.writer.check_unchanged(self.draft)
        for piece, (sent, parcel) in zip(share.pieces, parcels, strict=True):
            for number, (start, stop, _) in parcel.parts:
                yield WrittenRange(piece.file, start, stop, tag=sent.tags[number])

    def _upload(self, name: str, noted: Note | None = None) -> Upload:
        """The upload of an object, which may be begun already."""
        there = place_in_store(self._path(name))
        return there.bucket.upload(there.name, there.stored, noted and noted.uploads[name])

    def _are_there(self, noted: Note) -> bool:
        """Whether all objects are in place."""
        return all(self._upload(name, noted).is_there() for name in reversed(list(self._contents)))

    def _remove_notes(self) -> None:
        try:
            self.notes.remove(NOTE)
        except InitctlError as error:
            fault = f"{shown(self.place.path)}: is in place, but the notes of its parts could not be removed: {error}"
            raise UncertainError(Problem("storage.leftover", fault, f"remove {self.notes.shown}")) from error

    def _path(self, name: str) -> str:
        return os.path.join(self.place.path, name) if self.place.is_directory else self.place.path

    def _name(self, path: str) -> str:
        return os.path.relpath(path, self.place.path) if self.place.is_directory else os.path.basename(path)


def _tags(receipts: Sequence[Receipt]) -> dict[str, list[str]]:
    """The tags of the parts of each object, in order."""
    found = sorted((one.file, one.start, cast("str", one.tag)) for receipt in receipts for one in receipt.ranges)
    tags: dict[str, list[str]] = {}
    for file, _, tag in found:
        tags.setdefault(file, []).append(tag)
    return tags
