"""One result that the ranks of a run write: each its part; the first commits it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Self

from initctl.distributed.jobs import job_of
from initctl.distributed.ranks import ranks_text
from initctl.errors import ConflictError, Problem, UsageError, shown
from initctl.execution.drafting import drafted
from initctl.execution.execute import opened_writer, written
from initctl.grouping import grouped
from initctl.planning.documents import tensors_digest
from initctl.planning.plan import TORCH

if TYPE_CHECKING:
    from initctl.distributed.job import Job
    from initctl.distributed.note import Note
    from initctl.distributed.ranks import Ranks
    from initctl.events import Event
    from initctl.execution import Delivery
    from initctl.execution.execute import Written


class _Intent(NamedTuple):
    """What a rank is about to do: digests of its job and of its tensors, its seed and output, and what it notes."""

    job: str
    tensors: str
    seed: str
    output: str
    note: Note

    @classmethod
    def of(cls, job: Job, parts: int) -> Self:
        plan, output = job.writer.plan, os.path.basename(job.place.path)
        return cls(job.digest, tensors_digest(plan.checkpoint), str(plan.seed), output, job.own_note(parts))

    def difference(self, first: _Intent) -> str:
        """The first way in which it differs from that of the `first` rank. This explains those after it."""
        if self.tensors != first.tensors:
            return "another checkpoint"
        if self.seed != first.seed:
            return "another seed"
        if self.output != first.output:
            return "another output"
        if self.job != first.job:
            return "other rules or options"
        if self.note.version != first.note.version:
            return f"another version of initctl ({self.note.version})"
        changed = [name for name, state in first.note.sources.items() if self.note.sources.get(name) != state]
        return f"another file {shown(changed[0])}" if changed else "another number of parts"


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
        own = _Intent.of(job, ranks.count) if job else None
        if problems := list(_differences(ranks.all_of(own))):
            raise ConflictError(*problems)
        if job is None:
            return written(delivery, writer)
        replaced = delivery.output is not None and job.place.has_content
        _first(ranks, partial(job.prepare, ranks.count))
        receipts = ranks.all_of(job.write(ranks.rank + 1, ranks.count))
        _commit(ranks, job)
        engines = {device: name for receipt in receipts for device, name in receipt.engines.items()}
        return written(delivery, writer, job.draft, replaced=replaced)._replace(engines=engines)


def _first(ranks: Ranks, step: Callable[[], object]) -> None:
    """Let the first rank take a `step`. The others wait for its end."""
    if ranks.rank == 0:
        step()
    ranks.all_of(None)


def _commit(ranks: Ranks, job: Job) -> None:
    """Let the first rank commit. From then on, a rank that is lost leaves a result that is in place, or may be."""
    path = shown(job.place.path)
    ranks.reached = f"{path}: may be in place"
    if ranks.rank == 0:
        job.commit()
        ranks.reached = f"{path}: is in place"
    ranks.all_of(None)
    ranks.reached = f"{path}: is in place"


def _check(delivery: Delivery) -> None:
    """Raise `UsageError` if the result cannot be written by several processes."""
    if delivery.plan.rng == TORCH:
        fault = "--rng torch draws the values of all tensors in one sequence, which ranks cannot share"
        raise UsageError(Problem("usage.ranks", fault, "leave it out, or use one process"))
    if delivery.patch:
        fault = "--patch overwrites the checkpoint itself, which ranks cannot do together"
        raise UsageError(Problem("usage.ranks", fault, "leave it out, or use one process"))


def _differences(intents: Sequence[_Intent | None]) -> Iterator[Problem]:
    """A problem for the ranks that are about to do something else than the first, or see other files."""
    first = intents[0]
    others = grouped((_difference(first, other), rank) for rank, other in enumerate(intents) if other != first)
    for difference, ranks in others.items():
        have = "has" if len(ranks) == 1 else "have"
        hint = "give every rank the same command, and the same files"
        yield Problem("ranks.differ", f"{ranks_text(ranks)} {have} {difference} than rank 0", hint)


def _difference(first: _Intent | None, other: _Intent | None) -> str:
    return other.difference(first) if first and other else "other rules"
