"""The checkpoint with some tensors filled, in its own format: its files written anew, or patched."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

from initctl.checksums import is_computed, lift, renew, settle
from initctl.commit.patching import PatchedFile
from initctl.commit.reserving import reserve
from initctl.errors import Problem, UncertainError, UsageError, listed, shown
from initctl.execution.content import Content, Draft
from initctl.execution.destination import check_in_place, check_not_linked, real_path
from initctl.filling.targets import FilledFile
from initctl.layout.ranges import uncovered
from initctl.reading import TensorReader

if TYPE_CHECKING:
    from initctl.execution.writer import Writer
    from initctl.formats import Checkpoint, CheckpointFile


def rewritten(writer: Writer, files: Mapping[str, CheckpointFile]) -> Draft:
    """`files` under the names that they get, filled."""
    return Draft({name: _content(writer, file) for name, file in files.items()}, tuple(files.values()))


def _content(writer: Writer, file: CheckpointFile) -> Content:
    """One of the checkpoint's files, filled. Checksums are renewed; zeros in place of one stay zero."""
    filled = FilledFile.of(file, writer.targets.get(file.name, ()))
    to_renew = filled.to_renew
    if not all(checksum.value for checksum in to_renew):
        with TensorReader(writer.checkpoint) as reader, reader.opened(file.name) as source:
            to_renew = [checksum for checksum in to_renew if is_computed(checksum, source)]
    return Content.rewritten(filled, to_renew)


def fill_in_place(writer: Writer, touched: Sequence[CheckpointFile]) -> None:
    """Patch the files that are `touched`: overwrite what is filled of them.

    Does not verify checksums: an interrupted patch leaves some unfinished. Raises `UsageError` if new values
    depend on old ones: the same command could not complete it.
    """
    checkpoint = writer.checkpoint
    if writer.olds:
        names = listed([shown(part.tensor.name) for part in writer.olds])
        message = f"patch: {names}: computed from old values, which a patch overwrites"
        raise UsageError(Problem("output.patch", message, "leave --patch out"))
    check_in_place(checkpoint, touched, patch=True)
    check_not_linked(checkpoint, touched)
    writer.workers.total += sum(target.nbytes for file in touched for target in writer.targets[file.name])
    _ = writer.computer  # fail now if no engine can be loaded, before anything is overwritten
    overwriting = False
    try:
        for file in touched:
            with PatchedFile(real_path(checkpoint, file)) as patched:
                checkpoint.check_opened(file, patched.descriptor)
                content = _content(writer, file)
                reserve(patched.descriptor, uncovered(file.size, content.kept), patched.path, unshare=True)
                overwriting = True
                _overwrite(writer, patched.descriptor, content, patched.sync)
    except BaseException as error:
        if not overwriting:
            raise
        raise _unfinished(checkpoint, error) from error
    if touched:
        writer.committed()


def _overwrite(writer: Writer, descriptor: int, content: Content, sync: Callable[[], None]) -> None:
    """Fill a file in place so that it can be read, and completed by the same steps, wherever they stop.

    A checksum is in several places: in a zip archive first in the directory, and last beside the record. Before its
    range is overwritten, `lift` takes it from all but the last; `renew` puts the new one there; `settle` copies it to
    the others. `sync` brings each step to the disk before the next.
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


def _unfinished(checkpoint: Checkpoint, reason: BaseException) -> UncertainError:
    why = str(reason) or type(reason).__name__
    message = f"{shown(checkpoint.path)}: holds new values in a part of its tensors and old ones in the rest: {why}"
    hint = "fix the cause, then run the same command to complete it"
    return UncertainError(Problem("patch.unfinished", message, hint))
