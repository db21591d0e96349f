"""What writing any result takes: engines, threads, tasks, and files of the input to read."""

from __future__ import annotations

import os
from collections import defaultdict
from contextlib import contextmanager, nullcontext
from functools import partial
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING

from initctl.checksums import ChangeTask, CheckTask, lift, refuse, renew, settle
from initctl.errors import ConflictError
from initctl.events import Committed
from initctl.execution.strided import strided_tasks
from initctl.execution.tasks import fill_tasks
from initctl.filling import Computer, choose_engines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from initctl.events import Event
    from initctl.execution.strided import GatherTask
    from initctl.execution.tasks import CopyTask, FillTask
    from initctl.filling import TargetBlock
    from initctl.formats import CheckpointFile, Checksum
    from initctl.planning import Plan
    from initctl.stream import Old
    from initctl.tensors import TensorPart
    from initctl.workers import Workers

    Opened = Callable[[], AbstractContextManager[int]]
    """Gives a descriptor to write to, each time it is called."""
    Kept = CopyTask | GatherTask


class Writer:
    """Writes the result of one plan."""

    def __init__(
        self, plan: Plan, workers: Workers, olds: Mapping[TensorPart, Old], on_event: Callable[[Event], None] | None
    ) -> None:
        self.plan = plan
        self.written = plan.written
        self.olds = olds
        self.checkpoint = plan.checkpoint
        self.workers = workers
        self.on_event = on_event
        self._computer: Computer | None = None

    def begin(self, nbytes: int, carried: Sequence[tuple[CheckpointFile, Sequence[Checksum]]] = ()) -> None:
        """Make ready to write `nbytes`. Files must hold what their `carried` checksums say: else `InputError`."""
        carried = [(file, [checksum for checksum in checksums if checksum.value]) for file, checksums in carried]
        looked_at = sum(checksum.stop - checksum.start for _, checksums in carried for checksum in checksums)
        self.workers.expect(nbytes + looked_at)
        for file, checksums in carried:
            if checksums:
                path = os.path.join(self.checkpoint.directory, file.name)
                with self.source(file) as source:
                    opened = _open_already(source)
                    self.workers.run(CheckTask(c, opened, partial(refuse, path, c)) for c in checksums)

    def computer(self) -> Computer:
        """What computes. When it is asked for first, engines are chosen, and loaded or compiled: this takes time."""
        if not self._computer:
            engines = choose_engines(self.written, threads=self.workers.threads, on_event=self.on_event)
            self._computer = Computer(self.plan.seed, engines, self.olds)
        return self._computer

    def committed(self) -> None:
        if self.on_event:
            self.on_event(Committed())

    def fill(
        self,
        descriptor: int,
        targets: Sequence[TargetBlock],
        kept: Iterable[Kept] = (),
        checksums: Iterable[Checksum] = (),
    ) -> None:
        """Run the tasks that write what is `kept`, compute `targets`, and renew the `checksums` of what was written."""
        self.fill_elements(descriptor, targets, kept)
        self.fill_wholes((target, _open_already(descriptor)) for target in targets)
        self.change(renew, descriptor, checksums)

    def fill_elements(self, descriptor: int, targets: Iterable[TargetBlock], kept: Iterable[Kept] = ()) -> None:
        """Write what is `kept`, and those `targets` whose elements are computed one by one.

        What is between the elements of a target may be among the kept: that is written first.
        """
        ready = [target for target in targets if target.is_ready]
        self.workers.run(self._tasks(descriptor, (t for t in ready if t.block.is_row_major), iter(kept)))
        strided = (t for t in ready if not t.block.is_row_major)
        self.workers.run(strided_tasks(strided, self.computer(), descriptor))

    def _tasks(
        self, descriptor: int, targets: Iterable[TargetBlock], kept: Iterator[Kept]
    ) -> Iterator[Kept | FillTask]:
        """Tasks in order of offset, but some that copy first: threads run these while engines are loaded."""
        yield from islice(kept, self.workers.ahead)
        yield from merge(kept, fill_tasks(targets, self.computer(), descriptor), key=_offset)

    def fill_wholes(self, targets: Iterable[tuple[TargetBlock, Opened]]) -> None:
        """Write those `targets` whose values depend on each other, each to the file that it comes with.

        A tensor is computed once, in however many files it is, and is gone when the next one begins; all of them in the
        order of the plan.
        """
        by_action: dict[int, list[tuple[TargetBlock, Opened]]] = defaultdict(list)
        for target, opened in targets:
            if not target.is_ready:
                by_action[id(target.action)].append((target, opened))
        for action in self.written if by_action else ():
            if parts := by_action.get(id(action)):
                law = self.computer().prepared(action)
                for target, opened in parts:
                    with opened() as descriptor:
                        self.fill_elements(descriptor, [target._replace(law=law)])

    def change(self, change: Callable[[int, Checksum], None], descriptor: int, checksums: Iterable[Checksum]) -> None:
        """Make a `change` to each of `checksums`."""
        self.workers.run(ChangeTask(change, descriptor, checksum) for checksum in checksums)

    def fill_in_place(
        self, descriptor: int, targets: Sequence[TargetBlock], checksums: Sequence[Checksum], sync: Callable[[], None]
    ) -> None:
        """`fill` a file that others may read, and that must be readable, and completed by the same steps, wherever they
        stop: while a range is overwritten its checksum is at its last place alone. What `sync` brings to the disk is
        there before the next step.
        """
        if checksums:
            self.change(lift, descriptor, checksums)
            sync()
        self.fill(descriptor, targets, checksums=[c._replace(places=c.places[-1:]) for c in checksums])
        sync()
        if checksums:
            self.change(settle, descriptor, checksums)
            sync()

    @contextmanager
    def source(self, file: CheckpointFile) -> Iterator[int]:
        """A descriptor that reads `file`."""
        descriptor = self.checkpoint.open(file)
        try:
            yield descriptor
        except ConflictError:
            raise self.checkpoint.changed(file) from None
        finally:
            os.close(descriptor)


def _open_already(descriptor: int) -> Opened:
    return lambda: nullcontext(descriptor)


def _offset(task: Kept | FillTask) -> int:
    return task.offset
