"""Files without a name, whose bytes are uploaded: in memory or on the disk."""

from __future__ import annotations

import os
import tempfile
from io import RawIOBase
from typing import TYPE_CHECKING, Self

from initctl.commit.failure import storage_errors
from initctl.commit.new_files import NewFile

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from initctl.layout.ranges import ByteRange


class NamelessFile(NewFile):
    """A new file without a name, to be written through `descriptor`, which is gone at the end of the `with`.

    If it is in memory, it takes memory for the bytes that are written only, at any offset: use one for each range that
    is uploaded. Otherwise, or if the system has no files in memory, it is on the disk, in the directory of temporary
    files.
    """

    def __init__(self, target: str, *, in_memory: bool) -> None:
        super().__init__(os.path.join(tempfile.gettempdir(), ""), target)
        self._in_memory = in_memory and hasattr(os, "memfd_create")

    def __enter__(self) -> Self:
        with storage_errors(self.target):
            self.descriptor = os.memfd_create("initctl", os.MFD_CLOEXEC) if self._in_memory else _on_disk()
        return self

    def sync(self, mode: int, *, like: str | None = None) -> None:
        """There is nothing to flush."""

    def stream(self, window: ByteRange) -> Window:
        """The bytes in `window` as a file, which can be read until this file is closed."""
        return Window(self.descriptor, window)


class Window(RawIOBase):
    """A file for reading: the bytes in a range of an open file."""

    def __init__(self, descriptor: int, window: ByteRange) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._start, self._stop = window
        self._place = self._start

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place - self._start

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        begin = {os.SEEK_SET: self._start, os.SEEK_CUR: self._place, os.SEEK_END: self._stop}[whence]
        self._place = max(begin + offset, self._start)
        return self.tell()

    def readinto(self, room: WriteableBuffer, /) -> int:
        part = memoryview(room).cast("B")[: max(self._stop - self._place, 0)]
        length = os.preadv(self._descriptor, [part], self._place) if part else 0
        self._place += length
        return length


def _on_disk() -> int:
    """A descriptor of a new file that never had a name, if the system can make one; or else it is removed already."""
    with tempfile.TemporaryFile(prefix="initctl-", buffering=0) as stream:
        return os.dup(stream.fileno())
