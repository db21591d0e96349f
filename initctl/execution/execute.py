"""Plan → bytes: stage beside the target, write, check that the input is still the same, commit once."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from initctl.commit import storage_errors
from initctl.execution.destination import check_not_source
from initctl.execution.outputs import names_directory
from initctl.execution.rewriting import Rewriter
from initctl.filling import check_memory
from initctl.reading import olds
from initctl.threads import processors
from initctl.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from initctl.events import Event
    from initctl.execution.outputs import Conversion
    from initctl.execution.result import Written
    from initctl.planning import Plan


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
    """Carry out `plan` and write the checkpoint to `output`, or, without one, in place.

    A file at `output` is replaced if it is a checkpoint; by `overwrite` whatever it is, or never.
    `conversion` is what the output becomes if that is another kind than the input. Files of a directory that are
    `dropped` do not go along. Memory does not grow with the checkpoint, but for initializers that need a whole tensor:
    they have room for one at a time. Whatever is raised, what was there is as it was and nothing is left behind, but
    for `UncertainError` and for what `on_event` raises on `Committed`: then the result is in place. In place, `patch`
    overwrites only the ruled bytes: then `UncertainError` also says that some of them hold new values and some do not.
    """
    plan.checkpoint.check_unchanged(plan.checkpoint.files)
    if output is not None:
        check_not_source(plan, output)
    check_memory(plan.actions)
    with ExitStack() as stack, storage_errors(plan.checkpoint.path if output is None else output):
        workers = stack.enter_context(Workers(threads or processors(), on_event))
        revised = olds(plan, stack)
        if output is not None and conversion:
            from initctl.execution.converting import Converter

            converter = Converter(plan, conversion.format, workers, revised, on_event)
            if conversion.largest is None:
                return converter.to_file(output, overwrite=overwrite)
            return converter.to_directory(output, largest=conversion.largest, overwrite=overwrite, dropped=dropped)
        rewriter = Rewriter(plan, workers, revised, on_event, dropped)
        if patch:
            return rewriter.patched()
        if output is None:
            return rewriter.in_place()
        into_directory = plan.checkpoint.is_directory or names_directory(output)
        return rewriter.to_new_path(output, into_directory=into_directory, overwrite=overwrite)
