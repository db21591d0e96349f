"""The pieces of a DTensor on this rank, from its mesh and its placements alone: nothing is communicated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.distributed.tensor.placement_types import Shard, _StridedShard

from initctl.live.piece import Piece, Unfillable, is_wrapper

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup
    from torch.distributed.tensor import DTensor

    Range = tuple[int, int]
    """Indices `start` ≤ i < `stop` of a dim."""


class _Cut(NamedTuple):
    """One dim of a mesh cuts a dim of a tensor into `shares`, and this rank has number `own` of them.

    The tensor's dim is cut into `blocks` first, and a share is the same share of each block. FSDP2 cuts so if tensor
    parallelism cuts the same dim.
    """

    shares: int
    own: int
    blocks: int

    def of(self, size: int) -> Iterator[Range]:
        """The positions of this rank's share, of `size`."""
        for block in range(self.blocks):
            yield _chunk(_chunk((0, size), self.blocks, block), self.shares, self.own)


def pieces(tensor: DTensor) -> Iterator[Piece]:
    """The rectangles of `tensor` that this rank holds: none if it is not in the mesh, and else mostly one.

    Raises `Unfillable` if its elements are not in memory as themselves, or cannot be located.
    """
    if tensor.device_mesh.get_coordinate() is None:
        return
    with torch.no_grad():
        local = tensor.to_local().detach()
    if is_wrapper(local):
        raise Unfillable(f"the part of it on this rank is a tensor subclass, {type(local).__name__}")
    held = [_held(size, cuts) for size, cuts in zip(tensor.shape, _cuts(tensor), strict=True)]
    expected = [sum(stop - start for start, stop in ranges) for ranges in held]
    if expected != list(local.shape):
        placements = _shown(tensor)
        raise Unfillable(f"{placements} give this rank a shape of {expected}, but it holds {list(local.shape)}")
    for found in product(*map(_located, held)):
        memory = local
        for dim, (reached, start, stop) in enumerate(found):
            memory = memory.narrow(dim, reached, stop - start)
        yield Piece(memory, tuple(start for _, start, _ in found))


def groups(tensors: Iterable[DTensor]) -> list[ProcessGroup]:
    """The groups of this rank along the dims of the largest mesh of `tensors`. Smaller meshes are mostly parts of it:
    beside tensor parallelism, norms are on one of its dims.
    """
    meshes = [tensor.device_mesh for tensor in tensors if tensor.device_mesh.get_coordinate() is not None]
    if not meshes:
        return []
    largest = max(meshes, key=lambda mesh: mesh.size())
    return [largest.get_group(dim) for dim in range(largest.ndim) if largest.size(dim) > 1]


def _cuts(tensor: DTensor) -> list[list[_Cut]]:
    """The cuts of each dim of `tensor`, in the order of the mesh's dims."""
    mesh, cuts = tensor.device_mesh, [list[_Cut]() for _ in tensor.shape]
    for dim, placement in enumerate(tensor.placements):
        if isinstance(placement, (Shard, _StridedShard)):
            blocks = getattr(placement, "split_factor", 1)
            cuts[placement.dim].append(_Cut(mesh.size(dim), mesh.get_local_rank(dim), blocks))
        elif not placement.is_replicate():
            raise Unfillable(f"{_shown(tensor)}: a rank holds no elements of it, only terms of a sum or the like")
    return cuts


def _held(size: int, cuts: Iterable[_Cut]) -> list[Range]:
    """The indices of a dim of `size` that this rank holds, in the order of its memory."""
    held = [(0, size)]
    for cut in cuts:
        shares = list(cut.of(sum(stop - start for start, stop in held)))
        held = [part for share in shares for part in _at(held, share)]
    return held


def _at(held: Iterable[Range], share: Range) -> Iterator[Range]:
    """The indices at the positions `share` of those that are `held`."""
    first, last = share
    for start, stop in held:
        begin, end = start + max(first, 0), min(start + last, stop)
        if begin < end:
            yield begin, end
        first, last = first - (stop - start), last - (stop - start)


def _chunk(within: Range, count: int, number: int) -> Range:
    """Chunk `number` of `count`, as `torch.chunk` cuts: all have one size, but for the last ones."""
    start, stop = within
    size = -(-(stop - start) // count)
    begin = min(start + number * size, stop)
    return begin, min(begin + size, stop)


def _located(held: Iterable[Range]) -> Iterator[tuple[int, int, int]]:
    """Each range with the position of its first index in this rank's memory."""
    reached = 0
    for start, stop in held:
        yield reached, start, stop
        reached += stop - start


def _shown(tensor: DTensor) -> str:
    return f"the placements {', '.join(map(str, tensor.placements))} of a mesh of {list(tensor.device_mesh.shape)}"
