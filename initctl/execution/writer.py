"""Writes any result: it connects engines, threads, tasks and the input's files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import cached_property, partial
from heapq import merge
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from initctl import paths
from initctl.checksums import Sums, check_task, refuse, renew, sum_tasks
from initctl.commit import effects
from initctl.commit.claims import claimed, holding
from initctl.commit.copying import write_all
from initctl.commit.failure import storage_errors
from initctl.commit.keeping import kept_if_uncertain
from initctl.commit.new_files import NewDirectory
from initctl.commit.replacing import replace_directory, replace_file
from initctl.commit.reserving import check_space, held, reserve, set_size, share
from initctl.commit.rest import Rest
from initctl.commit.staging import CHANGED, StagedDirectory, StagedFile
from initctl.errors import NO_MEMORY, InitctlError, Problem, StorageError, UncertainError, listed, shown
from initctl.events import Committed, Event
from initctl.execution.destination import strangers
from initctl.execution.tasks import fill_tasks, strided_tasks
from initctl.filling.computer import Computer
from initctl.filling.engines import choose_engines
from initctl.filling.targets import TargetBlock, targets_by_file
from initctl.grouping import grouped
from initctl.layout.ranges import ByteRange, common, joined, total, uncovered
from initctl.planning.plan import TORCH
from initctl.reading import TensorReader
from initctl.reshaping.renewed_files import RenewedFile, renewed_files
from initctl.system_errors import check_working_directory
from initctl.undisturbed import undisturbed
from initctl.workers import Task, Workers

if TYPE_CHECKING:
    from initctl.commit.new_files import NewFile
    from initctl.commit.shared_staging import SharedStaging
    from initctl.execution.content import Content, Draft
    from initctl.execution.destination import Destination
    from initctl.formats import CheckpointFile, Checksum
    from initctl.formats.writing.formats import Part
    from initctl.planning import Plan
    from initctl.stream import Old
    from initctl.tensors import TensorPart

    Opened = Callable[[], AbstractContextManager[int]]
    """Gives a descriptor to write to, each time it is called."""


class _Begun(NamedTuple):
    """A file that is written: its `content`, of which nothing is kept that the source shares; the bytes that need
    `space` on the disk; how many bytes of the whole file the disk does not hold yet; and its checksums, once they are
    known.
    """

    content: Content
    new: NewFile
    space: Sequence[ByteRange]
    lacking: int
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
        self.warnings: list[Problem] = []
        """About what was written."""

    @cached_property
    def computer(self) -> Computer:
        """Computes values. The first use takes time: it chooses engines, and loads or compiles them.

        Raises `StorageError` if one of them, or torch's generator, cannot be used.
        """
        if self.plan.rng == TORCH:
            check_working_directory()
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

    @cached_property
    def touched(self) -> tuple[CheckpointFile, ...]:
        """The checkpoint's own files that change."""
        files = [*self.checkpoint.files, *(new.file for new in self.renewed_files.values() if not new.tensors)]
        return tuple(file for file in files if file.name in self.renewed_files or file.name in self.targets)

    def committed(self) -> None:
        if self.on_event:
            self.on_event(Committed())

    def write(self, draft: Draft, place: Destination) -> None:
        """Write the files of `draft` to `place`.

        Raises `InputError` if the input is damaged, and what `replace_file`, `replace_directory` and the check of
        `place` raise.
        """
        if place.is_directory:
            self._new_directory(draft, place)
        else:
            self._new_file(draft, place)

    def _new_file(self, draft: Draft, place: Destination) -> None:
        (content,) = draft.contents.values()
        with StagedFile(place.path) as staged:
            self.write_files(draft, [(self._at(place, content), staged)], place.path)
            self.check_unchanged(draft)
            if place.check:
                place.check()
            staged.commit(no_clobber=place.no_clobber, on_commit=self.committed)

    def _at(self, place: Destination, content: Content) -> Content:
        """The content of the one file at `place`, which is like the one that it replaces."""
        return content._replace(mode=place.mode, like=place.path)

    def _new_directory(self, draft: Draft, place: Destination) -> None:
        with ExitStack() as claims, StagedDirectory(place.path) as staged:
            place.check_step(staged.path)
            files = [(content, staged.file(name)) for name, content in draft.contents.items()]
            self.write_files(draft, files, place.path)
            rest = self._complete(staged, draft, place)
            check = _check_and_claim(place, claims)
            on_commit = partial(self._replaced, staged.path, rest, draft, place)
            with undisturbed(even_if=UncertainError), kept_if_uncertain(staged.path):
                staged.commit(check_before_replacing=check, on_commit=on_commit)

    def check_unchanged(self, draft: Draft) -> None:
        self.checkpoint.check_unchanged(draft.sources)
        self.plan.check_sources()

    def write_pieces(
        self, draft: Draft, pieces: Sequence[tuple[Content, NewFile]], path: str
    ) -> list[dict[ByteRange, int]]:
        """Write `pieces` of the files of `draft`, and flush them to the disk; other processes write the rest. Returns
        the CRC-32s of the sections of each piece. Messages call them `path` if they do not fit together.

        Raises `InputError` if the input is damaged.
        """
        found = []
        for content, new, *_, sums in self._filled(draft, pieces, path):
            with new.opened() as descriptor:
                self.workers.run(sum_tasks(descriptor, content.sections, sums))
                found.append({section: sums.known(descriptor, *section) for section in content.sections})
                effects.flush(descriptor)
        self.check_unchanged(draft)
        return found

    def commit_pieces(self, draft: Draft, place: Destination, staging: SharedStaging, sums: Mapping[str, Sums]) -> None:
        """Complete the result in `staging`, of which all pieces are written, and let it take its `place`.

        `sums` are the checksums of all pieces of each file.
        """
        path = staging.begin_commit()
        for name, content in draft.contents.items():
            new = staging.file(name if place.is_directory else None)
            self._finish(content if place.is_directory else self._at(place, content), new, sums[name])
        with claimed(place.path), holding(path):  # this is what other processes find there once it is in place
            if not place.is_directory:
                self.check_unchanged(draft)
                if place.check:
                    place.check()
                replace_file(path, place.path, no_clobber=place.no_clobber, on_commit=self.committed)
                return
            made = NewDirectory(path, place.path)
            made.keep_only(draft.contents)  # a commit that was killed may have linked files that are others by now
            on_commit = partial(self._replaced, path, self._complete(made, draft, place), draft, place)
            with undisturbed(even_if=UncertainError), kept_if_uncertain(path):
                replace_directory(path, place.path, check_before_replacing=place.check, on_commit=on_commit)

    def _complete(self, made: NewDirectory, draft: Draft, place: Destination) -> Rest | None:
        """Add to a directory what it has besides the files of `draft`, and flush it to the disk. Returns what it shares
        with the directory that it replaces in place.
        """
        rest = None
        if place.without is not None:
            rest = Rest(place.path, {*place.without, *draft.contents})
            rest.link(made.path)
        lost = made.sync(place.mode, like=self.checkpoint.directory, is_same=place.is_in_place)
        self._note_lost(place.path, lost)
        self.check_unchanged(draft)
        return rest

    def _replaced(self, old: str, rest: Rest | None, draft: Draft, place: Destination) -> None:
        """A new directory is in place, and what it replaced is `old`, if anything. Keep what other programs wrote there
        in the last moment: in place, all but what is new here. Raises `UncertainError` if the result lacks some of it.
        """
        try:
            self.committed()
        finally:
            if lacking := self._lacking(old, rest, draft, place):
                what = f"may lack what was written to the old one meanwhile: {listed(lacking)}"
                raise UncertainError(Problem("storage.late", f"{shown(place.path)}: is in place, but {what}"))

    def _lacking(self, old: str, rest: Rest | None, draft: Draft, place: Destination) -> list[str]:
        """What a new directory lacks of the `old` one, for a message, after it got what it can get of it."""
        try:
            with storage_errors(place.path):
                if not paths.is_directory(old):  # nothing was replaced, or another program had removed it
                    return []
                if rest is None:
                    return list(map(shown, strangers(old, draft.contents)))
                rest.follow(old)
                changed = [file for file in draft.sources if not file.is_at(_moved(file.name, old, place.path))]
                return [shown(os.path.join(place.path, file.name)) for file in changed]
        except InitctlError as error:
            return [problem.message for problem in error.problems]
        except MemoryError:
            return [problem.message for problem in NO_MEMORY.problems]

    def write_window(self, content: Content, new: NewFile, reader: TensorReader) -> None:
        """Write a window of a file without checksums to `new`, which is in memory. `reader` reads the input."""
        set_size(new.descriptor, content.layout.size, new.target)
        self._copy_and_fill(_Begun(content, new, (), 0, Sums()), reader)
        self.prepare_and_fill((target, new.opened) for target in content.targets)

    def write_files(self, draft: Draft, files: Sequence[tuple[Content, NewFile]], path: str) -> None:
        """Write new `files`, and flush them to the disk. Messages call them `path` if they do not fit together."""
        for content, new, *_, sums in self._filled(draft, files, path):
            self._finish(content, new, sums)

    def _finish(self, content: Content, new: NewFile, sums: Sums) -> None:
        """Write the checksums of a file, and flush it to the disk."""
        with new.opened() as descriptor:
            self.change(partial(renew, sums=sums), descriptor, content.layout.checksums)
            write_parts(descriptor, content.layout.closing(descriptor))
            if os.fstat(descriptor).st_size != content.layout.size:
                raise StorageError(Problem("storage.failed", f"{shown(new.target)}: {CHANGED}"))
            new.sync(content.mode, like=content.like)
        self._note_lost(new.target, new.lost)

    def _note_lost(self, path: str, lost: Sequence[str]) -> None:
        """Warn of what `path` has not kept of the file or directory that it replaces."""
        if lost:
            what = listed(list(dict.fromkeys(lost)), at_most=5)
            fault = f"{shown(path)}: lacks some of what the old one had, since this is not permitted: {what}"
            self.warnings.append(Problem("output.attributes", fault, "set them again, if you may"))

    def _filled(self, draft: Draft, files: Sequence[tuple[Content, NewFile]], path: str) -> list[_Begun]:
        """Write everything but checksums. Disk space for all `files` is reserved first."""
        self.workers.total += sum(content.nbytes for content, _ in files)
        with TensorReader(self.checkpoint, draft.sources) as reader:
            begun = [self._begun(content, new, reader) for content, new in files]
            check_space(os.path.dirname(path), _needed(begun), path)
            for one in begun:
                with one.new.opened() as descriptor:
                    reserve(descriptor, one.space, one.new.target)
            for one in begun:
                self._copy_and_fill(one, reader)
        self.prepare_and_fill((target, one.new.opened) for one in begun for target in one.content.targets)
        return begun

    def _begun(self, content: Content, new: NewFile, reader: TensorReader) -> _Begun:
        """Set the size of `new`, and let it share what is kept with the source, as far as the file system can."""
        size, rest = content.layout.size, content.kept
        with new.opened() as descriptor:
            set_size(descriptor, size, new.target)
            if content.source:
                with reader.opened(content.source.name) as source:
                    rest = share(source, descriptor, content.kept)
            lacking = max(size - held(descriptor), 0)
        self.workers.advance(total(content.kept) - total(rest))
        space = joined([*uncovered(size, content.kept), *rest])
        if content.window is not None:
            space = common(space, [content.window])
        return _Begun(content._replace(kept=rest), new, space, lacking, Sums())

    def _copy_and_fill(self, begun: _Begun, reader: TensorReader) -> None:
        """Write everything that does not depend on a whole tensor, and verify what is copied."""
        content, new, *_, sums = begun
        with new.opened() as descriptor, ExitStack() as stack:
            sources = {name: stack.enter_context(reader.opened(name)) for name in content.files}
            write_parts(descriptor, content.layout.parts)
            copying = content.copying(sources, descriptor)
            kept = merge(self.checks(content.checked, reader), copying, key=attrgetter("offset"))
            self.fill_ready(descriptor, content.targets, kept, sums, over_zeros=not new.is_shared)

    def checks(self, checked: Iterable[tuple[CheckpointFile, Checksum]], reader: TensorReader) -> Iterator[Task]:
        """Tasks that raise `InputError` if the input is damaged: new checksums would hide it."""
        for file, checksum in checked:
            fail = partial(refuse, os.path.join(self.checkpoint.directory, file.name), checksum)
            yield check_task(checksum, partial(reader.opened, file.name), fail)

    def verify(self, checked: Sequence[tuple[CheckpointFile, Checksum]]) -> None:
        """Raise `InputError` if one of the `checked` checksums is wrong."""
        self.workers.total += sum(checksum.stop - checksum.start for _, checksum in checked)
        with TensorReader(self.checkpoint) as reader:
            self.workers.run(self.checks(checked, reader))

    def fill_ready(
        self,
        descriptor: int,
        targets: Iterable[TargetBlock],
        kept: Iterable[Task] = (),
        sums: Sums | None = None,
        *,
        over_zeros: bool = False,
    ) -> None:
        """Run the tasks that write what is `kept`, and fill those `targets` whose elements are computed one by one.
        Row-major targets are added to `sums`. With `over_zeros`, unwritten bytes of the file are zeros.

        Kept bytes are written before strided targets, because they may be between the elements of one.
        """
        ready = [target for target in targets if target.is_ready]
        row_major = [target for target in ready if target.block.is_row_major]

        def filling() -> Iterable[Task]:
            return fill_tasks(row_major, self.computer, descriptor, sums, over_zeros=over_zeros)

        self.workers.run(self._tasks(iter(kept), filling))
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


