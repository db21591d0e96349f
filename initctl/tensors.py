"""A tensor in a checkpoint's table: its name, dtype and shape, and the places of its bytes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    from initctl.dtypes import DType

Shape = tuple[int, ...]
RowRange = tuple[int, int]
"""Rows (dim 0) `start` ≤ i < `stop` of a tensor."""
LARGEST_SIZE = 2**63
"""Elements and bytes are counted in 63 bits, as in torch."""


class Fans(NamedTuple):
    """The number of inputs that reach an output of a layer, and of outputs that an input reaches, in elements."""

    fan_in: int
    fan_out: int


class Block(NamedTuple):
    """A rectangle of a tensor, and the place of its elements, little-endian.

    Its first element, at index `start` of the tensor, is at byte `offset` of `file` (a path relative to the
    checkpoint's directory). It has `shape` elements, and neighbors along each dim are `strides` elements apart.
    """

    file: str
    offset: int
    start: Shape
    shape: Shape
    strides: Shape

    @property
    def numel(self) -> int:
        return prod(self.shape)

    @property
    def is_row_major(self) -> bool:
        """Whether the elements follow each other in the file in row-major order, without a gap."""
        return self.strides == row_major(self.shape) or all(
            stride == expected or size == 1
            for size, stride, expected in zip(self.shape, self.strides, row_major(self.shape), strict=True)
        )

    @property
    def is_dense(self) -> bool:
        """Whether the elements fill a range of the file, each byte once, in any order."""
        if self.strides == row_major(self.shape):
            return True
        expected = 1
        for stride, size in self._dims():
            if stride != expected:
                return False
            expected *= size
        return True

    @property
    def extent(self) -> int:
        """Elements from the first to the last, including gaps."""
        if self.strides == row_major(self.shape):
            return self.numel
        return 1 + sum((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True))

    @property
    def overlaps_itself(self) -> bool:
        """Whether two elements may share their place. If false, it is certain that none do."""
        reached = 0
        for stride, size in self._dims():
            if stride <= reached:
                return True
            reached += (size - 1) * stride
        return False

    @property
    def distinct(self) -> Block:
        """The block without elements that strides of 0 repeat."""
        if 0 not in self.strides:
            return self
        shape = tuple(1 if stride == 0 else size for size, stride in zip(self.shape, self.strides, strict=True))
        return Block(self.file, self.offset, self.start, shape, self.strides)

    def part(self, dim: int, start: int, stop: int, width: int) -> Block:
        """The elements from index `start` to `stop` of `dim`, counted from the block's start, each of `width` bytes."""
        offset = self.offset + start * self.strides[dim] * width
        begin = tuple(b + start * (d == dim) for d, b in enumerate(self.start))
        shape = tuple(stop - start if d == dim else size for d, size in enumerate(self.shape))
        return Block(self.file, offset, begin, shape, self.strides)

    def _dims(self) -> list[tuple[int, int]]:
        """Stride and size of the dims with more than one element, the smallest stride first."""
        return sorted((stride, size) for size, stride in zip(self.shape, self.strides, strict=True) if size > 1)


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One tensor of a checkpoint, without its values.

    `name` is relative to the checkpoint's root; rules match it. `blocks` are disjoint and make up the tensor, but for
    rows that have no value yet, if the checkpoint is incomplete. `tied` are the sorted names of all tensors with the
    same storage, including this one; empty if there are no others. `aliases` are further names that the file only
    mentions. `unwritable` is the reason why no rule can fill it, if none can; such a tensor may have no blocks. If it
    gets another shape, `old` is the tensor as the file holds it.
    """

    name: str
    dtype: DType
    shape: Shape
    blocks: tuple[Block, ...]
    tied: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    unwritable: str | None = None
    old: TensorSpec | None = None

    @classmethod
    def contiguous(cls, name: str, dtype: DType, shape: Shape, file: str, offset: int) -> Self:
        """A tensor in one piece, in row-major order."""
        return cls(name, dtype, shape, (Block(file, offset, (0,) * len(shape), shape, row_major(shape)),))

    @property
    def numel(self) -> int:
        """Elements; 1 for a tensor without dimensions."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.numel * self.dtype.bits // 8

    @property
    def is_vector(self) -> bool:
        """Whether at most one dim is larger than 1, as in a vector."""
        return sum(size > 1 for size in self.shape) <= 1

    @property
    def fans(self) -> Fans | None:
        """Its fans as torch computes them, from `[out, in, *kernel]`; None below two dims."""
        if len(self.shape) < 2:
            return None
        outputs, inputs, *kernel = self.shape
        return Fans(inputs * prod(kernel), outputs * prod(kernel))

    @property
    def value_name(self) -> str:
        """The name that random values depend on: the first of all its names, so that tied tensors share it."""
        return min((self.name, *self.tied[:1], *self.aliases))

    @property
    def all_rows(self) -> RowRange:
        """The range of all its rows; a tensor without dims has one row."""
        return 0, self.shape[0] if self.shape else 1

    @property
    def is_expanded(self) -> bool:
        """Whether elements share memory, because a dim with several elements has stride 0."""
        return any(0 in block.strides and block.distinct != block for block in self.blocks)

    @property
    def represents_ties(self) -> bool:
        """Whether it is the first of its tied tensors by name, which represents all of them."""
        return not self.tied or self.name == self.tied[0]

    @property
    def is_in_order(self) -> bool:
        """Whether the elements are in one file in row-major order, without a gap."""
        return len(self.blocks) == 1 and self.blocks[0].shape == self.shape and self.blocks[0].is_row_major

    @property
    def leading(self) -> Block | None:
        """The only block, if it holds the first rows in row-major order, without a gap; else None."""
        if len(self.blocks) != 1 or any(self.blocks[0].start) or self.blocks[0].shape[1:] != self.shape[1:]:
            return None
        return self.blocks[0] if self.blocks[0].is_row_major else None

    @property
    def in_file_order(self) -> TensorSpec:
        """The elements in the order of the file, as a vector, if they fill a range of it; else the tensor itself. This
        is for transposed tensors, whose rows are not contiguous in the file.
        """
        if len(self.blocks) != 1 or self.blocks[0].shape != self.shape or not self.blocks[0].is_dense:
            return self
        (block,) = self.blocks
        return TensorSpec.contiguous(self.name, self.dtype, (self.numel,), block.file, block.offset)

    @property
    def files(self) -> tuple[str, ...]:
        """The files that hold its bytes, each once."""
        return tuple(dict.fromkeys(block.file for block in self.blocks))


class TensorPart(NamedTuple):
    """Some `rows` of `tensor`, or all of it if `rows` is None."""

    tensor: TensorSpec
    rows: RowRange | None = None

    @property
    def numel(self) -> int:
        if self.rows is None:
            return self.tensor.numel
        return (self.rows[1] - self.rows[0]) * prod(self.tensor.shape[1:])

    @property
    def numbers(self) -> int:
        """The number of stored real numbers: two for each complex element, else one."""
        return self.numel * self.tensor.dtype.parts

    @property
    def nbytes(self) -> int:
        return self.numel * self.tensor.dtype.bits // 8

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The parts of the tensor's blocks in these rows."""
        if self.rows is None:
            return self.tensor.blocks
        width = self.tensor.dtype.bits // 8
        spans = (
            (b, max(self.rows[0] - b.start[0], 0), min(self.rows[1] - b.start[0], b.shape[0]))
            for b in self.tensor.blocks
        )
        return tuple(block.part(0, start, stop, width) for block, start, stop in spans if start < stop)

    @property
    def blank_rows(self) -> list[RowRange]:
        """The rows that have no value yet, because no block holds them."""
        reached, end = self.rows or self.tensor.all_rows
        found = []
        for block in sorted(self.blocks, key=lambda block: block.start):
            first, stop = (block.start[0], block.start[0] + block.shape[0]) if block.shape else (0, 1)
            if reached < first:
                found.append((reached, first))
            reached = max(reached, stop)
        return [*found, (reached, end)] if reached < end and self.numel else found

    @property
    def with_values(self) -> TensorPart:
        """The rows before the first one that has no value yet: all of them, unless the checkpoint is incomplete."""
        if not (blank := self.blank_rows):
            return self
        first, _ = self.rows or self.tensor.all_rows
        return TensorPart(self.tensor, (first, blank[0][0]))

    @property
    def alone(self) -> TensorSpec:
        """These rows as a separate tensor; the tensor itself if the part is all of it."""
        if self.rows is None:
            return self.tensor
        (first, stop), tensor = self.rows, self.tensor
        blocks = (b._replace(start=(b.start[0] - first, *b.start[1:])) for b in self.blocks)
        return TensorSpec(tensor.name, tensor.dtype, (stop - first, *tensor.shape[1:]), tuple(blocks))


class Totals(NamedTuple):
    """The number of tensors (at least in part), of elements and of bytes. Elements of tied tensors count once."""

    tensors: int
    elements: int
    bytes: int

    @classmethod
    def of(cls, parts: Iterable[TensorPart]) -> Totals:
        parts = tuple(parts)
        first: dict[tuple[str, ...], str] = {}
        once = [
            p for p in parts if not p.tensor.tied or first.setdefault(p.tensor.tied, p.tensor.name) == p.tensor.name
        ]
        tensors = {id(part.tensor) for part in parts}
        return cls(len(tensors), sum(part.numel for part in once), sum(part.nbytes for part in once))


def is_kernel(tensor: TensorSpec) -> bool:
    """Whether a weight is called as in Flax and Keras, where outputs are last and inputs before them."""
    return tensor.name.rpartition(".")[2] == "kernel" and len(tensor.shape) >= 2


def reversed_layout(tensor: TensorSpec, bias: TensorSpec | None) -> str | None:
    """The `layout` of a weight that has its inputs before its outputs; None if that does not show.

    A kernel of Flax or Keras is called so. The number of biases shows it in GPT-2's Conv1D and in a transposed
    convolution.
    """
    outputs, inputs, *kernel = tensor.shape
    if is_kernel(tensor):
        return "k" * len(kernel) + "io"
    is_reversed = bias is not None and bias.shape == (inputs,) and inputs != outputs
    return "io" + "k" * len(kernel) if is_reversed else None


def are_sizes(numbers: Iterable[object]) -> bool:
    """Whether all `numbers` are integers from 0 to below `LARGEST_SIZE`."""
    return all(type(number) is int and 0 <= number < LARGEST_SIZE for number in numbers)


@lru_cache(1024)
def row_major(shape: Shape) -> Shape:
    """The strides, in elements, of a contiguous tensor in row-major order."""
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))
