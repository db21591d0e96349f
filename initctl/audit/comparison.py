"""Elements of tensors as they should be and as they are, in pieces, by several threads."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import prod
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from initctl.dtypes import BY_NAME
from initctl.tensors import TensorPart, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from initctl.filling import Filler, TensorReader
    from initctl.planning import Action
    from initctl.stream import Fill

_COMPARED_AT_ONCE = 4 << 20
"""Bytes of a tensor that are computed and compared as one piece."""
_SAMPLED_TOGETHER = 16
"""Elements of a sample that follow each other."""
_BYTE = BY_NAME["uint8"]


@dataclass(frozen=True, slots=True)
class Difference:
    """The first element of a tensor, at `index`, that is not as it should be. The numbers are as they are stored."""

    tensor: str
    index: tuple[int, ...]
    expected: complex
    found: complex

    def to_json(self) -> dict[str, Any]:
        return {
            "tensor": self.tensor,
            "index": list(self.index),
            "expected": _written(self.expected),
            "found": _written(self.found),
        }


@dataclass(frozen=True, slots=True)
class Computed:
    """The bytes that an action gives."""

    action: Action
    fill: Fill
    filler: Filler

    def read(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Those of the elements from number `start` to `stop` of the tensor."""
        return self.filler.elements(self.action, self.fill, start, stop)


@dataclass(frozen=True, slots=True)
class Stored:
    """The bytes that a tensor has in the original."""

    tensor: TensorSpec
    reader: TensorReader

    def read(self, start: int, stop: int) -> NDArray[np.uint8]:
        return self.reader.read(self.tensor, start, stop)


@dataclass(slots=True)
class Comparison:
    """What was compared so far, and the first element of each tensor that differs. Used from several threads."""

    held: TensorReader
    sample: int | None
    compared: int = 0
    _found: dict[str, tuple[int, Difference]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def pieces(self, part: TensorPart, expected: Computed | Stored) -> Iterator[ElementsPiece]:
        """What compares `part` with what is `expected`."""
        width = part.tensor.dtype.bits // 8
        per_row = prod(part.tensor.shape[1:])
        first = part.rows[0] * per_row if part.rows else 0
        for start, stop in _ranges(first, first + part.numel, self.sample, _COMPARED_AT_ONCE // width):
            yield ElementsPiece(part.tensor, start, stop, expected, self)

    def compare(self, tensor: TensorSpec, start: int, expected: NDArray[np.uint8]) -> None:
        """Hold the elements of `tensor` from number `start` on against what is `expected`."""
        width = tensor.dtype.bits // 8
        found = self.held.read(tensor, start, start + expected.size // width)
        differing = np.flatnonzero((expected != found).reshape(-1, width).any(axis=1))
        with self._lock:
            self.compared += found.size // width
            if not differing.size:
                return
            at = int(differing[0])
            number, place = start + at, slice(at * width, (at + 1) * width)
            if tensor.name not in self._found or number < self._found[tensor.name][0]:
                index = tuple(map(int, np.unravel_index(number, tensor.shape))) if tensor.shape else ()
                one, other = (_number(content[place], tensor) for content in (expected, found))
                self._found[tensor.name] = number, Difference(tensor.name, index, one, other)

    def differences(self, tensors: Iterable[TensorSpec]) -> tuple[Difference, ...]:
        """Those of `tensors`, in their order."""
        found = (self._found.get(name) for name in dict.fromkeys(tensor.name for tensor in tensors))
        return tuple(difference for _, difference in filter(None, found))


@dataclass(frozen=True, slots=True)
class ElementsPiece:
    """Elements `start` to `stop` of a tensor, to be compared; writes nothing."""

    tensor: TensorSpec
    start: int
    stop: int
    expected: Computed | Stored
    comparison: Comparison

    @property
    def offset(self) -> int:
        return self.start

    @property
    def nbytes(self) -> int:
        return (self.stop - self.start) * self.tensor.dtype.bits // 8

    def write(self, destination: int) -> None:  # noqa: ARG002 - it only looks
        self.comparison.compare(self.tensor, self.start, self.expected.read(self.start, self.stop))


def in_numbers(tensor: TensorSpec) -> TensorSpec:
    """`tensor`, where its elements are no numbers by themselves, as the whole numbers that are stored for them."""
    match tensor.dtype.kind:
        case "quantized":
            return replace(tensor, dtype=BY_NAME["int32"] if tensor.dtype.bits > _BYTE.bits else _BYTE)
        case "packed" if len(tensor.blocks) == 1 and tensor.blocks[0].is_row_major:
            (block,) = tensor.blocks
            return TensorSpec.contiguous(tensor.name, _BYTE, (tensor.nbytes,), block.file, block.offset)
    return tensor


def _ranges(start: int, stop: int, sample: int | None, at_most: int) -> Iterator[tuple[int, int]]:
    """All of `start` to `stop` in ranges, or some of them that make up a sample."""
    if sample is None or sample >= stop - start:
        for first in range(start, stop, at_most):
            yield first, min(first + at_most, stop)
        return
    together = min(_SAMPLED_TOGETHER, sample)
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
    parts: Sequence[Any] = content.view(tensor.dtype.numpy).tolist()
    if tensor.dtype.parts == 2:
        return complex(*map(float, parts))
    return float(parts[0]) if tensor.dtype.is_floating else int(parts[0])


def _written(number: complex) -> float | str:
    """A number as JSON can hold it."""
    return number if isinstance(number, (int, float)) and np.isfinite(float(number)) else str(number)
