"""What a plan makes of a checkpoint, and where: the files of the result before they are written."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from initctl import paths
from initctl.commit.linking import unlinkable
from initctl.commit.mounts import check_no_bucket, check_no_mount_point
from initctl.errors import Problem, StorageError, shown
from initctl.execution.destination import (
    Destination,
    check_in_place,
    check_no_parts,
    check_not_here,
    check_replaced,
    destination,
    real_path,
)
from initctl.execution.output_format import names_directory
from initctl.execution.rewriting import rewritten
from initctl.formats.unfinished import check_files_finished
from initctl.stores.places import place_of
from initctl.stores.store import History

if TYPE_CHECKING:
    from initctl.execution.content import Draft
    from initctl.execution.delivery import Delivery
    from initctl.execution.writer import Writer
    from initctl.formats import Checkpoint, CheckpointFile


def drafted(writer: Writer, delivery: Delivery) -> tuple[Draft, Destination] | None:
    """The draft of what `delivery` writes, and its destination; None if nothing changes in place.

    Raises what `execute` raises before it writes.
    """
    if delivery.output is None:
        return _in_place(writer, delivery.dropped)
    return drafted_at(delivery.output, writer, delivery)


def drafted_at(output: str, writer: Writer, delivery: Delivery) -> tuple[Draft, Destination]:
    """The draft of what `delivery` writes to `output`, and its destination. Raises as `drafted` does."""
    checkpoint, place = writer.checkpoint, placed(delivery, output)
    if delivery.conversion:
        from initctl.execution.converting import converted

        draft = converted(writer.plan, delivery.conversion, os.path.basename(place.path), delivery.dropped)
    elif place.is_directory:
        others = [file for file in checkpoint.other_files if file.name not in delivery.dropped]
        draft = rewritten(writer, {file.name: file for file in (*checkpoint.files, *others)})
    else:
        (file,) = checkpoint.files
        draft = rewritten(writer, {os.path.basename(place.path): file})
    check_files_finished(real_path(checkpoint, file) for file in draft.sources)
    return draft, checked(place, output, draft.contents)


def placed(delivery: Delivery, output: str) -> Destination:
    """The destination at `output`: a directory or a file as the conversion says, or else a directory if the checkpoint
    is one or `output` names one. Raises what `destination` raises.
    """
    checkpoint, conversion = delivery.plan.checkpoint, delivery.conversion
    is_directory = conversion.is_directory if conversion else checkpoint.is_directory or names_directory(output)
    return destination(checkpoint, output, is_directory=is_directory, overwrite=delivery.overwrite)


def checked(place: Destination, output: str, names: Iterable[str]) -> Destination:
    """`place`, with the check that a directory of `names` may replace what is there. If something is there already, it
    is checked now too. Messages call it `output`. A store has a check of its own.
    """
    there = place_of(place.path)
    if not place.is_directory or place.no_clobber or (there and not isinstance(there.store, History)):
        return place
    check = partial(check_replaced, place.path, output, tuple(names))
    if paths.is_there(place.path):
        check()
    return place._replace(check=check)


def _in_place(writer: Writer, dropped: Sequence[str]) -> tuple[Draft, Destination] | None:
    """The draft of the files that change in place, and its destination; None if nothing changes.

    One file is replaced alone. If several change or some are `dropped`, a new directory replaces the old one. In a
    bucket, shards change by their index.
    """
    checkpoint, touched = writer.checkpoint, writer.touched
    check_in_place(checkpoint, touched, patch=False)
    if len(touched) > 1 or dropped or (touched and _goes_by_index(checkpoint)):
        return _exchanging(writer, touched, dropped)
    if not touched:
        return None
    place = Destination(real_path(checkpoint, touched[0]), touched[0].mode)
    check_no_mount_point(place.path)
    return _replacing(writer, {touched[0].name: touched[0]}), place


def _goes_by_index(checkpoint: Checkpoint) -> bool:
    """Whether even one shard gets a new name, so that every change of the checkpoint is one of its index."""
    there = place_of(checkpoint.target)
    return checkpoint.described_by is not None and there is not None and not isinstance(there.store, History)


def _exchanging(writer: Writer, touched: Sequence[CheckpointFile], dropped: Sequence[str]) -> tuple[Draft, Destination]:
    checkpoint = writer.checkpoint
    check_not_here(checkpoint.target)
    check_no_bucket(checkpoint.target, checkpoint.path, "a directory cannot be replaced in one step")
    check_no_mount_point(checkpoint.target)
    check_no_parts(checkpoint.target)
    names = {os.path.relpath(real_path(checkpoint, file), checkpoint.directory): file for file in touched}
    place = Destination(
        checkpoint.target,
        os.stat(checkpoint.target).st_mode,
        is_directory=True,
        check=partial(check_not_here, checkpoint.target),
        without=dropped,
    )
    draft = _replacing(writer, names | _copied(checkpoint, {*dropped, *names}))
    removed = [file for file in checkpoint.other_files if file.name in dropped] if dropped else []
    return draft._replace(sources=(*draft.sources, *removed)), place


def _copied(checkpoint: Checkpoint, without: Container[str]) -> dict[str, CheckpointFile]:
    """The other files, but those `without`, that a new directory cannot share with the old one. They are copied.

    Raises `StorageError` if a copy would not be the same: of a link, of a file that has other names, or of a journal.
    """
    names = unlinkable(checkpoint.directory, without=without)
    files = {file.name: file for file in (*checkpoint.files, *checkpoint.other_files)} if names else {}
    for name in names:
        path = os.path.join(checkpoint.directory, name)
        if name not in files or paths.is_link(path) or os.stat(path).st_nlink > 1:
            fault = f"{shown(path)}: belongs to another user, and the system does not permit a hard link to it"
            raise StorageError(Problem("storage.hard_link", fault, "write to another place with -o"))
    return {name: files[name] for name in names}


def _replacing(writer: Writer, files: Mapping[str, CheckpointFile]) -> Draft:
    """The draft of `files`, each of which keeps the owner and the attributes of the file that it replaces."""
    draft = rewritten(writer, files)
    likes = {name: real_path(writer.checkpoint, file) for name, file in files.items()}
    return draft._replace(contents={name: c._replace(like=likes[name]) for name, c in draft.contents.items()})
