"""Pairs → what changed in each. They are read in pieces by several threads, so that memory does not grow with them.

Bytes are compared first. Distances are computed from the first piece that differs on. The pieces before it are read
once more afterwards, for the norms of the whole tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple, Self

from initctl.coworkers import ALONE, merged
from initctl.differences.changes import ElementChanges, Stored, changes_of
from initctl.layout.pieces import Pieces, grouped
from initctl.reading import Buffers, TensorReader, equal, in_numbers
from initctl.stream.engines import Distance, Engine, Work, choose
from initctl.workers import Task, Workers

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from initctl.coworkers import Coworkers
    from initctl.differences.pairing import Pair
    from initctl.events import Progress
    from initctl.tensors import Block, TensorSpec

    Bytes = NDArray[np.uint8]

_ADDED_UP = 256 << 10
"""Distances are summed over pieces of this many bytes. The size affects how sums are rounded."""
_SMALL = 1 << 14
"""Tensors with at most this many numbers are compared together with others."""
_ALIGNED = 8
"""Memory at a multiple of this many bytes is aligned for every dtype."""
_BESIDE_DRAWING = 0.35
"""The cost of comparing two numbers with NumPy, relative to drawing one."""


def compared(
    pairs: Sequence[Pair],
    one: TensorReader,
    other: TensorReader,
    *,
    threads: int,
    coworkers: Coworkers = ALONE,
    on_event: Callable[[Progress], None] | None = None,
) -> list[ElementChanges | None]:
    """What changed in each of `pairs`, which the readers read; None if nothing changed, or it cannot be compared.

    For pairs of bytes, the result only says that they changed. Each of `coworkers` compares some.

    Raises `ConflictError` if a file changes meanwhile, and
    `StorageError` if it cannot be read.
    """
    distinct = {_places(pair): pair for pair in pairs}  # tied tensors are compared once
    each = list(distinct.values())
    own = coworkers.own([pair.one.nbytes for pair in each])
    with Workers(threads, on_event) as workers:
        comparing = Comparing([each[number] for number in own], one, other, workers, _work(each))
        workers.total += sum(pair.one.nbytes for pair in comparing.pairs if pair.is_comparable)
        workers.run(comparing.tasks())
        rest = list(comparing.rest())
        workers.total += sum(task.nbytes for task in rest)
        workers.run(rest)
    results = merged(coworkers.all_of(dict(zip(own, comparing.results(), strict=True))))
    found = {places: results[number] for number, places in enumerate(distinct)}
    return [found[_places(pair)] for pair in pairs]


class Comparing:
    """Compares pairs. The tasks may run in several threads."""

    def __init__(
        self, pairs: Sequence[Pair], one: TensorReader, other: TensorReader, workers: Workers, work: Work
    ) -> None:
        self.pairs, self.one, self.other, self.workers, self.work = pairs, one, other, workers, work
        self._small: dict[int, ElementChanges] = {}
        self._large: dict[int, _LargePair] = {}
        self._engine: Engine | None = None
        self._lock, self.buffers = Lock(), Buffers(2)

    def tasks(self) -> Iterator[Task]:
        """Small tensors that are near each other in both files are compared together, large ones in pieces."""
        for numbers, is_small in grouped(self._comparable(), _SMALL):
            if is_small:
                yield Task(sum(self.pairs[number].one.nbytes for number in numbers), partial(self._compare, numbers))
            else:
                (number,) = numbers
                self._large[number] = pair = _LargePair(self, self.pairs[number])
                yield from pair.tasks()

    def _comparable(self) -> Iterator[tuple[int, tuple[TensorSpec, TensorSpec]]]:
        for number, pair in enumerate(self.pairs):
            if pair.is_comparable and pair.one.numel:
                yield number, (pair.one, pair.other)

    def rest(self) -> Iterator[Task]:
        """What still has to be measured after all `tasks` have run."""
        for pieces in self._large.values():
            yield from pieces.rest()

    def results(self) -> list[ElementChanges | None]:
        """What changed in each pair, after all tasks have run."""
        found = self._small | {number: pieces.changes for number, pieces in self._large.items() if pieces.differs}
        return [found.get(number) for number in range(len(self.pairs))]

    @property
    def engine(self) -> Engine:
        """Computes distances. It is chosen at the first difference, since equal tensors need no distances."""
        with self._lock:
            if self._engine is None:
                self._engine = choose(self.work, threads=1).engine
            return self._engine

    def _compare(self, numbers: Sequence[int]) -> None:
        """Compare small tensors, which one call reads from each file."""
        pairs = [self.pairs[number] for number in numbers]
        room, other_room = self.buffers.each
        one = _Stretch.of(self.one, [pair.one for pair in pairs], room)
        other = _Stretch.of(self.other, [pair.other for pair in pairs], other_room)
        for number, pair in zip(numbers, pairs, strict=True):
            mine, theirs = one.bytes_of(pair.one), other.bytes_of(pair.other)
            if pair.kind == "dtype" or not equal(mine, theirs):
                stored = Stored(mine, pair.one.dtype), Stored(theirs, pair.other.dtype)
                is_of_bytes, run = pair.is_of_bytes, pair.one.numel
                self._small[number] = ElementChanges() if is_of_bytes else changes_of(self.engine, *stored, run=run)


class _Stretch(NamedTuple):
    """A part of a file: `content`, at the offset `start`."""

    start: int
    content: Bytes

    @classmethod
    def of(cls, reader: TensorReader, tensors: Sequence[TensorSpec], out: Bytes) -> Self:
        """The part from the first to the last of `tensors`, read into `out`."""
        (first,), (last,) = tensors[0].blocks, tensors[-1].blocks
        stop = last.offset + tensors[-1].nbytes
        return cls(first.offset, reader.read_range(first.file, first.offset, stop, out))

    def bytes_of(self, tensor: TensorSpec) -> Bytes:
        """The bytes of a tensor, in aligned memory."""
        begin = tensor.blocks[0].offset - self.start
        content = self.content[begin : begin + tensor.nbytes]
        return content.copy() if begin % _ALIGNED else content


class _LargePair:
    """Compares one pair piece by piece."""

    def __init__(self, comparing: Comparing, pair: Pair) -> None:
        self._comparing, self._pair = comparing, pair
        self._order = _common_order(pair)
        if self._order:
            pair = pair._replace(one=pair.one.in_file_order, other=pair.other.in_file_order)
        self._one, self._other = in_numbers(pair.one), in_numbers(pair.other)
        self._pieces = Pieces.of([self._one, self._other])
        self._is_in_order = self._one.is_in_order and self._other.is_in_order
        width = max(self._one.dtype.bits, self._other.dtype.bits) // 8
        self._run = _ADDED_UP // width if self._is_in_order else self._pieces.size
        self._found: list[ElementChanges | None] = [None] * self._pieces.number
        self.differs = pair.kind == "dtype"

    @property
    def changes(self) -> ElementChanges:
        """The changes in all pieces, once all are compared."""
        return sum(filter(None, self._found), ElementChanges())

    def tasks(self) -> Iterator[Task]:
        """One for each piece."""
        for piece in range(len(self._found)):
            yield Task(self._nbytes(piece), partial(self._compare, piece))

    def rest(self) -> Iterator[Task]:
        """One for each piece that was equal, if another piece was not."""
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
            found = changes_of(engine, *stored, found, run=self._run, start=start, order=self._order)
        return found

    def _measure_equal(self, piece: int) -> None:
        """Measure a piece that is equal in both, and so is read from one of them only."""
        engine, dtype, distance = self._comparing.engine, self._one.dtype, Distance()
        for start, stop in self._pieces.steps(piece):
            numbers = self._comparing.one.read(self._one, start, stop, self._buffers[0]).view(dtype.numpy)
            distance = sum(engine.distances(numbers, dtype, numbers, dtype, self._run), distance)
        self._found[piece] = ElementChanges(distance=distance)

    def _read(self, piece: int) -> Iterator[tuple[int, Bytes, Bytes]]:
        """The elements of a piece, step by step: the number of the first one, and the bytes of both."""
        one, other = self._buffers
        for start, stop in self._pieces.steps(piece):
            mine = self._comparing.one.read(self._one, start, stop, one)
            yield start, mine, self._comparing.other.read(self._other, start, stop, other)

    @property
    def _buffers(self) -> Sequence[Bytes | None]:
        return self._comparing.buffers.each if self._is_in_order else (None, None)

    def _nbytes(self, piece: int) -> int:
        start, stop = self._pieces.bounds(piece)
        return (stop - start) * self._one.dtype.bits // 8


def _work(pairs: Sequence[Pair]) -> Work:
    """The work of comparing all `pairs`, whoever does it: engines round differently."""
    numbers = sum(pair.one.numel * pair.one.dtype.parts for pair in pairs if pair.is_comparable)
    return Work(int(numbers * _BESIDE_DRAWING), 0)


def _places(pair: Pair) -> object:
    """A key that is equal for pairs of the same bytes."""
    return pair.one.dtype, pair.one.blocks, pair.other.dtype, pair.other.blocks


def _common_order(pair: Pair) -> Block | None:
    """The block of either, if both files have the elements in the same order, but not in row-major order."""
    if any(len(tensor.blocks) != 1 or not tensor.blocks[0].is_dense for tensor in (pair.one, pair.other)):
        return None
    (one,), (other,) = pair.one.blocks, pair.other.blocks
    return one if one.strides == other.strides and not one.is_row_major else None
