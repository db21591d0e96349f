"""What a disk may hold after a loss of power: all that was flushed, and of the rest whatever the worst system keeps.

A file system keeps names and contents apart. What was written to a file since its last flush may be lost, may read as
zeros, or may be there in parts. Of the changes to directories since their last flush, an *ordered* system keeps the
first ones, up to any point, and a *weak* one keeps any of them. A flush of anything makes an ordered system keep all
changes to directories before it.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count, pairwise, product
from typing import TYPE_CHECKING, Any, NamedTuple

from initctl.traces import JOURNAL, is_trace
from tests.protocol.counting import watched

if TYPE_CHECKING:
    from pathlib import Path

SECTOR = 512
_ALL_SUBSETS = 6
"""Of so many changes to directories, all subsets are tried, and of more a sample."""
_SAMPLE = 40

Place = tuple[int, str]
"""A directory, and a name in it."""
Image = dict[str, bytes]
"""The content of each file, by its path."""


class Renamed(NamedTuple):
    """A change to directories, in one step: what is at each place afterwards."""

    places: tuple[tuple[Place, int | None], ...]


class Written(NamedTuple):
    file: int
    offset: int
    data: bytes


class Sized(NamedTuple):
    file: int
    size: int


class Flushed(NamedTuple):
    """A file or a directory. `caller` is the function that asked for it."""

    inode: int
    caller: str


Event = Renamed | Written | Sized | Flushed


@dataclass
class Recording:
    """What was in a folder, and everything that changed it since then."""

    folder: Path
    entries: dict[Place, int | None] = field(default_factory=dict)
    contents: dict[int, bytes] = field(default_factory=dict)
    folders: set[int] = field(default_factory=set)
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._numbers: dict[int, int] = {}
        self._unused = count()
        self._linked_twice: set[int] = set()
        self.root = self._number(str(self.folder), is_new=True)
        self._read(str(self.folder), self.root)
        self.old = frozenset(self.contents)

    def _read(self, path: str, number: int) -> None:
        self.folders.add(number)
        for name in os.listdir(path):
            below = os.path.join(path, name)
            inode = self._number(below)
            self.entries[number, name] = inode
            if os.path.isdir(below) and not os.path.islink(below):
                self._read(below, inode)
            else:
                self.contents[inode] = _content(below)

    def _number(self, path: str, *, is_new: bool = False) -> int:
        """A number for the file at `path`: the system uses its own numbers again."""
        real = os.lstat(path).st_ino
        if is_new or real not in self._numbers:
            self._numbers[real] = next(self._unused)
        return self._numbers[real]

    def _place(self, path: str) -> Place:
        return self._number(os.path.dirname(path)), os.path.basename(path)

    def _file(self, descriptor: int) -> int:
        return self._numbers[os.fstat(descriptor).st_ino]

    def __call__(self, name: str, arguments: tuple[Any, ...], call: Callable[[], Any]) -> Any:
        before = self._before(name, arguments)
        result = call()
        if (note := getattr(self, f"_{name}", None)) is not None:
            found = note(result, before, *arguments)
            self.events += [found] if isinstance(found, tuple) else found
        return result

    def journal(self) -> bytes:
        """The whole content of the journal that was there."""
        inodes = {
            inode
            for event in self.events
            if isinstance(event, Renamed)
            for (_, name), inode in event.places
            if inode is not None and name.startswith(JOURNAL)
        }
        (inode,) = inodes
        return _after_loss(self, self.events, inode, "full", random.Random())

    def _before(self, name: str, arguments: tuple[Any, ...]) -> Any:
        if name in ("rename", "rename_new", "exchange"):
            return [self._number(path) if os.path.lexists(path) else None for path in arguments]
        if name == "remove_tree":
            return list(self._removed(*arguments))
        if name in ("unlink", "remove_directory"):
            self._forget(*arguments)
        return None

    def _forget(self, path: str) -> None:
        """The system may use the number of the file at `path` again."""
        status = os.lstat(path)
        if status.st_nlink == 1 or os.path.isdir(path):
            self._numbers.pop(status.st_ino)

    def _removed(self, path: str) -> Iterator[Renamed]:
        if os.path.isdir(path) and not os.path.islink(path):
            for name in sorted(os.listdir(path)):
                yield from self._removed(os.path.join(path, name))
        place = self._place(path)
        self._forget(path)
        yield Renamed(((place, None),))

    def _create(self, descriptor: int, _: object, path: str) -> Event | list[Event]:
        if os.fstat(descriptor).st_ino in self._numbers:  # it is opened again
            return []
        inode = self._number(path, is_new=True)
        self.contents[inode] = b""
        return Renamed(((self._place(path), inode),))

    def _make_directory(self, _: object, __: object, path: str, *rest: object) -> Event:
        inode = self._number(path, is_new=True)
        self.folders.add(inode)
        return Renamed(((self._place(path), inode),))

    def _rename(self, _: object, before: list[int | None], path: str, target: str) -> Event:
        if before[1] is not None and before[1] not in self._linked_twice:
            self._numbers = {real: number for real, number in self._numbers.items() if number != before[1]}
        return Renamed(((self._place(path), None), (self._place(target), before[0])))

    _rename_new = _rename

    def _exchange(self, _: object, before: list[int | None], one: str, other: str) -> Event:
        return Renamed(((self._place(one), before[1]), (self._place(other), before[0])))

    def _link(self, _: object, __: object, path: str, target: str) -> Event:
        self._linked_twice.add(self._number(path))
        return Renamed(((self._place(target), self._number(path)),))

    def _unlink(self, _: object, __: object, path: str) -> Event:
        return Renamed(((self._place(path), None),))

    _remove_directory = _unlink

    def _remove_tree(self, _: object, before: list[Event], __: str) -> list[Event]:
        return before

    def _set_size(self, _: object, __: object, descriptor: int, size: int) -> Event:
        return Sized(self._file(descriptor), size)

    def _write(self, length: int, _: object, descriptor: int, data: bytes, offset: int) -> Event:
        return Written(self._file(descriptor), offset, bytes(memoryview(data).cast("B")[:length]))

    def _copy(self, length: int, _: object, __: int, descriptor: int, ___: int, ____: int, offset: int) -> Event:
        return Written(self._file(descriptor), offset, os.pread(descriptor, length, offset))

    def _flush(self, _: object, __: object, descriptor: int) -> Event:
        return Flushed(self._file(descriptor), _caller())


def record(folder: Path, work: Callable[[], None]) -> Recording:
    """Everything that `work` changes in `folder`."""
    recording = Recording(folder)
    with watched(recording, reading=False):
        work()
    return recording


def images(recording: Recording, events: Sequence[Event], *, is_weak: bool, seed: int = 0) -> Iterator[Image]:
    """What may be in the folder if the power is lost right after `events`."""
    choose = random.Random(seed)
    kept, loose = _kept(events, is_weak=is_weak)
    for chosen in _chosen(loose, choose, is_weak=is_weak):
        entries = dict(recording.entries)
        for number in sorted({*kept, *chosen}):
            event = events[number]
            assert isinstance(event, Renamed)
            entries.update(event.places)
        files = dict(_files(recording, entries))
        for how in ("none", "full", "some", "zeros", "torn"):
            contents = {inode: _after_loss(recording, events, inode, how, choose) for inode in {*files.values()}}
            yield {path: contents[inode] for path, inode in files.items()}


def final(recording: Recording) -> Image:
    """What is in the folder at the end, if the power is not lost."""
    entries = dict(recording.entries)
    for event in recording.events:
        if isinstance(event, Renamed):
            entries.update(event.places)
    files = _files(recording, entries)
    return {path: _after_loss(recording, recording.events, inode, "full", random.Random()) for path, inode in files}


def _kept(events: Sequence[Event], *, is_weak: bool) -> tuple[list[int], list[int]]:
    """The numbers of the changes to directories that a flush has made last, and of the others."""
    kept: list[int] = []
    loose: list[int] = []
    for number, event in enumerate(events):
        if isinstance(event, Renamed):
            loose.append(number)
        elif isinstance(event, Flushed):
            flushed = [n for n in loose if not is_weak or _is_in(events[n], event.inode)]
            kept += flushed
            loose = [n for n in loose if n not in flushed]
    return kept, loose


def _is_in(event: Event, folder: int) -> bool:
    assert isinstance(event, Renamed)
    return any(parent == folder for (parent, _), _ in event.places)


def _chosen(loose: Sequence[int], choose: random.Random, *, is_weak: bool) -> Iterator[tuple[int, ...]]:
    """Which of the `loose` changes the disk holds nevertheless."""
    if is_weak and len(loose) <= _ALL_SUBSETS:
        for flags in product((False, True), repeat=len(loose)):
            yield tuple(number for number, flag in zip(loose, flags, strict=True) if flag)
        return
    for length in range(len(loose) + 1):
        yield tuple(loose[:length])
        if is_weak and length:
            yield tuple(n for n in loose if n != loose[length - 1])
            yield (loose[length - 1],)
    if is_weak:
        for _ in range(_SAMPLE):
            yield tuple(number for number in loose if choose.random() < 0.5)


def _files(recording: Recording, entries: dict[Place, int | None]) -> Iterator[tuple[str, int]]:
    below: dict[int, list[tuple[str, int]]] = {}
    for (parent, name), inode in entries.items():
        if inode is not None:
            below.setdefault(parent, []).append((name, inode))
    waiting = [("", recording.root)]
    while waiting:
        prefix, folder = waiting.pop()
        for name, inode in below.get(folder, []):
            if inode in recording.folders:
                waiting.append((f"{prefix}{name}/", inode))
            else:
                yield prefix + name, inode


def _after_loss(recording: Recording, events: Sequence[Event], inode: int, how: str, choose: random.Random) -> bytes:
    """The content of a file. What was not flushed is there as `how` says; bytes that were there before are old or new,
    but a new file may have zeros or anything else.
    """
    if inode in recording.old and how in ("zeros", "torn"):
        how = "some"
    changes = [n for n, event in enumerate(events) if isinstance(event, Written | Sized) and event.file == inode]
    flushes = [n for n, event in enumerate(events) if isinstance(event, Flushed) and event.inode == inode]
    last = flushes[-1] if flushes else -1
    content = bytearray(recording.contents[inode])
    for number in changes:
        event = events[number]
        if number < last or how == "full":
            _apply(content, event, None)
        elif how == "some":
            for part in _sectors(event):
                if choose.random() < 0.5:
                    _apply(content, part, None)
        elif how == "zeros":
            _apply(content, event, lambda _: 0)
        elif how == "torn":
            _apply(content, event, choose.choice([None, lambda _: 0, lambda _: choose.getrandbits(8)]))
    return bytes(content)


def _sectors(event: Event) -> Iterator[Event]:
    """The parts of a write that a disk makes in one step each."""
    if isinstance(event, Sized):
        yield event
        return
    assert isinstance(event, Written)
    edges = [0, *range(-event.offset % SECTOR or SECTOR, len(event.data), SECTOR), len(event.data)]
    for start, stop in pairwise(edges):
        yield Written(event.file, event.offset + start, event.data[start:stop])


def _apply(content: bytearray, event: Event, changed: Callable[[int], int] | None) -> None:
    if isinstance(event, Sized):
        content[event.size :] = bytes(max(event.size - len(content), 0))
        return
    assert isinstance(event, Written)
    data = event.data if changed is None else bytes(map(changed, event.data))
    content.extend(bytes(max(event.offset - len(content), 0)))
    content[event.offset : event.offset + len(data)] = data


def without_traces(image: Image) -> Image:
    return {path: content for path, content in image.items() if not any(map(is_trace, path.split("/")))}


def journals(image: Image) -> list[bytes]:
    return [content for path, content in image.items() if os.path.basename(path).startswith(JOURNAL)]


def _content(path: str) -> bytes:
    if os.path.islink(path):
        return os.fsencode(os.readlink(path))
    with open(path, "rb") as stream:
        return stream.read()


def _caller() -> str:
    """The functions of `initctl` that led to this call, from the inside."""
    import sys

    names, frame = [], sys._getframe()
    while frame and len(names) < 3:
        if frame.f_globals.get("__name__", "").startswith("initctl.") and frame.f_code.co_name not in ("call", "flush"):
            names.append(frame.f_code.co_name.strip("_"))
        frame = frame.f_back
    return " < ".join(names)
