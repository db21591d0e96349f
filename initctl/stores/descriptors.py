"""Descriptors of mirrored files, which fetch what is read."""

from __future__ import annotations

import os
from contextlib import contextmanager
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

from initctl.errors import ConflictError, Problem, StorageError, shown
from initctl.layout.ranges import ByteRange, common, joined, uncovered
from initctl.stores.requests import side_by_side

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from initctl.stores.store import Store, Stored

_BLOCK = 64 << 10
"""Bytes that `Fetched.read_at` fetches at least: most headers are shorter."""
_NANOSECONDS = 10**9


@contextmanager
def _keeping(path: str) -> Iterator[None]:
    """Turn an `OSError` of a temporary file of the mirror at `path` into `StorageError`."""
    try:
        yield
    except OSError as error:
        fault = f"{shown(path)}: a temporary file cannot be used: {error.strerror}"
        raise StorageError(Problem("storage.failed", fault, "set TMPDIR to another directory")) from error


class _Object:
    """An object that is mirrored at `path`. The file at `kept` has those ranges of it that were read before."""

    def __init__(self, store: Store, stored: Stored, path: str, kept: str) -> None:
        self.store, self.stored, self.path, self.kept = store, stored, path, kept
        self._known: list[ByteRange] = []

    def read_at(self, start: int, stop: int) -> bytes:
        """The bytes from `start` to `stop`. What is missing is fetched, and kept."""
        with _keeping(self.path):
            os.makedirs(os.path.dirname(self.kept), exist_ok=True)
            descriptor = os.open(self.kept, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with open(descriptor, "r+b", buffering=0) as stream:
                if os.fstat(descriptor).st_size != self.stored.size:  # it is new; what cleans up may remove old ones
                    self._known = []
                    stream.truncate(self.stored.size)
                blocks = ByteRange(start // _BLOCK * _BLOCK, -(-stop // _BLOCK) * _BLOCK)
                for gap in common(uncovered(self.stored.size, self._known), [blocks]):
                    self._fetch(descriptor, gap)
                return os.pread(descriptor, stop - start, start)

    def _fetch(self, descriptor: int, gap: ByteRange) -> None:
        content = memoryview(bytearray(gap.stop - gap.start))
        self.store.read_into(self.stored, content, gap.start)
        reached = 0
        while reached < len(content):
            reached += os.pwrite(descriptor, content[reached:], gap.start + reached)
        self._known = joined([*self._known, gap])


class Fetched(int):
    """A descriptor of a mirrored file, open for writing only. The system's calls cannot read it; its methods can."""

    _object: _Object

    @classmethod
    def of(cls, found: _Object) -> Fetched:
        with _keeping(found.path):
            made = cls(os.open(found.path, os.O_WRONLY | os.O_CLOEXEC))
        made._object = found
        return made

    @property
    def size(self) -> int:
        return self._object.stored.size

    def read_at(self, length: int, offset: int) -> bytes:
        """`length` bytes from `offset`, or fewer if the object ends before. They are kept, so use it for headers.

        Raises as `Store.read_into` does.
        """
        stop = min(offset + length, self.size)
        return self._object.read_at(offset, stop) if offset < stop else b""

    def read_into(self, room: memoryview, offset: int) -> None:
        """Fill `room` from `offset`. The bytes are not kept. Raises as `Store.read_into` does."""
        stored = self._object.stored
        if offset + len(room) > stored.size:
            raise ConflictError(
                Problem("input.changed", f"{shown(self._object.path)}: became shorter while it was read")
            )
        if room:
            self._object.store.read_into(stored, room, offset)


_mirrored: dict[str, _Object] = {}
"""All objects that are mirrored, by path."""
_numbers = count()
"""Of the files with what is read of headers."""


def mirror(path: str, stored: Stored, store: Store, kept: str) -> None:
    """Let the file at `path`, a real path, be a mirror of an object. What is read of its header is kept in `kept`."""
    if seen(path) != stored:
        mark(path, stored)
        _mirrored[path] = _Object(store, stored, path, os.path.join(kept, str(next(_numbers)), os.path.basename(path)))


def forget(path: str) -> None:
    """Let the file at `path` mirror nothing any more."""
    _mirrored.pop(path, None)


def is_mirrored(path: str) -> bool:
    """Whether the file at `path`, a real path, is a mirror of an object."""
    return path in _mirrored


def seen(path: str) -> Stored | None:
    """The object that is mirrored at `path`, a real path, as it was seen last."""
    found = _mirrored.get(path)
    return found.stored if found else None


def opened_mirrored(path: str) -> Fetched | None:
    """A descriptor of the file at `path`, if that is mirrored."""
    found = _mirrored.get(os.path.normpath(path)) if _mirrored else None
    return Fetched.of(found) if found else None


def readable(path: str) -> str:
    """The path of a file that begins as the one at `path` does: it has what was read with `Fetched.read_at`."""
    found = _mirrored.get(os.path.normpath(path)) if _mirrored else None
    return found.kept if found else path


def prefetch(paths: Iterable[str]) -> None:
    """Fetch the beginnings of those files at `paths` that are mirrored, side by side. Raises as `Store.read_into`."""
    _all(_prefetch, paths)


def renew(paths: Iterable[str]) -> None:
    """Let those files at `paths` that are mirrored show the sizes and times that their objects have by now."""
    _all(_renew, paths)


def _all(function: Callable[[_Object], None], paths: Iterable[str]) -> None:
    """Call `function` with the object of each of those files at `paths` that are mirrored."""
    if not _mirrored:
        return
    objects = [_mirrored[real] for path in paths if (real := os.path.normpath(path)) in _mirrored]
    side_by_side([partial(function, found) for found in objects])


def _prefetch(found: _Object) -> None:
    if found.stored.size:
        found.read_at(0, min(_BLOCK, found.stored.size))


def _renew(found: _Object) -> None:
    now = found.store.find(found.stored.name)
    with _keeping(found.path):
        if now is None:
            forget(found.path)
            os.unlink(found.path)
        elif now != found.stored:
            mark(found.path, now)


def mark(path: str, stored: Stored) -> None:
    """Give the file at `path` the size of `stored`, and a time that differs from that of every other version.

    Stores count seconds; the nanoseconds are made from the version.
    """
    from hashlib import blake2b

    os.truncate(path, stored.size)
    part = int.from_bytes(blake2b(stored.version.encode(), digest_size=8).digest(), "little") % _NANOSECONDS
    time = stored.modified * _NANOSECONDS + part
    os.utime(path, ns=(time, time))
