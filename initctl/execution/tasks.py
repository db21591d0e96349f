"""A file's content as tasks that can be run in any order: kept ranges, and elements of tensors to fill."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from initctl.commit import copy_range, start_writeback, write_all
from initctl.filling import packed, range_of
from initctl.workers import Task

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


def copy_tasks(source: int, ranges: Iterable[ByteRange], destination: int, shift: int = 0) -> Iterator[Task]:
    """Tasks that copy `ranges` of the descriptor `source` to `destination`, `shift` bytes further on."""
    for start, stop in ranges:
        for first in range(start, stop, COPIED_AT_ONCE):
            last, offset = min(first + COPIED_AT_ONCE, stop), first + shift
            yield Task(last - first, partial(_copy, source, destination, first, last, offset), offset)


def fill_tasks(targets: Iterable[TargetBlock], computer: Computer, destination: int) -> Iterator[Task]:
    """Tasks that fill row-major blocks, in order of offset: small neighbors together, large ones cut."""
    ordered = sorted(targets, key=lambda target: target.block.offset)
    for runs in packed(computer.runs(ordered), FILLED_AT_ONCE):
        start, stop = range_of(runs)
        yield Task(stop - start, partial(_fill, runs, computer, destination), start)


def _copy(source: int, destination: int, start: int, stop: int, offset: int) -> None:
    copy_range(source, destination, start, stop, offset)
    _write_back(destination, offset, offset + stop - start)


def _fill(runs: Sequence[ElementRun], computer: Computer, destination: int) -> None:
    """Compute adjacent runs of one or more tensors, and write them."""
    for part, content in computer.parts(runs):
        write_all(destination, content.data, part[0].offset)
    _write_back(destination, *range_of(runs))


def _write_back(destination: int, start: int, stop: int) -> None:
    if stop - start >= _WRITTEN_BACK:
        start_writeback(destination, start, stop)
