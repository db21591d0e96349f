"""What of tensors is read at once: small ones that are near each other in a file together, large ones in pieces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    from initctl.tensors import TensorSpec

    Aligned = tuple[TensorSpec, ...]
    """Tensors of as many elements, which are read side by side."""

PIECE = 4 << 20
"""Bytes of one task."""
AT_ONCE = {1: PIECE, 2: 512 << 10}
"""Bytes that are read at once of each tensor, by how many are read side by side. Between two calls a core forgets the
interpreter: less at once costs more than what it takes to fetch the bytes from a farther cache.
"""
_TOGETHER = 1 << 20
"""Bytes of small tensors that are read at once."""
_SCATTERED = 8 << 20
"""Bytes of one task that are far apart in a file, and so are gathered at once: the more, the longer the runs there."""


class Group(NamedTuple):
    """The numbers of tensors that one call can read; or of one tensor, if it is not small."""

    numbers: list[int]
    is_small: bool


def grouped(tensors: Iterable[tuple[int, Aligned]], most: int) -> Iterator[Group]:
    """Numbered tensors in their order, small ones together if they are near each other in one file, or in one file for
    each of those that are read side by side. A small one holds at most `most` numbers, in their order.
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
    """How `numel` elements are cut: each piece has `size` of them, which are read in steps of `step`."""

    numel: int
    size: int
    step: int

    @classmethod
    def of(cls, tensors: Sequence[TensorSpec]) -> Self:
        """Of tensors that are read side by side. What is not in its order in a file is read piece by piece."""
        width = max(tensor.dtype.bits for tensor in tensors) // 8
        if all(tensor.is_in_order for tensor in tensors):
            return cls(tensors[0].numel, PIECE // width, AT_ONCE[len(tensors)] // width)
        return cls(tensors[0].numel, _SCATTERED // width, _SCATTERED // width)

    @property
    def number(self) -> int:
        """How many pieces there are."""
        return -(-self.numel // self.size)

    def bounds(self, piece: int) -> tuple[int, int]:
        """The number of a piece's first element, and of the one after its last."""
        return piece * self.size, min((piece + 1) * self.size, self.numel)

    def steps(self, piece: int) -> Iterator[tuple[int, int]]:
        """The same of each step of a piece."""
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
    """Whether `tensor` comes after those from `first` to `last` in their file, and at most `within` bytes hold all."""
    (begin,), (end,), (block,) = first.blocks, last.blocks, tensor.blocks
    return (
        block.file == begin.file
        and block.offset >= end.offset + last.nbytes
        and block.offset + tensor.nbytes - begin.offset <= within
    )
