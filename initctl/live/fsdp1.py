"""The tensors that torch's first FSDP, `FullyShardedDataParallel`, keeps in flat parameters, by their original names.

A flat parameter holds the elements of several tensors one after another, and a rank has a range of it. Only private
attributes of torch say which; nothing is communicated.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple, Self

import torch
from torch.distributed.fsdp import FullyShardedDataParallel
from torch.distributed.fsdp._common_utils import HandleTrainingState

from initctl.layout.runs import boxes
from initctl.live.piece import Piece, Unfillable

if TYPE_CHECKING:
    from torch import nn
    from torch.distributed import ProcessGroup
    from torch.distributed.fsdp._flat_param import FlatParameter, FlatParamHandle

    from initctl.tensors import Shape

FLAT = "_flat_param"
"""The last part of a flat parameter's name."""


class FlatShare(NamedTuple):
    """A rank's share of a tensor of `shape`: the elements from number `start`, in the vector `memory`.

    They are numbered as they were in the tensor's memory: in row-major order if its dims are put in this `order`.
    """

    shape: Shape
    order: tuple[int, ...]
    start: int
    memory: torch.Tensor

    @classmethod
    def of(cls, flat: FlatParameter, number: int) -> Self:
        """The share of tensor `number` of a sharded flat parameter."""
        share, strides = flat._shard_param_infos[number], flat._strides[number]
        offset = share.offset_in_shard or 0
        memory = flat.detach()[offset : offset + (share.numel_in_shard or 0)]
        order = tuple(sorted(range(len(strides)), key=lambda dim: -strides[dim]))
        return cls(tuple(flat._shapes[number]), order, share.intra_param_start_idx or 0, memory)

    @property
    def pieces(self) -> Iterator[Piece]:
        """Its rectangles: fewer than two for each dim."""
        if not self.memory.numel():
            return
        reached, back = 0, [self.order.index(dim) for dim in range(len(self.order))]
        shape = tuple(self.shape[dim] for dim in self.order)
        for start, sizes in boxes(shape, self.start, self.start + self.memory.numel()):
            end = reached + torch.Size(sizes).numel()
            memory = self.memory[reached:end].view(sizes).permute(back)
            yield Piece(memory, tuple(start[dim] for dim in back))
            reached = end


def flat_shares(model: nn.Module) -> dict[str, FlatShare]:
    """The shares of all tensors in flat parameters of `model`, by the names that the tensors had as parameters.

    A name still has the parts that FSDP adds. Tied tensors are the same object. Tensors that FSDP has put together
    again, inside of `summon_full_params`, are not listed: they are parameters. Raises `Unfillable` if a tensor cannot
    be located.
    """
    prefixes: dict[nn.Module, list[str]] = defaultdict(list)
    for prefix, module in model.named_modules(remove_duplicate=False):
        prefixes[module].append(f"{prefix}." if prefix else "")
    found = {}
    for state in FullyShardedDataParallel.fsdp_modules(model):
        if (handle := state._handle) and _is_sharded(handle):
            for module, name, share in _shares(handle.flat_param):
                found.update({prefix + name: share for prefix in prefixes[module]})
    return found


def groups(model: nn.Module) -> list[ProcessGroup]:
    """The groups of ranks that `model` is sharded over, and copied over, if it is."""
    for state in FullyShardedDataParallel.fsdp_modules(model):
        both = [state.process_group, getattr(state, "_inter_node_pg", None)]
        return [group for group in both if group is not None and group.size() > 1]
    return []


def _is_sharded(handle: FlatParamHandle) -> bool:
    """Whether the flat parameter is what a rank keeps; False inside of `summon_full_params`."""
    if handle._training_state == HandleTrainingState.SUMMON_FULL_PARAMS:
        return False
    gathered = getattr(handle.flat_param, "_full_param_padded", None)
    if gathered is not None and gathered.untyped_storage().size():
        fault = "a forward pass has put FSDP's parameters together, and they would be used again"
        raise Unfillable(f"{fault}; fill them before it, or after the backward pass")
    return True


def _shares(flat: FlatParameter) -> Iterator[tuple[nn.Module, str, FlatShare]]:
    """Each tensor of `flat`, as often as modules have it: a module, the name there, and the share."""
    owners = {}
    for number, (name, module, path) in enumerate(flat._param_infos):
        if flat._param_extensions[number] is not None:
            raise Unfillable(f"FSDP flattened {path}.{name}, a DTensor; combine tensor parallelism with fully_shard")
        owners[module, name] = share = FlatShare.of(flat, number)
        yield module, name, share
    for name, module, _, first_name, first_module, _ in flat._shared_param_infos:
        yield module, name, owners[first_module, first_name]
