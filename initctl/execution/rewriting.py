"""The checkpoint with some tensors filled, in its own format: files are written anew, or patched."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

from initctl.checksums import is_computed, lift, renew, settle
from initctl.commit.failure import storage_errors
from initctl.commit.patching import PatchedFile
from initctl.commit.reserving import check_space, held, reserve
from initctl.errors import ConflictError, InitctlError, InputError, Problem, UncertainError, UsageError, listed, shown
from initctl.execution.content import Content, Draft
from initctl.execution.destination import check_in_place, check_not_linked, real_path
from initctl.execution.journal import Journal
from initctl.execution.resizing import renewed_content
from initctl.filling.targets import FilledFile
from initctl.formats.checkpoint_file import Identity
from initctl.formats.unfinished import completing, giving_up, half_patched
from initctl.layout.ranges import total, uncovered
from initctl.reading import TensorReader
from initctl.stores.places import place_of
from initctl.undisturbed import undisturbed

if TYPE_CHECKING:
    from initctl.execution.writer import Writer
    from initctl.formats import Checkpoint, CheckpointFile, Checksum


def rewritten(writer: Writer, files: Mapping[str, CheckpointFile]) -> Draft:
    """The draft of `files`, by their new names, with their targets filled."""
    return Draft({name: _content(writer, file) for name, file in files.items()}, tuple(files.values()))


def _content(writer: Writer, file: CheckpointFile) -> Content:
    """One of the checkpoint's files, filled. Checksums are computed again. A checksum of 0 means none, and stays 0."""
    if new := writer.renewed_files.get(file.name):
        return renewed_content(writer.plan, new)
    filled = FilledFile.of(file, writer.targets.get(file.name, ()))
    to_renew = filled.to_renew
    if not all(checksum.value for checksum in to_renew):
        with TensorReader(writer.checkpoint) as reader, reader.opened(file.name) as source:
            to_renew = [checksum for checksum in to_renew if is_computed(checksum, source)]
    return Content.rewritten(filled, to_renew)


def fill_in_place(writer: Writer, touched: Sequence[CheckpointFile]) -> None:
    """Patch the `touched` files: overwrite the bytes that rules fill.

    Raises `UsageError` if new values depend on old ones: running the command again could not complete an interrupted
    patch. Raises `InputError` if a checksum is of some of these bytes and of others, and is wrong: the new one would
    hide it. If there is a journal of the patch, that was checked before.
    """
    checkpoint = writer.checkpoint
    if writer.olds:
        names = listed([shown(part.tensor.name) for part in writer.olds])
        message = f"patch: new values depend on old ones, which a patch overwrites: {names}"
        raise UsageError(Problem("output.patch", message, "leave out --patch"))
    if place_of(checkpoint.target):
        fault = f"{shown(checkpoint.path)}: --patch overwrites bytes of a file, which a store cannot do"
        raise UsageError(Problem("output.patch", fault, "leave out --patch: the store copies what does not change"))
    check_in_place(checkpoint, touched, patch=True)
    check_not_linked(checkpoint, touched)
    journal = Journal(writer.plan, [real_path(checkpoint, file) for file in touched])
    if not journal.is_begun:
        writer.warnings += half_patched(checkpoint)
    _ = writer.computer  # if no engine can be loaded, fail before anything is overwritten
    end = ExitStack()
    try:
        contents = [_content(writer, file) for file in touched]
        checked = [] if journal.is_begun else [pair for content in contents for pair in _to_verify(checkpoint, content)]
        writer.workers.total += sum(target.nbytes for content in contents for target in content.targets)
        writer.verify(checked)
        patches = _prepared(checkpoint, list(zip(touched, contents, strict=True)))
        if patches and not journal.is_begun:
            journal.begin()
            _check_begun(checkpoint, patches, journal)
        for file, content in patches:
            with PatchedFile(real_path(checkpoint, file)) as patched, storage_errors(patched.path):
                checkpoint.check_opened(file, patched.descriptor)
                _overwrite(writer, patched.descriptor, content, patched.sync)
        end.enter_context(undisturbed())
    except BaseException as error:
        if not journal.is_begun:
            raise
        raise _unfinished(checkpoint, journal, error) from error
    with end:
        if touched:
            try:
                journal.end()
            finally:
                writer.committed()


