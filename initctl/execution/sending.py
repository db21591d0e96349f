"""Sends the parcels of new objects to a store, while the next ones are made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from functools import partial
from typing import IO, TYPE_CHECKING, NamedTuple, Self, cast

from initctl.commit.nameless import NamelessFile
from initctl.execution.content import Windows
from initctl.execution.parcels import source_of
from initctl.layout.ranges import ByteRange
from initctl.reading import TensorReader
from initctl.stores.requests import AT_ONCE

if TYPE_CHECKING:
    from initctl.execution.content import Content, Draft
    from initctl.execution.parcels import Numbered, Parcel
    from initctl.execution.writer import Writer
    from initctl.formats import CheckpointFile, Checksum
    from initctl.stores.store import Place, Upload

_WAITING = 2 * AT_ONCE
"""Requests that are made before the first of them ends."""
_IN_MEMORY = 128 << 20
"""Bytes that wait in memory to be sent. A window of more bytes waits on the disk."""


class NewObject(NamedTuple):
    """A new object: the path of its mirror, its content, its upload, and the tags of its parts that were sent, by
    number.
    """

    path: str
    content: Content
    upload: Upload
    tags: dict[int, str]

    def complete(self) -> None:
        self.upload.complete([self.tags[number] for number in sorted(self.tags)])


def send(
    writer: Writer,
    draft: Draft,
    parcels: Iterable[tuple[NewObject, Parcel]],
    checks: Sequence[tuple[CheckpointFile, Checksum]] = (),
) -> None:
    """Make `parcels` of the files of `draft`, or let the store copy them, and send them. `checks` are made first.

    Raises `InputError` if the input is damaged, and what an `Upload` raises.
    """
    chosen = list(parcels)
    writer.workers.total += sum(checksum.stop - checksum.start for _, checksum in checks)
    writer.workers.total += sum(parcel.nbytes for new, parcel in chosen if not new.content.layout.checksums)
    with _Sender(writer.workers.advance) as sender, TensorReader(writer.checkpoint, draft.sources) as reader:
        sending = _Sending(writer, draft, reader, sender)
        sending.check(checks)
        for new, parcel in chosen:
            if new.content.layout.checksums:
                sending.send_staged(new, parcel)
            elif parcel.is_copied:
                sending.copy(new, parcel)
            else:
                sending.send_window(new, parcel)
        sender.finish()
    writer.workers.advance(writer.workers.total - writer.workers.done)  # tasks do not count headers


class _Sending:
    """Makes parcels, and hands requests to a sender."""

    def __init__(self, writer: Writer, draft: Draft, reader: TensorReader, sender: _Sender) -> None:
        self._writer, self._draft, self._reader, self._sender = writer, draft, reader, sender
        self._last: tuple[NewObject, Windows] | None = None

    def _windows(self, new: NewObject) -> Windows:
        """The windows of a new object: its parcels come one after another."""
        if self._last is None or self._last[0] is not new:
            self._last = new, Windows(new.content)
        return self._last[1]

    def check(self, checks: Sequence[tuple[CheckpointFile, Checksum]]) -> None:
        """Raise `InputError` if a checksum of the input is wrong."""
        self._writer.workers.run(self._writer.checks(checks, self._reader))

    def send_window(self, new: NewObject, parcel: Parcel) -> None:
        """Make a parcel in memory, if it is not too large."""
        is_small = parcel.nbytes <= _IN_MEMORY
        with ExitStack() as stack:
            made = stack.enter_context(NamelessFile(new.path, in_memory=is_small))
            self._writer.write_window(self._windows(new).at(parcel.window), made, self._reader)
            stack.pop_all()  # the sender closes it
        self._sender.send(partial(_put, new, parcel.parts, made), parcel.nbytes if is_small else 0, made)

    def send_staged(self, new: NewObject, parcel: Parcel) -> None:
        """Write a whole file to the disk first. Kept bytes are copied by the store all the same."""
        with NamelessFile(new.path, in_memory=False) as staged:
            self._writer.write_files(self._draft, [(new.content, staged)], staged.path)
            for numbered in parcel.parts:
                if numbered.part.is_copied:
                    self._sender.send(partial(self._copied, new, numbered))
                else:
                    self._sender.send(partial(_put, new, [numbered], staged))
            self._sender.finish()

    def copy(self, new: NewObject, parcel: Parcel) -> None:
        """Let the store copy a parcel."""
        for numbered in parcel.parts:
            self._sender.send(partial(self._copied, new, numbered), progress=numbered.part.nbytes)

    def _copied(self, new: NewObject, numbered: Numbered) -> None:
        number, (start, stop, _) = numbered
        source = cast("Place", source_of(self._writer.checkpoint, new.content))
        new.tags[number] = new.upload.copy(number, ByteRange(start, stop), source)


def _put(new: NewObject, parts: Sequence[Numbered], made: NamelessFile) -> None:
    for number, (start, stop, _) in parts:
        with made.stream(ByteRange(start, stop)) as body:
            new.tags[number] = new.upload.put(number, cast("IO[bytes]", body))


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
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="initctl_send")
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
