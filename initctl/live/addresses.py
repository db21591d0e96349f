"""Storages of torch that share addresses, as those do that were made from one array of NumPy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from initctl.errors import InputError, Problem, shown

if TYPE_CHECKING:
    import torch

    from initctl.tensors import TensorSpec

    Storages = dict[str, torch.UntypedStorage]

_ADDRESSED = ("cpu", "cuda")
"""Kinds of devices whose pointers are addresses of bytes."""


class _Range(NamedTuple):
    """The addresses of the storage at a `place`."""

    device: str
    start: int
    stop: int
    place: str


class _Inside(NamedTuple):
    """What holds a storage: the `outer` place, from byte `offset` on. It does not hold all if they overlap in part."""

    outer: str
    offset: int
    is_all: bool


def by_address(specs: dict[str, TensorSpec], storages: Storages) -> tuple[dict[str, TensorSpec], Storages]:
    """The same, with each storage inside of another one replaced by that one: then overlaps of tensors can be seen.

    Raises `InputError` if two storages overlap in part.
    """
    inside = dict(_inside(storages))
    if not inside:
        return specs, storages
    outer = {place: storage for place, storage in storages.items() if place not in inside}
    return {name: _moved(spec, inside) for name, spec in specs.items()}, outer


def _inside(storages: Storages) -> Iterator[tuple[str, _Inside]]:
    """The places that are inside of others, or overlap them."""
    outer: _Range | None = None
    for own in sorted(_ranges(storages), key=lambda own: (own.device, own.start, -own.stop)):
        if outer is None or own.device != outer.device or own.start >= outer.stop:
            outer = own
        else:
            yield own.place, _Inside(outer.place, own.start - outer.start, own.stop <= outer.stop)


def _ranges(storages: Storages) -> Iterator[_Range]:
    for place, storage in storages.items():
        if storage.device.type in _ADDRESSED and (nbytes := storage.nbytes()):
            yield _Range(str(storage.device), storage.data_ptr(), storage.data_ptr() + nbytes, place)


def _moved(spec: TensorSpec, inside: Mapping[str, _Inside]) -> TensorSpec:
    """`spec`, with blocks in the outer storages."""
    blocks = []
    for block in spec.blocks:
        if found := inside.get(block.file):
            if not found.is_all or found.offset * 8 % spec.dtype.bits:
                fault = f"tensor {shown(spec.name)}: its storage and that of another tensor overlap in part"
                raise InputError(Problem("live.overlap", fault, "make one of them a view of the other in torch"))
            block = block._replace(file=found.outer, offset=block.offset + found.offset)
        blocks.append(block)
    return replace(spec, blocks=tuple(blocks))
