"""One result that the ranks of a run write: each its part; the first commits it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from initctl.distributed.jobs import job_of
from initctl.distributed.note import Note
from initctl.distributed.ranks import ranks_text
from initctl.errors import ConflictError, Problem, UsageError, shown
from initctl.execution.drafting import drafted
from initctl.execution.execute import opened_writer, written
from initctl.grouping import grouped
from initctl.planning.plan import TORCH

if TYPE_CHECKING:
    from initctl.distributed.ranks import Ranks
    from initctl.events import Event
    from initctl.execution import Delivery
    from initctl.execution.execute import Written


def execute_together(
    delivery: Delivery,
    ranks: Ranks,
    *,
    threads: int | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> Written:
    """Carry out the plan of `delivery` by all `ranks`, as `execute` does alone. The result is the same.

    Raises `ConflictError` if ranks have other plans or see other files, and the error of a rank that fails; then what
    is written so far stays beside the output, and the same call continues.
    """
    _check(delivery)
    with opened_writer(delivery, threads=threads, on_event=on_event) as writer:
        made = drafted(writer, delivery)
        job = made and job_of(writer, *made)
        own = (job.digest, Note.of(delivery.plan, job.draft, ranks.count)) if job else (None, None)
        if problems := list(_differences(ranks.all_of(own))):
            raise ConflictError(*problems)
        if job is None:
            return written(delivery, writer)
        replaced = delivery.output is not None and job.place.has_content
        _first(ranks, partial(job.prepare, ranks.count))
        receipts = ranks.all_of(job.write(ranks.rank + 1, ranks.count))
        _first(ranks, job.commit)
        engines = {device: name for receipt in receipts for device, name in receipt.engines.items()}
        return written(delivery, writer, job.draft, replaced=replaced)._replace(engines=engines)


def _first(ranks: Ranks, step: Callable[[], object]) -> None:
    """Let the first rank take a `step`. The others wait for its end."""
    if ranks.rank == 0:
        step()
    ranks.all_of(None)


def _check(delivery: Delivery) -> None:
    """Raise `UsageError` if the result cannot be written by several processes."""
    if delivery.plan.rng == TORCH:
        fault = "--rng torch draws the values of all tensors in one sequence, which ranks cannot share"
        raise UsageError(Problem("usage.ranks", fault, "leave it out, or use one process"))
    if delivery.patch:
        fault = "--patch overwrites the checkpoint itself, which ranks cannot do together"
        raise UsageError(Problem("usage.ranks", fault, "leave it out, or use one process"))


def _differences(plans: list[tuple[str | None, Note | None]]) -> Iterator[Problem]:
    """A problem for the ranks that have another plan than the first, and one for those that see other files."""
    digest, note = plans[0]
    others = grouped((_difference(digest, note, *other), rank) for rank, other in enumerate(plans) if other != plans[0])
    for difference, ranks in others.items():
        have = "has" if len(ranks) == 1 else "have"
        hint = "give every rank the same checkpoint and rules, on a file system that all share"
        yield Problem("ranks.differ", f"{ranks_text(ranks)} {have} {difference} than rank 0", hint)


def _difference(digest: str | None, note: Note | None, other_digest: str | None, other: Note | None) -> str:
    if digest != other_digest or note is None or other is None:
        return "another plan or output"
    if note.version != other.version:
        return f"another version of initctl ({other.version})"
    changed = [name for name, state in note.sources.items() if other.sources.get(name) != state]
    return f"another file {shown(changed[0])}" if changed else "another number of parts"
