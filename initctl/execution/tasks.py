"""A file's content as tasks that can be run in any order: kept ranges, and elements of tensors to fill."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from initctl.commit import copy_range, start_writeback, write_all
from initctl.filling import packed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from initctl.filling import Computer, ElementRun, TargetBlock
    from initctl.layout import ByteRange

COPIED_AT_ONCE = 16 << 20
"""Bytes of a kept range that make one task."""
FILLED_AT_ONCE = 4 << 20
"""Bytes of tensors that make one task, computed and written in as many parts as its engine likes."""
_WRITTEN_BACK = 1 << 20
"""Bytes from which on a task sends to the disk what it has written."""


@dataclass(frozen=True, slots=True)
class CopyTask:
    """Copies `nbytes` from `start` of the descriptor `source` to `offset` of `destination`."""

    source: int
    start: int
    nbytes: int
    destination: int
    offset: int

    def run(self) -> None:
        copy_range(self.source, self.destination, self.start, self.start + self.nbytes, self.offset)
        _write_back(self)


@dataclass(frozen=True, slots=True)
class FillTask:
    """Computes adjacent runs of one or more tensors, and writes them to `destination`."""

    runs: Sequence[ElementRun]
    computer: Computer
    destination: int

    @property
    def offset(self) -> int:
        return self.runs[0].offset

    @property
    def nbytes(self) -> int:
        return self.runs[-1].offset + self.runs[-1].nbytes - self.offset

    def run(self) -> None:
        for runs, content in self.computer.parts(self.runs):
            write_all(self.destination, content.data, runs[0].offset)
        _write_back(self)


def copy_tasks(source: int, ranges: Iterable[ByteRange], destination: int, shift: int = 0) -> Iterator[CopyTask]:
    """Tasks that copy `ranges` of `source` to `destination`, `shift` bytes further on."""
    for start, stop in ranges:
        for first in range(start, stop, COPIED_AT_ONCE):
            yield CopyTask(source, first, min(COPIED_AT_ONCE, stop - first), destination, first + shift)


def fill_tasks(targets: Iterable[TargetBlock], computer: Computer, destination: int) -> Iterator[FillTask]:
    """Tasks that fill row-major blocks, in order of offset: small neighbors together, large ones cut."""
    ordered = sorted(targets, key=lambda target: target.block.offset)
    for group in packed(computer.runs(ordered), FILLED_AT_ONCE):
        yield FillTask(group, computer, destination)


def _write_back(task: CopyTask | FillTask) -> None:
    if task.nbytes >= _WRITTEN_BACK:
        start_writeback(task.destination, task.offset, task.offset + task.nbytes)