def _check_begun(checkpoint: Checkpoint, patches: Sequence[tuple[CheckpointFile, Content]], journal: Journal) -> None:
    """Raise `ConflictError`, and remove the `journal`, if it may be about other files than those of `patches`."""
    try:
        checkpoint.check_unchanged(file for file, _ in patches)
    except BaseException:
        journal.give_up()
        raise


def _to_verify(checkpoint: Checkpoint, content: Content) -> Iterator[tuple[CheckpointFile, Checksum]]:
    """The checksums that are computed again though some of their bytes stay. Raises `InputError` if a patch left one of
    them unfinished, and its journal is gone: those bytes may be of both.
    """
    renewed = set(content.layout.checksums)
    for file, checksum in content.checked:
        if checksum in renewed:
            if checksum.unfinished:
                place = f"{shown(real_path(checkpoint, file))}: {shown(checksum.name)}"
                fault = f"{place}: a patch that overwrites it was interrupted, and its journal is gone"
                raise InputError(Problem("archive.unfinished", fault, "restore the file from a copy"))
            yield file, checksum


def _prepared(
    checkpoint: Checkpoint, patches: Sequence[tuple[CheckpointFile, Content]]
) -> list[tuple[CheckpointFile, Content]]:
    """`patches`, each with its file as it is once there is space for what is written. All are prepared before the first
    one is overwritten. Raises `ConflictError` if a file changed, and `StorageError`.
    """
    prepared = []
    for file, content in [(_opened_once(checkpoint, file), content) for file, content in patches]:
        with PatchedFile(real_path(checkpoint, file)) as patched:
            checkpoint.check_opened(file, patched.descriptor)
            space = uncovered(file.size, content.kept)
            check_space(patched.descriptor, total(space) - held(patched.descriptor), patched.path)
            reserve(patched.descriptor, space, patched.path, unshare=True)
            prepared.append((replace(file, identity=Identity.of(os.fstat(patched.descriptor))), content))
    return prepared


def _opened_once(checkpoint: Checkpoint, file: CheckpointFile) -> CheckpointFile:
    """`file` as it is once it was opened to be written to: if it is in a layer of a container, it is copied then, and
    its identity changes. Raises `ConflictError` if it changed before.
    """
    os.close(checkpoint.open(file))
    with PatchedFile(real_path(checkpoint, file)) as patched, storage_errors(patched.path):
        opened = Identity.of(os.fstat(patched.descriptor))
    if (opened.size, opened.mtime_ns) != (file.identity.size, file.identity.mtime_ns):
        raise checkpoint.changed(file)
    return replace(file, identity=opened)


def _overwrite(writer: Writer, descriptor: int, content: Content, sync: Callable[[], None]) -> None:
    """Fill a file in place. If it is interrupted, the file can be read, and the same steps complete it.

    A checksum is in several places. In a zip archive, the first is in the directory and the last is beside the record.
    Before its range is overwritten, `lift` removes the checksum from all places but the last. `renew` writes the new
    one to the last place, and `settle` copies it to the others. `sync` flushes each step to the disk before the next.
    """
    checksums = content.layout.checksums
    if checksums:
        writer.change(lift, descriptor, checksums)
        sync()
    writer.fill_ready(descriptor, content.targets)
    writer.prepare_and_fill((target, lambda: nullcontext(descriptor)) for target in content.targets)
    writer.change(renew, descriptor, [c._replace(places=c.places[-1:]) for c in checksums])
    sync()
    if checksums:
        writer.change(settle, descriptor, checksums)
        sync()


def _unfinished(checkpoint: Checkpoint, journal: Journal, reason: BaseException) -> UncertainError:
    """The error for a patch that stops for a `reason`. If another program changed a file, nothing can complete it."""
    why = reason.problems[-1].message if isinstance(reason, InitctlError) else str(reason) or type(reason).__name__
    message = f"{shown(checkpoint.path)}: the patch is incomplete, some values may be new and others old: {why}"
    complete = f"fix the cause, then complete it with {completing(checkpoint.target)}"
    hint = giving_up(journal.path) if isinstance(reason, ConflictError) else complete
    return UncertainError(Problem("patch.unfinished", message, hint))
