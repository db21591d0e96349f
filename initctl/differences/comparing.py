"""Pairs → what changed in each: read in pieces by several threads, in memory that does not grow with them.

Bytes are compared first. Numbers are computed from the first piece on that differs; once all pieces are known, those
that were equal before it are read once more, for the norms of the whole.
"""

from __future__ import annotations

from functools import partial
from threading import Lock, local
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

from initctl.differences.changes import ElementChanges, Stored, changes_of
from initctl.reading import TensorReader, equal, in_numbers, read_array
from initctl.stream.engines import Distance, Work, choose
from initctl.workers import Task, Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from initctl.differences.pairing import Pair
    from initctl.events import Progress
    from initctl.stream.engines import Engine
    from initctl.tensors import Block, TensorSpec

    Bytes = NDArray[np.uint8]

_AT_ONCE = 256 << 10
"""Bytes of either that stay in a core's own cache between being read and being compared."""
_TASK = 4 << 20
"""Bytes of either in one task."""
_SCATTERED = 8 << 20
"""Bytes of one task that are far apart in a file, and so are gathered at once: the more, the longer the runs there."""
_SMALL = 64 << 10
"""Bytes of a tensor up to which it is compared together with others."""
_BESIDE_DRAWING = 0.35
"""What comparing two numbers costs NumPy, beside drawing one."""


def compared(
    pairs: Sequence[Pair],
    one: TensorReader,
    other: TensorReader,
    *,
    threads: int,
    on_event: Callable[[Progress], None] | None = None,
) -> list[ElementChanges | None]:
    """What changed in each of `pairs`, whose bytes the readers read; None if nothing did, or it is not comparable.

    Of pairs that are of bytes, it says no more than that they changed. Raises `ConflictError` if a file changes
    meanwhile, `StorageError` if it cannot be read.
    """
    distinct = {_places(pair): pair for pair in pairs}  # tied tensors are in the same places
    with Workers(threads, on_event) as workers:
        comparing = Comparing(list(distinct.values()), one, other, workers)
        workers.total += sum(pair.one.nbytes for pair in comparing.pairs if pair.is_comparable)
        workers.run(comparing.tasks())
        rest = list(comparing.rest())
        workers.total += sum(task.nbytes for task in rest)
        workers.run(rest)
    found = dict(zip(distinct, comparing.results(), strict=True))
    return [found[_places(pair)] for pair in pairs]


class Comparing:
    """Compares pairs. The tasks may run in several threads."""

    def __init__(self, pairs: Sequence[Pair], one: TensorReader, other: TensorReader, workers: Workers) -> None:
        self.pairs, self.one, self.other, self.workers = pairs, one, other, workers
        self._small: dict[int, ElementChanges] = {}
        self._large: dict[int, _LargePair] = {}
        self._engine: Engine | None = None
        self._lock, self._thread = Lock(), local()

    def tasks(self) -> Iterator[Task]:
        """Tensors that are small and near each other in both files are compared together, large ones in pieces."""
        batch: list[int] = []
        for number, pair in enumerate(self.pairs):
            if not (pair.is_comparable and pair.one.numel):
                continue
            if not _is_small(pair):
                self._large[number] = pieces = _LargePair(self, pair)
                yield from pieces.tasks()
                continue
            if batch and not _are_near(self.pairs[batch[0]], self.pairs[batch[-1]], pair):
                yield self._together(batch)
                batch = []
            batch.append(number)
        if batch:
            yield self._together(batch)

    def rest(self) -> Iterator[Task]:
        """What is to be measured yet, once all tasks have run."""
        for pieces in self._large.values():
            yield from pieces.rest()

    def results(self) -> list[ElementChanges | None]:
        """What changed in each pair, once all has run."""
        found = self._small | {number: pieces.changes for number, pieces in self._large.items() if pieces.differs}
        return [found.get(number) for number in range(len(self.pairs))]

    @property
    def engine(self) -> Engine:
        """What computes distances, chosen when the first is needed: what is equal needs none."""
        with self._lock:
            if self._engine is None:
                numbers = sum(pair.one.numel * pair.one.dtype.parts for pair in self.pairs if pair.is_comparable)
                self._engine = choose(Work(int(numbers * _BESIDE_DRAWING), 0), threads=1).engine
            return self._engine

    @property
    def buffers(self) -> tuple[Bytes, Bytes]:
        """Memory for what is read at once of either: each thread has its own."""
        if not hasattr(self._thread, "buffers"):
            self._thread.buffers = np.empty(_AT_ONCE, np.uint8), np.empty(_AT_ONCE, np.uint8)
        found: tuple[Bytes, Bytes] = self._thread.buffers
        return found

    def _together(self, batch: Sequence[int]) -> Task:
        return Task(sum(self.pairs[number].one.nbytes for number in batch), partial(self._compare, batch))

    def _compare(self, batch: Sequence[int]) -> None:
        """Compare pairs that are near each other in one file of either."""
        pairs = [self.pairs[number] for number in batch]
        one = _Stretch.of(self.one, [pair.one for pair in pairs])
        other = _Stretch.of(self.other, [pair.other for pair in pairs])
        for number, pair in zip(batch, pairs, strict=True):
            mine, theirs = one.bytes_of(pair.one), other.bytes_of(pair.other)
            if pair.kind == "dtype" or not equal(mine, theirs):
                stored = Stored(mine, pair.one.dtype), Stored(theirs, pair.other.dtype)
                self._small[number] = ElementChanges() if pair.is_of_bytes else changes_of(self.engine, *stored)


