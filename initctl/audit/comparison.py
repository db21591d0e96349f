"""Elements of tensors, compared with the expected ones by several threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby
from math import prod
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from initctl.audit.verification import Difference
from initctl.commit.copying import read_into
from initctl.filling.targets import ElementRun, TargetBlock, packed, range_of
from initctl.reading import TensorReader, equal
from initctl.workers import Task

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from initctl.coworkers import Coworkers
    from initctl.filling.computer import Computer
    from initctl.tensors import TensorPart, TensorSpec

    Bytes = NDArray[np.uint8]

_COMPARED_AT_ONCE = 4 << 20
"""Bytes of tensors that one task compares."""
_SAMPLED_TOGETHER, _MOST_RANGES = 16, 16
"""A sample consists of ranges: the smallest number of elements in one, and about the largest number of ranges."""


class Place(NamedTuple):
    """A part of a `tensor`, and `held`, the same tensor in the result."""

    tensor: TensorSpec
    part: TensorPart
    held: TensorSpec


class Expected(NamedTuple):
    """A function that returns the expected bytes of a range of elements, and the place of their tensor."""

    place: Place
    read: Callable[[int, int], Bytes]


class Comparison:
    """Compares what `reader` reads, and keeps the first element of each tensor that differs.

    Its tasks run in several threads.
    """

    def __init__(self, reader: TensorReader) -> None:
        self.reader = reader
        self._found: dict[int, tuple[int, Difference]] = {}
        self._lock = Lock()

    def of_targets(self, targets: Iterable[TargetBlock], computer: Computer) -> Iterator[Task]:
        """Tasks that compare row-major blocks with the values computed for them, file by file."""
        ordered = sorted(targets, key=lambda target: (target.block.file, target.block.offset))
        for file, group in groupby(ordered, lambda target: target.block.file):
            for runs in packed(computer.runs(group), _COMPARED_AT_ONCE):
                start, stop = range_of(runs)
                yield Task(stop - start, partial(self._compare_runs, runs, file, computer))

    def of_elements(self, expected: Expected, sample: int | None = None) -> Iterator[Task]:
        """Tasks that compare a part of a tensor with the expected elements. A file may have them in any order.
        `sample` is the number of elements to compare; None compares all.
        """
        _, part, held = expected.place
        width = held.dtype.bits // 8
        at_once = _COMPARED_AT_ONCE // width
        first = part.rows[0] * prod(part.tensor.shape[1:]) if part.rows else 0
        for start, stop in ranges(first, first + part.numel, sample):
            for begin in range(start, stop, at_once):
                end = min(begin + at_once, stop)
                yield Task((end - begin) * width, partial(self._compare_elements, expected, begin, end))

    def _compare_runs(self, runs: Sequence[ElementRun], file: str, computer: Computer) -> None:
        """Compare adjacent runs of one or more tensors. Only if a byte differs, each run is compared by itself."""
        room = np.empty(0, np.uint8)
        with self.reader.opened(file) as descriptor:
            for part, wanted in computer.parts(runs):
                room = room if room.size >= wanted.size else np.empty_like(wanted)
                found = room[: wanted.size]
                read_into(descriptor, found.data, part[0].offset)
                if not equal(wanted, found):
                    self._look_closer(part, wanted, found)

    def _look_closer(self, runs: Sequence[ElementRun], wanted: Bytes, found: Bytes) -> None:
        for run in runs:
            tensor, begin = run.action.tensor, run.offset - runs[0].offset
            place = slice(begin, begin + run.nbytes)
            start = run.numbers.start // tensor.dtype.parts
            self._compare(tensor, tensor, start, wanted[place], found[place])

    def _compare_elements(self, expected: Expected, start: int, stop: int) -> None:
        tensor, _, held = expected.place
        self._compare(tensor, held, start, expected.read(start, stop), self.reader.read(held, start, stop))

    def _compare(self, tensor: TensorSpec, held: TensorSpec, start: int, wanted: Bytes, found: Bytes) -> None:
        """Compare bytes of elements of a tensor, the first of which has the number `start`."""
        width = held.dtype.bits // 8
        if equal(wanted, found):
            return
        differing = int((wanted != found).argmax()) // width
        number, place = start + differing, slice(differing * width, (differing + 1) * width)
        index = tuple(map(int, np.unravel_index(number, held.shape))) if held.shape else ()
        one, other = (_number(content[place], held) for content in (wanted, found))
        self._keep_first(tensor, number, Difference(tensor.name, index, one, other))

    def _keep_first(self, tensor: TensorSpec, number: int, difference: Difference) -> None:
        """Keep the `difference` in element `number` of a tensor, unless one before it is known."""
        with self._lock:
            if id(tensor) not in self._found or number < self._found[id(tensor)][0]:
                self._found[id(tensor)] = number, difference

    @property
    def is_equal(self) -> bool:
        """Whether everything that was compared is equal."""
        return not self._found

    def share(self, coworkers: Coworkers, tensors: Sequence[TensorSpec]) -> None:
        """Take over what `coworkers` found in `tensors`, which all list in the same order."""
        places = {id(tensor): place for place, tensor in enumerate(tensors)}
        for each in coworkers.all_of([(places[key], *found) for key, found in self._found.items()]):
            for place, number, difference in each:
                self._keep_first(tensors[place], number, difference)

    def difference(self, tensor: TensorSpec) -> Difference | None:
        """The first difference in `tensor`, or None."""
        _, found = self._found.get(id(tensor), (0, None))
        return found


def ranges(start: int, stop: int, sample: int | None) -> Iterator[tuple[int, int]]:
    """The range from `start` to `stop`; or evenly spread parts of it with `sample` numbers in all."""
    if sample is None or sample >= stop - start:
        yield start, stop
        return
    together = min(max(_SAMPLED_TOGETHER, sample // _MOST_RANGES), sample)
    count = -(-sample // together)
    last = stop - start - together
    reached = start
    for number in range(count):
        first = max(reached, start + (last * number // (count - 1) if count > 1 else 0))
        reached = min(first + together, stop)
        if number == count - 1:
            first = reached - (sample - together * number)
        yield first, reached


def _number(content: Bytes, tensor: TensorSpec) -> complex:
    """The one element in `content`; an int if the dtype is of integers."""
    kind = tensor.dtype.kind
    parts: Sequence[Any] = content.view(np.uint8 if kind == "bool" else tensor.dtype.numpy).tolist()
    if tensor.dtype.parts == 2:
        return complex(*map(float, parts))
    return int(parts[0]) if kind in ("integer", "bool") else float(parts[0])
