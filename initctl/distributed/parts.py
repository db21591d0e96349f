"""A result that is written in parts: by any processes that share a file system, in any order; then one commits it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from initctl.applied import Applied, applied
from initctl.distributed.jobs import job_of
from initctl.distributed.progress import Split, Status
from initctl.distributed.split import MOST
from initctl.errors import Problem, UsageError, shown
from initctl.execution.drafting import drafted_at, placed
from initctl.execution.execute import opened_writer, written
from initctl.integers import counting
from initctl.planning.plan import TORCH
from initctl.stores.output import local_place
from initctl.system_errors import explaining_failures
from initctl.threads import thread_count

if TYPE_CHECKING:
    from initctl.distributed.job import Job
    from initctl.distributed.receipt import Receipt
    from initctl.events import Event
    from initctl.execution import Delivery
    from initctl.planning import Plan


@dataclass(frozen=True, slots=True)
class Parts:
    """A result that several processes write in parts, in any order, at once or one after another.

    They must share the file system of the output, or write to a store, and make equal `Parts`: the same plan, output
    and options. Nothing is visible at the output before `commit`. The result does not depend on the number of parts: it
    is equal, byte for byte, to what `initctl.apply` writes. A part that was interrupted is written again; one that is
    done is not.

    `initctl.parts` makes it.
    """

    output: str
    delivery: Delivery
    warnings: tuple[Problem, ...] = ()

    def __post_init__(self) -> None:
        """Raises `UsageError` if the result cannot be written in parts."""
        if self.plan.rng == TORCH:
            fault = "--rng torch draws the values of all tensors in one sequence, which parts cannot share"
            raise UsageError(Problem("usage.parts", fault, "leave it out, or write the result without parts"))

    @property
    def plan(self) -> Plan:
        return self.delivery.plan

    @explaining_failures
    def split(self, parts: int) -> Split:
        """What each of `parts` would write: a pure function of the plan and the number."""
        _check(1, parts)
        with self._job(threads=1) as job:
            return Split(self.output, tuple(job.shares(parts)))

    @explaining_failures
    def write(
        self, part: int, parts: int, *, threads: int | None = None, on_event: Callable[[Event], None] | None = None
    ) -> Receipt:
        """Write part number `part`, from 1 to `parts`, unless that is done. It is kept even if the power fails, but it
        is not visible yet.

        Args:
            part: the number of this part.
            parts: the number of all parts. The first part that is written decides it.
            threads, on_event: as for `initctl.apply`.

        Raises:
            UsageError: a part of this number does not exist.
            ConflictError: another number of parts was begun, or a file of the checkpoint changed since then.
            InputError, FitError, StorageError: as for `initctl.apply`.
        """
        _check(part, parts)
        with self._job(threads=thread_count(threads), on_event=on_event) as job:
            job.settle()
            return job.write(part, parts)

    @explaining_failures
    def status(self) -> Status:
        """Which parts are written. Raises `ConflictError` if they are of no use: the checkpoint changed."""
        with self._job(threads=1) as job:
            if (note := job.noted()) and not job.is_in_place:
                job.check_begun(note)
            return Status(self.output, tuple(job.receipts(note.parts)) if note else ())

    @explaining_failures
    def commit(self, *, threads: int | None = None, on_event: Callable[[Event], None] | None = None) -> Applied:
        """Let the result take its place, in one step, if all parts are written.

        Args:
            threads, on_event: as for `initctl.apply`.

        Raises:
            ConflictError: parts are missing, or a file of the checkpoint changed since the first part was written.
            StorageError, UncertainError: as for `initctl.apply`.
        """
        with self._job(threads=thread_count(threads), on_event=on_event, is_commit=True) as job:
            replaced = job.place.has_content and not job.is_in_place
            receipts = job.commit()
            made = written(self.delivery, job.writer, job.draft, replaced=replaced)
        engines = {device: name for receipt in receipts for device, name in receipt.engines.items()}
        return applied(self.delivery, made._replace(engines=engines), self.warnings)

    @contextmanager
    def _job(
        self, *, threads: int, on_event: Callable[[Event], None] | None = None, is_commit: bool = False
    ) -> Iterator[Job]:
        """The job. In a commit its own result may be at the output, even if nothing may be replaced: an earlier commit
        was killed after that.
        """
        given = self.delivery
        is_kept = is_commit and given.overwrite is False
        delivery = given._replace(overwrite=True) if is_kept else given
        with opened_writer(given, threads=threads, on_event=on_event) as writer:
            output = local_place(self.output)  # a store may show something else by now
            job = job_of(writer, *drafted_at(output, writer, delivery))
            yield replace(job, place=placed(given, output)) if is_kept and not job.is_in_place else job


def _check(part: int, parts: int) -> None:
    """Raise `UsageError` unless `part` is one of the numbers from 1 to `parts`, and those are not too many."""
    counting("part", part)
    counting("parts", parts)
    if parts > MOST:
        raise UsageError(Problem("usage.parts", f"{shown(parts)} parts are too many", f"use {MOST:,} at most"))
    if part > parts:
        raise UsageError(Problem("usage.part", f"part {part} of {parts} does not exist"))
