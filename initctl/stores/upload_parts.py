"""How a new object is cut into the parts of its upload."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from initctl.errors import Problem, StorageError
from initctl.layout.ranges import ByteRange, common, uncovered

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_ALIGNMENT = 16
"""Outside of indivisible ranges, a multiple of this many bytes is not inside of an element."""


class UploadPart(NamedTuple):
    """The bytes of a new object from `start` to `stop` (exclusive). If it `is_copied`, the store copies them from the
    same place of another object.
    """

    start: int
    stop: int
    is_copied: bool

    @property
    def nbytes(self) -> int:
        return self.stop - self.start


class Limits(NamedTuple):
    """What a store accepts: the bytes of the `smallest` part, unless it is the last, and of the `largest`; and the
    number of parts. Made parts have `usual` bytes if nothing speaks against it. `largest` is three times `smallest` or
    more.
    """

    smallest: int = 5 << 20
    largest: int = 5 << 30
    most: int = 10_000
    usual: int = 16 << 20


LIMITS = Limits()
"""Those of Amazon S3, and of the stores that speak its protocol."""


def cut(
    size: int, kept: Sequence[ByteRange], indivisible: Sequence[ByteRange] = (), limits: Limits = LIMITS
) -> list[UploadPart]:
    """The parts of an object of `size` bytes, in order, of which the `kept` ranges are at the same place of a source.

    Kept ranges are copied, except those that are too short for a part, and the beginnings of those that follow too
    short a run of other bytes: at most `limits.smallest` bytes for each run. If there are too many parts, the shortest
    kept ranges are made. An empty object has one empty part.

    An indivisible range is made, in one part if the limits allow. `kept` and `indivisible` are sorted and disjoint.

    Raises `StorageError` if the object is too large for the limits.
    """
    copied = common(kept, uncovered(size, indivisible))
    usual = max(limits.usual, -(-size * 10 // (limits.most * 9)))
    while True:
        step = min(usual, limits.largest)
        windows = _windows(size, copied, limits.smallest)
        parts = [part for window in windows for part in _divided(window, indivisible, step, limits)]
        if len(parts) <= limits.most:
            return parts
        if copied:
            by_length = sorted(copied, key=lambda found: found.stop - found.start)
            copied = sorted(by_length[len(by_length) // 4 + 1 :])
        elif usual <= limits.largest:
            usual *= 2
        else:
            fault = f"{size:,} bytes do not fit into the {limits.most:,} parts of an upload"
            raise StorageError(Problem("store.size", fault, "write to a path"))


def _windows(size: int, copied: Sequence[ByteRange], smallest: int) -> Iterator[UploadPart]:
    """What is made and what is copied, in turn, each of any length from `smallest`. Shorter ranges of `copied` are made
    too.
    """
    reached = 0
    for start, stop in copied:
        edge = start if start == reached else max(start, reached + smallest)
        if stop - edge >= smallest or edge < stop == size:
            if reached < edge:
                yield UploadPart(reached, edge, is_copied=False)
            yield UploadPart(edge, stop, is_copied=True)
            reached = stop
    if reached < size or not size:
        yield UploadPart(reached, size, is_copied=False)


def _divided(window: UploadPart, indivisible: Sequence[ByteRange], step: int, limits: Limits) -> Iterator[UploadPart]:
    """`window` in parts of `step` bytes; if it is copied, in as few as possible."""
    start, stop, is_copied = window
    while stop - start > (limits.largest if is_copied else step):
        if is_copied:
            edge = min(start + limits.largest, stop - limits.smallest)
        else:
            edge = _edge(start, stop, indivisible, step, limits)
        if edge == stop:
            break
        yield UploadPart(start, edge, is_copied)
        start = edge
    yield UploadPart(start, stop, is_copied)


def _edge(start: int, stop: int, indivisible: Sequence[ByteRange], step: int, limits: Limits) -> int:
    """Where a made part that begins at `start` ends: after `step` bytes, or at an edge of the indivisible range there,
    or at `stop`, so that this part and the rest have a legal size. If none does, it ends inside of the range.
    """
    first, last = start + limits.smallest, min(start + limits.largest, stop - limits.smallest)
    for edge in _edges((start + step) // _ALIGNMENT * _ALIGNMENT, indivisible):
        if first <= edge <= last:
            return edge
    return stop if stop - start <= limits.largest else last // _ALIGNMENT * _ALIGNMENT


def _edges(wanted: int, indivisible: Sequence[ByteRange]) -> tuple[int, ...]:
    """`wanted`, or the edges of the indivisible range around it."""
    number = bisect_right(indivisible, (wanted, wanted)) - 1
    if number >= 0 and indivisible[number].start < wanted < indivisible[number].stop:
        return indivisible[number]
    return (wanted,)