def _check_and_claim(place: Destination, claims: ExitStack) -> Callable[[], None] | None:
    """The check before the directory at `place` is replaced. It also claims the old directory, until `claims` end:
    other processes would take it for left over once the new one is in its place. In place, all of the run claims it.
    """
    if place.check is None or place.is_in_place:
        return place.check
    check = place.check

    def check_and_claim() -> None:
        claims.close()  # if this is the second attempt, another process has removed the directory of the first
        claims.enter_context(claimed(place.path))
        check()

    return check_and_claim


def _needed(begun: Iterable[_Begun]) -> int:
    """The bytes of disk space that files need. A file that was begun before holds some already."""
    files = grouped((one.new.path, one) for one in begun).values()
    return sum(min(sum(total(one.space) for one in pieces), pieces[0].lacking) for pieces in files)


def write_parts(descriptor: int, parts: Iterable[Part]) -> None:
    for place, content in parts:
        write_all(descriptor, content, place)


def _moved(name: str, old: str, new: str) -> str:
    """The path of the file that is `name` in the directory `old`, if that was at `new` before: an absolute link in it
    leads to `new`.
    """
    path = paths.real(os.path.join(old, name))
    return os.path.join(old, os.path.relpath(path, new)) if os.path.commonpath([path, new]) == new else path
