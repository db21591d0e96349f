"""Carry out a plan: choose how the result is written, and start the workers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, NamedTuple

from initctl.commit.failure import storage_errors
from initctl.execution.destination import check_not_source
from initctl.execution.drafting import checked, drafted, drafted_in_place, placed
from initctl.execution.resizing import check_resizable
from initctl.execution.rewriting import fill_in_place
from initctl.execution.writer import Writer
from initctl.filling.memory import check_memory
from initctl.reading import olds
from initctl.threads import processors
from initctl.workers import Workers

if TYPE_CHECKING:
    from initctl.events import Event
    from initctl.execution.output_format import Conversion
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
    with opened_writer(plan, output, conversion=conversion, patch=patch, threads=threads, on_event=on_event) as writer:
        if output is None:
            return _in_place(writer, dropped, patch=patch)
        draft, place = drafted(writer, output, conversion, dropped, overwrite=overwrite)
        replaced = place.has_content
        writer.write(draft, place)
        return Written(output, tuple(draft.contents), writer.engines, replaced)


@contextmanager
def opened_writer(
    plan: Plan,
    output: str | None,
    *,
    conversion: Conversion | None = None,
    patch: bool = False,
    threads: int | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> Iterator[Writer]:
    """A writer for `plan`, if `output` and the memory allow it. Errors of the system in the body are `StorageError`.

    The arguments are those of `execute`, which raises the same errors before it writes.
    """
    plan.checkpoint.check_unchanged(plan.checkpoint.files)
    is_reset = plan.buffers is not None
    check_resizable(plan.checkpoint, output, conversion, patch=patch, is_reset=is_reset)
    if output is not None:
        check_not_source(plan, output)
    check_memory(plan.actions)
    with _callers_errors(on_event) as on_event, ExitStack() as stack, storage_errors(output or plan.checkpoint.path):
        workers = stack.enter_context(Workers(threads or processors(), on_event))
        yield Writer(plan, workers, olds(plan, stack), on_event)


def _in_place(writer: Writer, dropped: Sequence[str], *, patch: bool) -> Written:
    if patch:
        fill_in_place(writer, writer.touched)
    elif made := drafted_in_place(writer, dropped):
        writer.write(*made)
    return Written(writer.checkpoint.path, tuple(file.name for file in writer.touched), writer.engines)


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


def would_replace(
    plan: Plan, output: str, names: Iterable[str], *, conversion: Conversion | None, overwrite: bool | None
) -> bool:
    """Whether `execute`, which would write files of these `names`, would replace something at `output`.

    Raises what `execute` raises about the output before it writes.
    """
    check_not_source(plan, output)
    place = placed(plan.checkpoint, output, conversion, overwrite=overwrite)
    checked(place, output, names)
    return place.has_content
