"""Write a result to a store. Each file is uploaded in parts, and nothing is visible before all parts of all files are
there.

Bytes that are computed, and those that the store cannot copy, are made in memory, one window of a file after another,
while others are sent.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, suppress
from functools import partial
from typing import IO, TYPE_CHECKING, NamedTuple, Self, cast

from initctl.commit.nameless import NamelessFile
from initctl.commit.undisturbed import delayed, undisturbed
from initctl.errors import InitctlError, Problem, UncertainError, shown
from initctl.execution.objects import Objects
from initctl.layout.ranges import ByteRange, common, joined, uncovered
from initctl.reading import TensorReader
from initctl.stores.mirror import place_of
from initctl.stores.upload_parts import UploadPart, cut

if TYPE_CHECKING:
    from initctl.execution.content import Content, Draft
    from initctl.execution.destination import Destination
    from initctl.execution.writer import Writer
    from initctl.formats import CheckpointFile, Checksum
    from initctl.stores.store import Place, Upload

_AT_ONCE = 16
"""Requests at the same time."""
_WAITING = 2 * _AT_ONCE
"""Requests that are made before the first of them ends."""
_IN_MEMORY = 128 << 20
"""Bytes that wait to be sent, unless one window has more."""
_CHECKSUM = 4
"""Bytes of a checksum in a file."""


def upload(writer: Writer, draft: Draft, place: Destination) -> list[str]:
    """Write the files of `draft` to `place`, in a store. Returns their names.

    Raises `InputError` if the input is damaged, `StorageError` if the store refuses something, and `ConflictError` if
    another program changed the input, or what is at `place`. Then nothing has changed there. `UncertainError` means
    that the store did not say whether the result is there, or that something else is left.
    """
    objects = Objects.of(writer.checkpoint, draft, place)
    with ExitStack() as stack:
        groups = [[_begun(path, content, stack) for path, content in group.items()] for group in objects.groups]
        with _Sender(writer.workers.advance) as sender, TensorReader(writer.checkpoint, draft.sources) as reader:
            for new in (new for group in groups for new in group):
                _Sending(writer, draft, reader, sender, new).send()
            sender.finish()
        writer.check_unchanged(draft)
        with undisturbed():
            _commit(groups)
            writer.committed()
            _remove(objects.removed, place)
    folder = place.path if place.is_directory else os.path.dirname(place.path)
    return [os.path.relpath(new.path, folder) for group in groups for new in group]


class _NewObject(NamedTuple):
    """A new object: the path of its mirror, its content, its upload, and the tags of its parts that were sent."""

    path: str
    content: Content
    upload: Upload
    tags: dict[int, str]

    def complete(self) -> None:
        self.upload.complete([self.tags[number] for number in sorted(self.tags)])


def _begun(path: str, content: Content, stack: ExitStack) -> _NewObject:
    """A new object whose upload is begun. `stack` gives it up unless it is complete."""
    place = cast("Place", place_of(path))
    begun = place.store.upload(place.name, place.stored)

    def give_up() -> None:
        with undisturbed(), suppress(InitctlError):  # the error that ended the upload is the one to report
            begun.abort()

    stack.callback(give_up)
    with delayed():
        begun.begin()
    return _NewObject(path, content, begun, {})


class _Numbered(NamedTuple):
    """A part of an upload, and its number, from 1."""

    number: int
    part: UploadPart


class _Sending:
    """Sends one new object."""

    def __init__(self, writer: Writer, draft: Draft, reader: TensorReader, sender: _Sender, new: _NewObject) -> None:
        self._writer, self._draft, self._reader, self._sender = writer, draft, reader, sender
        self._content, self._new = new.content, new

    def send(self) -> None:
        """Hand all parts to the sender. The last ones may not be sent yet."""
        if self._content.layout.checksums:
            self._send_staged()
        else:
            self._send_windows()

    def _send_windows(self) -> None:
        """Make what is not copied in memory."""
        self._writer.workers.total += self._content.nbytes
        if self._content.checked:  # a checksum is of bytes in several windows
            with self._made(ByteRange(0, 0), self._content.checked):
                pass
        for together in self._parts(self._content.indivisible):
            if together[0].part.is_copied:
                self._copy(together, is_progress=True)
            else:
                window = ByteRange(together[0].part.start, together[-1].part.stop)
                made = self._made(window)
                self._sender.send(partial(self._put, together, made), window.stop - window.start, made)

    def _made(self, window: ByteRange, checked: Sequence[tuple[CheckpointFile, Checksum]] = ()) -> NamelessFile:
        """The bytes of a window in memory, after the checksums `checked` are verified. The caller closes the file."""
        content = self._content.within(window)._replace(checked=checked)
        with ExitStack() as stack:
            made = stack.enter_context(NamelessFile(self._new.path, in_memory=True))
            self._writer.write_window(content, made, self._reader)
            stack.pop_all()
        return made

    def _send_staged(self) -> None:
        """Write the whole file to the disk first: it has checksums that are known last, before the bytes that they are
        of.
        """
        with NamelessFile(self._new.path, in_memory=False) as staged:
            self._writer.write_files(self._draft, [(self._content, staged)], staged.path)
            for together in self._parts():
                if together[0].part.is_copied:
                    self._copy(together, is_progress=False)
                else:
                    self._sender.send(partial(self._put, together, staged))
            self._sender.finish()

    def _parts(self, indivisible: Sequence[ByteRange] = ()) -> Iterator[list[_Numbered]]:
        """The parts in order. Those that must be made together are in one list."""
        store, size = cast("Place", place_of(self._new.path)).store, self._content.layout.size
        kept = self._content.kept if self._source and store.copies_from(self._source.store) else ()
        kept = common(kept, uncovered(size, joined(self._overwritten())))
        together: list[_Numbered] = []
        for number, part in enumerate(cut(size, kept, indivisible, store.limits), 1):
            if together and not _is_inside(part.start, indivisible):
                yield together
                together = []
            together.append(_Numbered(number, part))
        yield together

    def _overwritten(self) -> Iterator[ByteRange]:
        """Ranges that are written after kept bytes are copied: targets with gaps, and checksums."""
        yield from (target.range for target in self._content.targets)
        places = (place for checksum in self._content.layout.checksums for place in checksum.places)
        yield from (ByteRange(place, place + _CHECKSUM) for place in places)

    @property
    def _source(self) -> Place | None:
        """The object in a store that kept ranges are at the same place of."""
        if self._content.source is None:
            return None
        path = os.path.join(self._writer.checkpoint.directory, self._content.source.name)
        return place_of(os.path.realpath(path))

    def _copy(self, together: Sequence[_Numbered], *, is_progress: bool) -> None:
        for number, part in together:
            copied = part.nbytes if is_progress else 0
            self._sender.send(partial(self._copied, number, ByteRange(part.start, part.stop)), progress=copied)

    def _copied(self, number: int, part: ByteRange) -> None:
        self._new.tags[number] = self._new.upload.copy(number, part, cast("Place", self._source))

    def _put(self, together: Sequence[_Numbered], made: NamelessFile) -> None:
        for number, part in together:
            with made.stream(ByteRange(part.start, part.stop)) as body:
                self._new.tags[number] = self._new.upload.put(number, cast("IO[bytes]", body))


def _is_inside(edge: int, ranges: Sequence[ByteRange]) -> bool:
    """Whether bytes before and after `edge` are in one of `ranges`."""
    return ByteRange(edge - 1, edge + 1) in common(ranges, [ByteRange(edge - 1, edge + 1)])


class _Request(NamedTuple):
    """A request that is sent: the bytes that it holds in memory, their file, and the progress that it makes."""

    held: int
    made: NamelessFile | None
    progress: int


class _Sender:
    """Makes requests in several threads, and raises their failures in this one. At the end of the `with`, no request is
    on its way.
    """

    def __init__(self, advance: Callable[[int], None]) -> None:
        self._advance = advance
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="initctl_send")
        self._running: dict[Future[None], _Request] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        for request in self._running.values():
            if request.made:
                request.made.__exit__()

    def send(
        self, request: Callable[[], None], held: int = 0, made: NamelessFile | None = None, progress: int = 0
    ) -> None:
        """Make a request as soon as a thread is free. It holds bytes in memory, in the file `made`, which is closed
        then.
        """
        self._running[self._pool.submit(request)] = _Request(held, made, progress)
        while len(self._running) > _WAITING or self._held > _IN_MEMORY:
            self._collect()

    def finish(self) -> None:
        """Wait for all requests."""
        while self._running:
            self._collect()

    @property
    def _held(self) -> int:
        return sum(request.held for request in self._running.values())

    def _collect(self) -> None:
        """Wait for a request. Raises its failure."""
        for future in wait(self._running, return_when=FIRST_COMPLETED).done:
            request = self._running.pop(future)
            if request.made:
                request.made.__exit__()
            future.result()
            self._advance(request.progress)


def _commit(groups: Sequence[Sequence[_NewObject]]) -> None:
    """Make the objects visible, a group after another. If one fails, the others are removed again."""
    try:
        for group in groups:
            _side_by_side([new.complete for new in group])
    except InitctlError as error:
        try:
            _side_by_side([new.upload.undo for group in groups for new in group])
        except InitctlError as left:
            fault = f"{error}; and a file that was written before could not be removed again: {left}"
            raise UncertainError(Problem("storage.leftover", fault, "remove it")) from error
        raise


def _side_by_side(steps: Sequence[Callable[[], None]]) -> None:
    """Call all `steps`. Raises the failure that is worst."""
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="initctl_send") as pool:
        failures = [failure for step in [pool.submit(step) for step in steps] if (failure := step.exception())]
    if failures:
        raise max(failures, key=lambda failure: isinstance(failure, UncertainError))


def _remove(paths: Sequence[str], place: Destination) -> None:
    """Remove the objects at `paths`, which the new ones replace. Raises `UncertainError` if one is left."""

    def remove(path: str) -> None:
        there = cast("Place", place_of(path))
        if there.stored:
            there.store.remove(there.stored)

    try:
        _side_by_side([partial(remove, path) for path in paths])
    except InitctlError as error:
        fault = f"{shown(place.path)}: is in place, but an old file could not be removed: {error}"
        raise UncertainError(Problem("storage.leftover", fault, "remove it")) from error
