"""What a checkpoint's files hold beside tensors, and its other files: byte for byte as in the original."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from initctl.filling.order import read_array
from initctl.filling.ranges import filled_ranges, joined, kept_ranges, overlap

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from initctl.filling.ranges import Range
    from initctl.formats import Checkpoint, CheckpointFile
    from initctl.planning import Plan
    from initctl.tensors import TensorPart

_COMPARED_AT_ONCE = 4 << 20
"""Bytes of a file that are compared as one piece."""
_CHECKSUM = 4
"""Bytes of one."""


@dataclass(frozen=True, slots=True)
class FileDifference:
    """The first byte of `file` that is not as in the original, number `at`, or None where the file is not there."""

    file: str
    at: int | None

    def to_json(self) -> dict[str, Any]:
        return {"file": self.file, "byte": self.at}


def is_laid_out_alike(one: Checkpoint, other: Checkpoint) -> bool:
    """Whether both have files of the same format and sizes, and names, if they are directories."""
    return _layout(one) == _layout(other)


def _layout(checkpoint: Checkpoint) -> tuple[str, bool, list[tuple[str, int]]]:
    named = checkpoint.is_directory
    return checkpoint.format, named, [(file.name if named else "", file.size) for file in checkpoint.files]


@dataclass(slots=True)
class Rest:
    """All that lies beside the `parts` of tensors in the checkpoint of `plan`, whose `original` is laid out alike.

    What the plan writes is left out, and so are the checksums of that. Used from several threads.
    """

    plan: Plan
    original: Checkpoint
    parts: Iterable[TensorPart]
    compared: int = 0
    """Bytes."""
    _found: dict[str, int | None] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    @property
    def differences(self) -> tuple[FileDifference, ...]:
        """The first of each file that has one."""
        return tuple(FileDifference(file, at) for file, at in sorted(self._found.items()))

    def pieces(self) -> Iterator[BytesPiece]:
        """What compares it."""
        written = _ranges(action.part for action in self.plan.writes)
        covered = _ranges(self.parts)
        for now, was in zip(self.plan.checkpoint.files, self.original.files, strict=True):
            stale = [c for c in now.checksums if overlap(written[now.name], c.start, c.stop)]
            checksums = [(place, place + _CHECKSUM) for checksum in stale for place in checksum.places]
            left_out = joined([*written[now.name], *covered[now.name], *checksums])
            yield from self._pieces(now, was, kept_ranges(now.size, left_out))
        there = {file.name: file for file in self.plan.checkpoint.other_files}
        for was in self.original.other_files:
            if was.name not in there:
                self._found[was.name] = None
                continue
            now = there[was.name]
            if now.size != was.size:
                self.note(now, min(now.size, was.size))
            yield from self._pieces(now, was, [(0, min(now.size, was.size))])

    def _pieces(self, now: CheckpointFile, was: CheckpointFile, ranges: Iterable[Range]) -> Iterator[BytesPiece]:
        for start, stop in ranges:
            for first in range(start, stop, _COMPARED_AT_ONCE):
                yield BytesPiece(now, was, first, min(first + _COMPARED_AT_ONCE, stop), self)

    def compare(self, now: CheckpointFile, was: CheckpointFile, start: int, stop: int) -> None:
        """Hold the bytes of a file from `start` to `stop` against those of the other."""
        found = _read(self.plan.checkpoint, now, start, stop)
        differing = np.flatnonzero(_read(self.original, was, start, stop) != found)
        with self._lock:
            self.compared += found.size
        if differing.size:
            self.note(now, start + int(differing[0]))

    def note(self, file: CheckpointFile, at: int) -> None:
        """Note that byte number `at` of `file` differs."""
        with self._lock:
            self._found[file.name] = min(at, self._found.get(file.name) or at)


@dataclass(frozen=True, slots=True)
class BytesPiece:
    """Bytes `start` to `stop` of a file, to be compared with those of another; writes nothing."""

    now: CheckpointFile
    was: CheckpointFile
    start: int
    stop: int
    rest: Rest

    @property
    def offset(self) -> int:
        return self.start

    @property
    def nbytes(self) -> int:
        return self.stop - self.start

    def write(self, destination: int) -> None:  # noqa: ARG002 - it only looks
        self.rest.compare(self.now, self.was, self.start, self.stop)


def _ranges(parts: Iterable[TensorPart]) -> defaultdict[str, list[Range]]:
    """The bytes that `parts` lie in, file by file; what lies between the elements of a view is counted in."""
    blocks: defaultdict[str, list[Any]] = defaultdict(list)
    for part in parts:
        for block in part.blocks if part.numel else ():
            blocks[block.file].append((block, part.tensor.dtype.bits // 8))
    return defaultdict(list, {file: filled_ranges(found) for file, found in blocks.items()})


def _read(checkpoint: Checkpoint, file: CheckpointFile, start: int, stop: int) -> NDArray[np.uint8]:
    descriptor = checkpoint.open(file)
    try:
        return read_array(descriptor, start, stop)
    finally:
        os.close(descriptor)