class _Stretch(NamedTuple):
    """The bytes of a file from `start` on."""

    start: int
    content: Bytes

    @classmethod
    def of(cls, reader: TensorReader, tensors: Sequence[TensorSpec]) -> Self:
        """Those that the first to the last of `tensors` are in."""
        (first,), (last,) = tensors[0].blocks, tensors[-1].blocks
        with reader.opened(first.file) as descriptor:
            return cls(first.offset, read_array(descriptor, first.offset, last.offset + tensors[-1].nbytes))

    def bytes_of(self, tensor: TensorSpec) -> Bytes:
        """Those of a tensor, in memory that is aligned."""
        begin = tensor.blocks[0].offset - self.start
        return self.content[begin : begin + tensor.nbytes].copy()


class _LargePair:
    """Compares one pair piece by piece."""

    def __init__(self, comparing: Comparing, pair: Pair) -> None:
        self._comparing, self._pair = comparing, pair
        self._order = _common_order(pair)
        if self._order:
            pair = pair._replace(one=pair.one.in_file_order, other=pair.other.in_file_order)
        self._one, self._other = in_numbers(pair.one), in_numbers(pair.other)
        self._width = max(self._one.dtype.bits, self._other.dtype.bits) // 8
        self._is_in_order = _is_in_order(pair.one) and _is_in_order(pair.other)
        self._size = (_TASK if self._is_in_order else _SCATTERED) // self._width
        self._found: list[ElementChanges | None] = [None] * -(-self._one.numel // self._size)
        self.differs = pair.kind == "dtype"

    @property
    def changes(self) -> ElementChanges:
        """Of all pieces, once they are known."""
        return sum(filter(None, self._found), ElementChanges())

    def tasks(self) -> Iterator[Task]:
        """One for each piece."""
        for piece in range(len(self._found)):
            yield Task(self._nbytes(piece), partial(self._compare, piece))

    def rest(self) -> Iterator[Task]:
        """One for each piece that was found equal, if another was not."""
        if self.differs and not self._pair.is_of_bytes:
            for piece, found in enumerate(self._found):
                if found is None:
                    yield Task(self._nbytes(piece), partial(self._measure_equal, piece))

    def _compare(self, piece: int) -> None:
        if self._pair.is_of_bytes and self.differs:
            return
        if self.differs or not all(equal(one, other) for _, one, other in self._read(piece)):
            self.differs = True
            self._found[piece] = ElementChanges() if self._pair.is_of_bytes else self._measured(piece)

    def _measured(self, piece: int) -> ElementChanges:
        engine, found = self._comparing.engine, ElementChanges()
        for start, one, other in self._read(piece):
            stored = Stored(one, self._one.dtype), Stored(other, self._other.dtype)
            found += changes_of(engine, *stored, start, self._order)
        return found

    def _measure_equal(self, piece: int) -> None:
        """What is equal need not be read from both."""
        engine, dtype, distance = self._comparing.engine, self._one.dtype, Distance()
        for start, stop in self._steps(piece):
            numbers = self._comparing.one.read(self._one, start, stop, self._buffers[0]).view(dtype.numpy)
            distance += engine.distance(numbers, dtype, numbers, dtype)
        self._found[piece] = ElementChanges(distance=distance)

    def _read(self, piece: int) -> Iterator[tuple[int, Bytes, Bytes]]:
        """The elements of a piece, some at once: the number of the first, and the bytes of both."""
        one, other = self._buffers
        for start, stop in self._steps(piece):
            mine = self._comparing.one.read(self._one, start, stop, one)
            yield start, mine, self._comparing.other.read(self._other, start, stop, other)

    def _steps(self, piece: int) -> Iterator[tuple[int, int]]:
        """What is read at once of a piece."""
        last = min((piece + 1) * self._size, self._one.numel)
        step = _AT_ONCE // self._width if self._is_in_order else self._size
        for start in range(piece * self._size, last, step):
            yield start, min(start + step, last)

    @property
    def _buffers(self) -> tuple[Bytes | None, Bytes | None]:
        return self._comparing.buffers if self._is_in_order else (None, None)

    def _nbytes(self, piece: int) -> int:
        return (min((piece + 1) * self._size, self._one.numel) - piece * self._size) * self._one.dtype.bits // 8


def _places(pair: Pair) -> object:
    """What tells pairs apart whose bytes are compared."""
    return pair.one.dtype, pair.one.blocks, pair.other.dtype, pair.other.blocks


def _is_in_order(tensor: TensorSpec) -> bool:
    return len(tensor.blocks) == 1 and tensor.blocks[0].is_row_major


def _common_order(pair: Pair) -> Block | None:
    """A block of either, if the elements follow each other alike in both files, but not as they do in the tensor."""
    if any(len(tensor.blocks) != 1 or not tensor.blocks[0].is_dense for tensor in (pair.one, pair.other)):
        return None
    (one,), (other,) = pair.one.blocks, pair.other.blocks
    return one if one.strides == other.strides and not one.is_row_major else None


def _is_small(pair: Pair) -> bool:
    return all(tensor.nbytes <= _SMALL and _is_in_order(tensor) for tensor in (pair.one, pair.other))


def _are_near(first: Pair, last: Pair, pair: Pair) -> bool:
    """Whether `pair` can be read together with those from `first` to `last`, from either file."""
    return _is_near(first.one, last.one, pair.one) and _is_near(first.other, last.other, pair.other)


def _is_near(first: TensorSpec, last: TensorSpec, tensor: TensorSpec) -> bool:
    (begin,), (end,), (block,) = first.blocks, last.blocks, tensor.blocks
    return (
        block.file == begin.file
        and block.offset >= end.offset + last.nbytes
        and block.offset + tensor.nbytes - begin.offset <= _AT_ONCE
    )
