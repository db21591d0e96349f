"""Writes any result: it connects engines, threads, tasks and the input's files."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import cached_property, partial
from heapq import merge
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from initctl.checksums import Sums, check_task, refuse, renew
from initctl.commit.copying import write_all
from initctl.commit.failure import storage_errors
from initctl.commit.reserving import check_space, reserve, set_size, share
from initctl.commit.staging import NewFile, StagedDirectory, StagedFile
from initctl.events import Committed, Event
from initctl.execution.tasks import fill_tasks, strided_tasks
from initctl.filling.computer import Computer
from initctl.filling.engines import choose_engines
from initctl.filling.targets import TargetBlock, targets_by_file
from initctl.grouping import grouped
from initctl.layout.ranges import ByteRange, joined, total, uncovered
from initctl.reading import TensorReader
from initctl.reshaping.renewed_files import RenewedFile, renewed_files
from initctl.workers import Task, Workers

if TYPE_CHECKING:
    from initctl.execution.content import Content, Draft
    from initctl.execution.destination import Destination
    from initctl.formats import Checksum
    from initctl.formats.writing.formats import Part
    from initctl.planning import Plan
    from initctl.stream import Old
    from initctl.tensors import TensorPart

    Opened = Callable[[], AbstractContextManager[int]]
    """Gives a descriptor to write to, each time it is called."""


class _Output(NamedTuple):
    """A file that is written: its `content`, of which nothing is kept that the source shares; the bytes that need
    `space` on the disk; and its checksums, once they are known.
    """

    content: Content
    new: NewFile
    space: Sequence[ByteRange]
    sums: Sums


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
        self.engines: dict[str, str] = {}
        """The names of engines by device, once they are chosen."""

    @cached_property
    def computer(self) -> Computer:
        """Computes values. The first use takes time: it chooses engines, and loads or compiles them."""
        engines = choose_engines(self.written, threads=self.workers.threads, on_event=self.on_event)
        self.engines = {device: engine.name for device, engine in engines.items()}
        return Computer(self.plan.seed, engines, self.olds)

    @cached_property
    def targets(self) -> dict[str, list[TargetBlock]]:
        """The blocks that are filled in each of the checkpoint's own files, by name."""
        return targets_by_file(self.written)

    @cached_property
    def renewed_files(self) -> dict[str, RenewedFile]:
        """The checkpoint's own files that change around their tensors, by name."""
        return renewed_files(self.checkpoint)

    def committed(self) -> None:
        if self.on_event:
            self.on_event(Committed())

    def new_file(self, draft: Draft, place: Destination, *, no_clobber: bool = False) -> None:
        """Write the one file of `draft`. Raises `InputError` if the input is damaged, and what `StagedFile` raises."""
        (content,) = draft.contents.values()
        with StagedFile(place.path) as staged:
            self._write(draft, [(content._replace(mode=place.mode), staged)], place.path)
            self._check_unchanged(draft)
            staged.commit(no_clobber=no_clobber, on_commit=self.committed)

    def new_directory(
        self,
        draft: Draft,
        place: Destination,
        *,
        check_before_replacing: Callable[[], None] | None,
        without: Container[str] | None = None,
    ) -> None:
        """Write the files of `draft`. If `without` is given, all other files at the place are linked in, except these.
        Raises what `new_file` and `check_before_replacing` raise.
        """
        with StagedDirectory(place.path) as staged:
            files = [(content, staged.file(name)) for name, content in draft.contents.items()]
            self._write(draft, files, place.path)
            if without is not None:
                staged.link_rest(place.path, without=without)
            staged.sync(place.mode, like=self.checkpoint.directory)
            self._check_unchanged(draft)
            staged.commit(check_before_replacing=check_before_replacing, on_commit=self.committed)

    def _check_unchanged(self, draft: Draft) -> None:
        self.checkpoint.check_unchanged(draft.sources)
        self.plan.check_sources()

    def _write(self, draft: Draft, files: Sequence[tuple[Content, NewFile]], path: str) -> None:
        """Write new `files`, and flush them to the disk. Disk space for all of them is reserved first; messages call
        them `path` if they do not fit together.
        """
        self.workers.total += sum(content.nbytes for content in draft.contents.values())
        with TensorReader(self.checkpoint, draft.sources) as reader:
            outputs = [self._begun(content, new, reader) for content, new in files]
            check_space(os.path.dirname(path), sum(total(output.space) for output in outputs), path)
            for output in outputs:
                with output.new.opened() as descriptor, storage_errors(output.new.target):
                    reserve(descriptor, output.space, output.new.target)
            for output in outputs:
                self._copy_and_fill(output, reader)
        self.prepare_and_fill((target, output.new.opened) for output in outputs for target in output.content.targets)
        for content, new, _, sums in outputs:
            with new.opened() as descriptor, storage_errors(new.target):
                self.change(partial(renew, sums=sums), descriptor, content.layout.checksums)
                _write_parts(descriptor, content.layout.closing(descriptor))
                new.sync(content.mode)

    def _begun(self, content: Content, new: NewFile, reader: TensorReader) -> _Output:
        """Set the size of `new`, and let it share what is kept with the source, as far as the file system can."""
        size, rest = content.layout.size, content.kept
        with new.opened() as descriptor, storage_errors(new.target):
            set_size(descriptor, size, new.target)
            if content.source:
                with reader.opened(content.source.name) as source:
                    rest = share(source, descriptor, content.kept)
        self.workers.advance(total(content.kept) - total(rest))
        space = joined([*uncovered(size, content.kept), *rest])
        return _Output(content._replace(kept=rest), new, space, Sums())

    def _copy_and_fill(self, output: _Output, reader: TensorReader) -> None:
        """Write everything that does not depend on a whole tensor, and verify what is copied."""
        content, new, _, sums = output
        with ExitStack() as stack, storage_errors(new.target):
            descriptor = stack.enter_context(new.opened())
            sources = {name: stack.enter_context(reader.opened(name)) for name in content.files}
            _write_parts(descriptor, content.layout.parts)
            copying = content.copying(sources, descriptor)
            kept = merge(self._checks(content, reader), copying, key=attrgetter("offset"))
            self.fill_ready(descriptor, content.targets, kept, sums)

    def _checks(self, content: Content, reader: TensorReader) -> Iterator[Task]:
        """Tasks that raise `InputError` if the input is damaged: new checksums would hide it."""
        for file, checksum in content.checked:
            fail = partial(refuse, os.path.join(self.checkpoint.directory, file.name), checksum)
            yield check_task(checksum, partial(reader.opened, file.name), fail)

    def fill_ready(
        self, descriptor: int, targets: Iterable[TargetBlock], kept: Iterable[Task] = (), sums: Sums | None = None
    ) -> None:
        """Run the tasks that write what is `kept`, and fill those `targets` whose elements are computed one by one.
        Row-major targets are added to `sums`.

        Kept bytes are written before strided targets, because they may be between the elements of one.
        """
        ready = [target for target in targets if target.is_ready]
        row_major = [target for target in ready if target.block.is_row_major]
        self.workers.run(self._tasks(iter(kept), lambda: fill_tasks(row_major, self.computer, descriptor, sums)))
        strided = (target for target in ready if not target.block.is_row_major)
        self.workers.run(strided_tasks(strided, self.computer, descriptor))

    def _tasks(self, kept: Iterator[Task], filling: Callable[[], Iterable[Task]]) -> Iterator[Task]:
        """Tasks in order of offset. Some that copy come first: threads run them while engines are loaded."""
        yield from islice(kept, self.workers.ahead)
        yield from merge(kept, filling(), key=attrgetter("offset"))

    def prepare_and_fill(self, targets: Iterable[tuple[TargetBlock, Opened]]) -> None:
        """Write those `targets` whose law must be prepared first, each to its own file.

        Their values depend on each other, or on old ones. Each tensor is computed once, even if it is in several files,
        in the order of the plan. Its memory is freed before the next one.
        """
        by_action = grouped((id(pair[0].action), pair) for pair in targets if not pair[0].is_ready)
        for action in self.written if by_action else ():
            if parts := by_action.get(id(action)):
                law = self.computer.prepared(action)
                for target, opened in parts:
                    with opened() as descriptor:
                        self.fill_ready(descriptor, [target._replace(law=law)])

    def change(self, change: Callable[[int, Checksum], None], descriptor: int, checksums: Iterable[Checksum]) -> None:
        """Apply `change` to each of `checksums`. This does not count as progress."""
        self.workers.run(Task(0, partial(change, descriptor, checksum)) for checksum in checksums)


def _write_parts(descriptor: int, parts: Iterable[Part]) -> None:
    for place, content in parts:
        write_all(descriptor, content, place)
