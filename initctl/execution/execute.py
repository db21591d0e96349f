"""Carry out a plan: choose how the result is written, and start the workers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, NamedTuple

from initctl.commit.failure import storage_errors
from initctl.escaping import as_named
from initctl.execution.claiming import alone
from initctl.execution.destination import check_not_source
from initctl.execution.drafting import checked, drafted, placed
from initctl.execution.resizing import check_resizable
from initctl.execution.rewriting import fill_in_place
from initctl.execution.writer import Writer
from initctl.filling.memory import check_memory
from initctl.reading import olds
from initctl.stores.places import place_of
from initctl.stores.store import History
from initctl.threads import processors
from initctl.workers import Workers

if TYPE_CHECKING:
    from initctl.errors import Problem
    from initctl.events import Event
    from initctl.execution.content import Draft
    from initctl.execution.delivery import Delivery
    from initctl.execution.destination import Destination


class Written(NamedTuple):
    """What was written: the path, and the names of the files in the result.

    `files` is empty if nothing had to change in place. `engines` are the names of the engines that computed, by device.
    `replaced` says that an older file or directory was at an output. `warnings` are about what was written.
    """

    path: str
    files: tuple[str, ...]
    engines: Mapping[str, str]
    replaced: bool = False
    warnings: tuple[Problem, ...] = ()


def execute(
    delivery: Delivery, *, threads: int | None = None, on_event: Callable[[Event], None] | None = None
) -> Written:
    """Carry out the plan of `delivery`, and write the result.

    Memory does not grow with the checkpoint, except that one whole tensor is held for initializers that need it.

    After an exception, the old content is unchanged and nothing is left behind. There are two exceptions: after
    `UncertainError`, and after anything that `on_event` raises on `Committed`, the result is in place. A patch
    overwrites only the bytes that rules fill: then `UncertainError` can also mean that only some of them are new.
    """
    with alone(delivery) as warnings, opened_writer(delivery, threads=threads, on_event=on_event) as writer:
        writer.warnings += warnings
        if delivery.patch:
            fill_in_place(writer, writer.touched)
            return written(delivery, writer)
        if (made := drafted(writer, delivery)) is None:
            return written(delivery, writer)
        draft, place = made
        replaced = delivery.output is not None and place.has_content
        names = _write(writer, draft, place)
        return written(delivery, writer, draft, replaced=replaced, names=names)


def _write(writer: Writer, draft: Draft, place: Destination) -> Sequence[str] | None:
    """Write `draft` to its `place`, among files or in a store. Returns the names of the files if they may be others."""
    if not (there := place_of(place.path)):
        writer.write(draft, place)
        return None
    if isinstance(there.store, History):
        from initctl.execution.committing import commit

        commit(writer, draft, place, there.store)
        return None
    from initctl.execution.uploading import upload

    return upload(writer, draft, place)


def written(
    delivery: Delivery,
    writer: Writer,
    draft: Draft | None = None,
    *,
    replaced: bool = False,
    names: Iterable[str] | None = None,
) -> Written:
    """What `writer` wrote: the `draft`; or, in place, its files that changed, or those of new `names` for them."""
    if delivery.output is None or draft is None:
        changed = (file.name for file in writer.touched) if names is None else names
        return Written(delivery.path, tuple(changed), writer.engines, warnings=tuple(writer.warnings))
    output, warnings = as_named(delivery.output), writer.warnings
    if not delivery.conversion and (found := delivery.plan.checkpoint.warnings):
        from initctl.formats.torch_save.dangers import carried_along

        warnings = [*warnings, *carried_along(output, found, is_directory=delivery.plan.checkpoint.is_directory)]
    return Written(output, tuple(draft.contents), writer.engines, replaced, warnings=tuple(warnings))


@contextmanager
def opened_writer(
    delivery: Delivery, *, threads: int | None = None, on_event: Callable[[Event], None] | None = None
) -> Iterator[Writer]:
    """A writer for the plan of `delivery`, if the output and the memory allow it. Errors of the system in the body are
    `StorageError`.
    """
    plan = delivery.plan
    plan.checkpoint.check_unchanged(plan.checkpoint.files)
    is_reset = plan.buffers is not None
    check_resizable(plan.checkpoint, delivery.output, delivery.conversion, patch=delivery.patch, is_reset=is_reset)
    if delivery.output is not None:
        check_not_source(plan, delivery.output)
    check_memory(plan.actions)
    with ExitStack() as stack, storage_errors(delivery.path):
        workers = stack.enter_context(Workers(threads or processors(), on_event))
        yield Writer(plan, workers, olds(plan, stack), on_event)


def would_replace(delivery: Delivery, output: str, names: Iterable[str]) -> bool:
    """Whether `execute`, which would write files of these `names`, would replace something at `output`.

    Raises what `execute` raises about the output before it writes.
    """
    check_not_source(delivery.plan, output)
    place = placed(delivery, output)
    if place.check:
        place.check()
    checked(place, output, names)
    return place.has_content
