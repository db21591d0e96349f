"""How tensors are read: small ones that are near each other in a file together, large ones in pieces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    from initctl.tensors import TensorSpec

    Aligned = tuple[TensorSpec, ...]
    """Tensors with the same number of elements, which are read side by side."""

PIECE = 4 << 20
"""Bytes of one task."""
AT_ONCE = {1: PIECE, 2: 512 << 10}
"""Bytes that are read at once of each tensor, by how many tensors are read side by side. During a read, the core's
caches lose the interpreter's data: smaller reads would cost more than fetching the bytes from a farther cache.
"""
_TOGETHER = 1 << 20
"""Bytes of small tensors that are read at once."""
_SCATTERED = 8 << 20
"""Bytes of one task if elements are scattered in a file. Larger tasks find longer runs there."""


class Group(NamedTuple):
    """The numbers of small tensors that one call can read, or of one large tensor."""

    numbers: list[int]
    is_small: bool


def grouped(tensors: Iterable[tuple[int, Aligned]], most: int) -> Iterator[Group]:
    """Groups of numbered tensors, in order: small ones are together if they are near each other in a file.

    Of tensors that are read side by side, each must be near the previous one in its file. A small tensor has at most
    `most` numbers, in row-major order.
    """
    near: list[tuple[int, Aligned]] = []
    for number, aligned in tensors:
        if not all(_is_small(tensor, most) for tensor in aligned):
            yield Group([number], is_small=False)
            continue
        if near and not _are_near(near[0][1], near[-1][1], aligned):
            yield Group([number for number, _ in near], is_small=True)
            near = []
        near.append((number, aligned))
    if near:
        yield Group([number for number, _ in near], is_small=True)


class Pieces(NamedTuple):
    """How `numel` elements are divided: into pieces of `size` elements, which are read in steps of `step`."""

    numel: int
    size: int
    step: int

    @classmethod
    def of(cls, tensors: Sequence[TensorSpec]) -> Self:
        """The pieces of tensors that are read side by side. If one is not in row-major order, a piece is one step."""
        width = max(tensor.dtype.bits for tensor in tensors) // 8
        if all(tensor.is_in_order for tensor in tensors):
            return cls(tensors[0].numel, PIECE // width, AT_ONCE[len(tensors)] // width)
        return cls(tensors[0].numel, _SCATTERED // width, _SCATTERED // width)

    @property
    def number(self) -> int:
        """The number of pieces."""
        return -(-self.numel // self.size)

    def bounds(self, piece: int) -> tuple[int, int]:
        """The index of a piece's first element, and the index after its last."""
        return piece * self.size, min((piece + 1) * self.size, self.numel)

    def steps(self, piece: int) -> Iterator[tuple[int, int]]:
        """The same for each step of a piece."""
        first, last = self.bounds(piece)
        for start in range(first, last, self.step):
            yield start, min(start + self.step, last)


def _is_small(tensor: TensorSpec, most: int) -> bool:
    return tensor.numel * tensor.dtype.parts <= most and tensor.is_in_order


def _are_near(firsts: Aligned, lasts: Aligned, aligned: Aligned) -> bool:
    """Whether all of `aligned` are near: see `_is_near`."""
    each = zip(firsts, lasts, aligned, strict=True)
    return all(_is_near(first, last, tensor, _TOGETHER // len(aligned)) for first, last, tensor in each)


def _is_near(first: TensorSpec, last: TensorSpec, tensor: TensorSpec, within: int) -> bool:
    """Whether `tensor` follows those from `first` to `last` in their file, and all span at most `within` bytes."""
    (begin,), (end,), (block,) = first.blocks, last.blocks, tensor.blocks
    return (
        block.file == begin.file
        and block.offset >= end.offset + last.nbytes
        and block.offset + tensor.nbytes - begin.offset <= within
    )
