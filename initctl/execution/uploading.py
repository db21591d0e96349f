"""Write a result to a store. Each file is uploaded in parts, and nothing is visible before all parts of all files are
there.

Bytes that are computed, and those that the store cannot copy, are made in memory, one window of a file after another,
while others are sent.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from initctl.errors import InitctlError, Problem, UncertainError
from initctl.execution.objects import Objects
from initctl.execution.parcels import parcels_of
from initctl.execution.sending import NewObject, send
from initctl.stores.places import place_in_store
from initctl.stores.requests import side_by_side
from initctl.undisturbed import delayed, undisturbed

if TYPE_CHECKING:
    from initctl.execution.content import Content, Draft
    from initctl.execution.destination import Destination
    from initctl.execution.parcels import Parcel
    from initctl.execution.writer import Writer
    from initctl.formats import CheckpointFile, Checksum
    from initctl.stores.store import Upload


def upload(writer: Writer, draft: Draft, place: Destination) -> list[str]:
    """Write the files of `draft` to `place`, in a store. Returns their names.

    Raises `InputError` if the input is damaged, `StorageError` if the store refuses something, and `ConflictError` if
    another program changed the input, or what is at `place`. Then nothing has changed there. `UncertainError` means
    that the store did not say whether the result is there, or that something else is left.
    """
    if place.check:
        place.check()
    objects = Objects.of(writer.checkpoint, draft, place, os.urandom(3).hex())
    with ExitStack() as stack:
        groups = [[_new(path, content, stack) for path, content in group.items()] for group in objects.groups]
        with delayed():
            side_by_side([new.upload.begin for group in groups for new in group])
        send(writer, draft, _parcels(writer, groups), _checks(objects))
        writer.check_unchanged(draft)
        if place.check:
            place.check()
        with undisturbed():
            _commit(groups, partial(writer.check_unchanged, draft))
            writer.committed()
            objects.remove_old(place.path)
    folder = place.path if place.is_directory else os.path.dirname(place.path)
    return [os.path.relpath(new.path, folder) for group in groups for new in group]


def _new(path: str, content: Content, stack: ExitStack) -> NewObject:
    """A new object whose upload is not begun yet. `stack` gives it up unless it is complete."""
    place = place_in_store(path)
    upload = place.bucket.upload(place.name, place.stored)

    stack.push(partial(_give_up, upload))
    return NewObject(path, content, upload, {})


def _give_up(upload: Upload, _: object, error: BaseException | None, *__: object) -> None:
    """Abort `upload`, unless it is complete. If the store refuses that too, `error` says so."""
    try:
        with undisturbed():
            upload.abort()
    except InitctlError as left:
        if isinstance(error, InitctlError):
            fault = f"an unfinished upload stays in the bucket, and costs money: {left.problems[0].message}"
            error.problems += (Problem("storage.upload", fault, "abort it, or let a lifecycle rule remove it"),)


def _parcels(writer: Writer, groups: Sequence[Sequence[NewObject]]) -> Iterator[tuple[NewObject, Parcel]]:
    """All parcels of all new objects."""
    for new in (new for group in groups for new in group):
        yield from ((new, parcel) for parcel in parcels_of(writer.checkpoint, new.content, new.path))


def _checks(objects: Objects) -> list[tuple[CheckpointFile, Checksum]]:
    """Those of files that are not written to the disk first, which checks its own."""
    contents = (content for group in objects.groups for content in group.values())
    return [check for content in contents if not content.layout.checksums for check in content.checked]


def _commit(groups: Sequence[Sequence[NewObject]], check: Callable[[], None]) -> None:
    """Make the objects visible, a group after another, and call `check` before the last of several groups. If one
    fails, the others are removed again; but if the store does not say whether one is visible, they stay: it may need
    them.
    """
    try:
        for group in groups[:-1]:
            side_by_side([new.complete for new in group])
            check()
        side_by_side([new.complete for new in groups[-1]])
    except UncertainError:
        raise
    except InitctlError as error:
        undo([new.upload for group in groups for new in group], error)
        raise


def undo(uploads: Sequence[Upload], error: InitctlError) -> None:
    """Remove the new objects of `uploads` again, because of `error`. Raises `UncertainError` if one is left."""
    try:
        side_by_side([upload.undo for upload in uploads])
    except InitctlError as left:
        fault = f"{error}; and a file that was written before could not be removed again: {left}"
        raise UncertainError(Problem("storage.leftover", fault, "remove it")) from error
