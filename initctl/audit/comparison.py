"""Elements of tensors as they should be and as they are, in pieces, by several threads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from initctl.audit.differences import Difference
from initctl.dtypes import BY_NAME
from initctl.tensors import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from initctl.filling import TensorReader
    from initctl.tensors import TensorPart

_COMPARED_AT_ONCE = 4 << 20
"""Bytes of a tensor that are computed and compared as one piece."""
_SAMPLED_TOGETHER, _MOST_RANGES = 16, 16
"""Elements of a sample that follow each other, at least, unless these come to so many ranges."""
_BYTE = BY_NAME["uint8"]


class Held(NamedTuple):
    """A part of a `tensor`, and where the tensor is held now."""

    tensor: TensorSpec
    part: TensorPart
    held: TensorSpec


class Expected(NamedTuple):
    """What gives the bytes that elements should have, from one number to another, and where they are held."""

    place: Held
    read: Callable[[int, int], NDArray[np.uint8]]


class Comparison:
    """What was compared so far of what `reader` reads, and the first element of each tensor that differs.

    With a `sample`, of each part just so many elements are compared. Used from several threads.
    """

    def __init__(self, reader: TensorReader, sample: int | None) -> None:
        self.reader, self.sample = reader, sample
        self.compared = 0
        """Elements."""
        self._found: dict[int, tuple[int, Difference]] = {}
        self._lock = Lock()

    def pieces(self, expected: Expected) -> Iterator[ElementsPiece]:
        """What compares a part with what is expected of it."""
        _, part, held = expected.place
        at_once = _COMPARED_AT_ONCE // (held.dtype.bits // 8)
        first = part.rows[0] * prod(part.tensor.shape[1:]) if part.rows else 0
        for start, stop in ranges(first, first + part.numel, self.sample):
            for begin in range(start, stop, at_once):
                yield ElementsPiece(expected, begin, min(begin + at_once, stop), self)

    def compare(self, expected: Expected, start: int, stop: int) -> None:
        """Hold the elements from number `start` to `stop` of a tensor against what is expected."""
        tensor, _, held = expected.place
        width = held.dtype.bits // 8
        wanted, found = expected.read(start, stop), self.reader.read(held, start, stop)
        differing = np.flatnonzero((wanted != found).reshape(-1, width).any(axis=1))
        with self._lock:
            self.compared += stop - start
            if not differing.size:
                return
            at = int(differing[0])
            number, place = start + at, slice(at * width, (at + 1) * width)
            if id(tensor) not in self._found or number < self._found[id(tensor)][0]:
                index = tuple(map(int, np.unravel_index(number, held.shape))) if held.shape else ()
                one, other = (_number(content[place], held) for content in (wanted, found))
                self._found[id(tensor)] = number, Difference(tensor.name, index, one, other)

    def difference(self, tensor: TensorSpec) -> Difference | None:
        """The first of `tensor`, if there is one."""
        _, found = self._found.get(id(tensor), (0, None))
        return found


@dataclass(frozen=True, slots=True)
class ElementsPiece:
    """Elements `start` to `stop` of a tensor, to be compared; writes nothing."""

    expected: Expected
    start: int
    stop: int
    comparison: Comparison

    @property
    def offset(self) -> int:
        return self.start

    @property
    def nbytes(self) -> int:
        return (self.stop - self.start) * self.expected.place.held.dtype.bits // 8

    def write(self, destination: int) -> None:  # noqa: ARG002 - it only looks
        self.comparison.compare(self.expected, self.start, self.stop)


def in_numbers(tensor: TensorSpec) -> TensorSpec:
    """`tensor`, where its elements are no numbers by themselves, as the whole numbers that are stored for them."""
    match tensor.dtype.kind:
        case "quantized":
            return replace(tensor, dtype=BY_NAME["int32"] if tensor.dtype.bits > _BYTE.bits else _BYTE)
        case "packed" if len(tensor.blocks) == 1 and tensor.blocks[0].is_row_major:
            (block,) = tensor.blocks
            return TensorSpec.contiguous(tensor.name, _BYTE, (tensor.nbytes,), block.file, block.offset)
    return tensor


def ranges(start: int, stop: int, sample: int | None) -> Iterator[tuple[int, int]]:
    """All of `start` to `stop` as one range, or some ranges of it that make up a sample, spread evenly."""
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


def _number(content: NDArray[np.uint8], tensor: TensorSpec) -> complex:
    """The element that `content` stores: whole numbers as such."""
    kind = tensor.dtype.kind
    parts: Sequence[Any] = content.view(np.uint8 if kind == "bool" else tensor.dtype.numpy).tolist()
    if tensor.dtype.parts == 2:
        return complex(*map(float, parts))
    return int(parts[0]) if kind in ("integer", "bool") else float(parts[0])
