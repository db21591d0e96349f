"""Carry out a plan: choose how the result is written, and start the workers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from initctl.commit.failure import storage_errors
from initctl.execution.destination import (
    Destination,
    check_in_place,
    check_not_here,
    check_not_source,
    check_replaced,
    destination,
    real_path,
)
from initctl.execution.output_format import Conversion, names_directory
from initctl.execution.resizing import check_resizable
from initctl.execution.rewriting import fill_in_place, rewritten
from initctl.execution.writer import Writer
from initctl.filling.memory import check_memory
from initctl.reading import olds
from initctl.threads import processors
from initctl.workers import Workers

if TYPE_CHECKING:
    from initctl.events import Event
    from initctl.formats import Checkpoint, CheckpointFile
    from initctl.planning import Plan


class Written(NamedTuple):
    """What was written: the path, and the names of the files in the result.

    `files` is empty if nothing had to change in place. `engines` are the names of the engines that computed, by device.
    `replaced` says that an older file or directory was at an output.
    """

    path: str
    files: tuple[str, ...]
    engines: Mapping[str, str]
    replaced: bool = False


def execute(
    plan: Plan,
    output: str | None = None,
    *,
    conversion: Conversion | None = None,
    patch: bool = False,
    threads: int | None = None,
    overwrite: bool | None = None,
    dropped: Sequence[str] = (),
    on_event: Callable[[Event], None] | None = None,
) -> Written:
    """Carry out `plan` and write the checkpoint to `output`; in place if `output` is None.

    By default a file at `output` is replaced only if it is a checkpoint; `overwrite=True` replaces any file, False
    none. `conversion` is the output's kind if it differs from the input's. Files of a directory that are `dropped` are
    not copied. Memory does not grow with the checkpoint, except that one whole tensor is held for initializers that
    need it.

    After an exception, the old content is unchanged and nothing is left behind. There are two exceptions: after
    `UncertainError`, and after anything that `on_event` raises on `Committed`, the result is in place. `patch`
    overwrites only the bytes that rules fill: then `UncertainError` can also mean that only some of them are new.
    """
    plan.checkpoint.check_unchanged(plan.checkpoint.files)
    is_reset = plan.buffers is not None
    check_resizable(plan.checkpoint, output, conversion, patch=patch, is_reset=is_reset)
    if output is not None:
        check_not_source(plan, output)
    check_memory(plan.actions)
    with _callers_errors(on_event) as on_event, ExitStack() as stack, storage_errors(output or plan.checkpoint.path):
        workers = stack.enter_context(Workers(threads or processors(), on_event))
        writer = Writer(plan, workers, olds(plan, stack), on_event)
        if output is None:
            return _in_place(writer, dropped, patch=patch)
        return _to_new_path(writer, output, conversion, dropped, overwrite=overwrite)


class _CallersError(Exception):
    """Wraps an `OSError` that the caller's own function raised, so that it is not taken for an error of the storage."""


@contextmanager
def _callers_errors(on_event: Callable[[Event], None] | None) -> Iterator[Callable[[Event], None] | None]:
    """Yield a function that calls `on_event`. If that raises an `OSError`, the caller gets it unchanged."""

    def guarded(event: Event) -> None:
        try:
            if on_event:
                on_event(event)
        except OSError as error:
            raise _CallersError(error) from error

    try:
        yield on_event and guarded
    except _CallersError as raised:
        raise raised.args[0] from None


def _to_new_path(
    writer: Writer, output: str, conversion: Conversion | None, dropped: Sequence[str], *, overwrite: bool | None
) -> Written:
    """Write to `output` as `conversion` says; or else a directory if the checkpoint is one or `output` names one."""
    checkpoint = writer.checkpoint
    is_directory = _is_directory(checkpoint, output, conversion)
    place = destination(checkpoint, output, is_directory=is_directory, overwrite=overwrite)
    if conversion:
        from initctl.execution.converting import converted

        draft = converted(writer.plan, conversion, os.path.basename(place.path), dropped)
    elif is_directory:
        others = (file for file in checkpoint.other_files if file.name not in dropped)
        draft = rewritten(writer, {file.name: file for file in (*checkpoint.files, *others)})
    else:
        (file,) = checkpoint.files
        draft = rewritten(writer, {os.path.basename(place.path): file})
    names = tuple(draft.contents)
    replaced = _has_content(place.path)
    if is_directory:
        check = None if overwrite is False else partial(check_replaced, place.path, output, names)
        if check and os.path.lexists(place.path):
            check()
        writer.new_directory(draft, place, check_before_replacing=check)
    else:
        writer.new_file(draft, place, no_clobber=overwrite is False)
    return Written(output, names, writer.engines, replaced)


def _is_directory(checkpoint: Checkpoint, output: str, conversion: Conversion | None) -> bool:
    return conversion.is_directory if conversion else checkpoint.is_directory or names_directory(output)


def _has_content(path: str) -> bool:
    """Whether a file is at `path`, or a directory that is not empty."""
    return os.path.isfile(path) or (os.path.isdir(path) and bool(os.listdir(path)))


def would_replace(
    plan: Plan, output: str, names: Iterable[str], *, conversion: Conversion | None, overwrite: bool | None
) -> bool:
    """Whether `execute`, which would write files of these `names`, would replace something at `output`.

    Raises what `execute` raises about the output before it writes.
    """
    check_not_source(plan, output)
    is_directory = _is_directory(plan.checkpoint, output, conversion)
    place = destination(plan.checkpoint, output, is_directory=is_directory, overwrite=overwrite)
    if is_directory and os.path.lexists(place.path):
        check_replaced(place.path, output, names)
    return _has_content(place.path)


def _in_place(writer: Writer, dropped: Sequence[str], *, patch: bool) -> Written:
    checkpoint = writer.checkpoint
    files = [*checkpoint.files, *(new.file for new in writer.renewed_files.values() if not new.tensors)]
    touched = [file for file in files if file.name in writer.renewed_files or file.name in writer.targets]
    if patch:
        fill_in_place(writer, touched)
    else:
        check_in_place(checkpoint, touched, patch=False)
        if len(touched) > 1 or dropped:
            _exchange(writer, touched, dropped)
        elif touched:
            place = Destination(real_path(checkpoint, touched[0]), touched[0].mode)
            writer.new_file(rewritten(writer, {touched[0].name: touched[0]}), place)
    return Written(checkpoint.path, tuple(file.name for file in touched), writer.engines)


def _exchange(writer: Writer, touched: Sequence[CheckpointFile], dropped: Sequence[str]) -> None:
    """Replace the directory in one step, because several shards change or files are dropped. Other files are linked."""
    checkpoint = writer.checkpoint
    check_not_here(checkpoint.target)
    names = {os.path.relpath(real_path(checkpoint, file), checkpoint.directory): file for file in touched}
    place = Destination(checkpoint.target, os.stat(checkpoint.target).st_mode)
    check = partial(check_not_here, checkpoint.target)
    writer.new_directory(rewritten(writer, names), place, check_before_replacing=check, without=dropped)
