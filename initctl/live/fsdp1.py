"""The tensors that torch's first FSDP, `FullyShardedDataParallel`, keeps in flat parameters, by their original names.

A flat parameter holds the elements of several tensors one after another, and a rank has a range of it. Only private
attributes of torch say which; nothing is communicated.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from torch.distributed.fsdp._common_utils import HandleTrainingState, clean_tensor_name
from torch.distributed.fsdp.fully_sharded_data_parallel import FLAT_PARAM, FullyShardedDataParallel

from initctl.errors import InputError, Problem, shown
from initctl.live.flat_share import FlatShare

if TYPE_CHECKING:
    import torch
    from torch import nn
    from torch.distributed import ProcessGroup
    from torch.distributed.fsdp._flat_param import FlatParameter, FlatParamHandle


def tensors(model: nn.Module) -> dict[str, torch.Tensor | FlatShare]:
    """The tensors of the state dict that `model` would have without FSDP, and their shares in place of those in flat
    parameters. Tied tensors are the same object. Raises `InputError` if a tensor cannot be located.

    Inside of `summon_full_params`, tensors are parameters again.
    """
    shares, found = _shares(model), dict[str, "torch.Tensor | FlatShare"]()
    for prefix, module in model.named_modules(remove_duplicate=False):
        kept = (item for item in module._buffers.items() if item[0] not in module._non_persistent_buffers_set)
        for name, tensor in (*module._parameters.items(), *shares[module].items(), *kept):
            if tensor is not None and name != FLAT_PARAM:
                found[clean_tensor_name(f"{prefix}.{name}" if prefix else name)] = tensor
    return found


def inside(model: nn.Module) -> nn.Module:
    """The first module of `model` that is not FSDP's."""
    return next(module for module in model.modules() if not isinstance(module, FullyShardedDataParallel))


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
        fault = "a forward pass has put FSDP's parameters together, and the next one would use them again"
        raise InputError(Problem("live.fsdp", fault, "fill the model before it, or after the backward pass"))
    return True


def _shares(model: nn.Module) -> dict[nn.Module, dict[str, FlatShare]]:
    """The shares of all tensors in flat parameters, by module and by name there."""
    found: dict[nn.Module, dict[str, FlatShare]] = defaultdict(dict)
    for state in FullyShardedDataParallel.fsdp_modules(model):
        if not (state._handle and _is_sharded(state._handle)):
            continue
        flat = state._handle.flat_param
        for number, (name, module, _) in enumerate(flat._param_infos):
            found[module][name] = _share(flat, number)
        for name, module, _, first_name, first_module, _ in flat._shared_param_infos:
            found[module][name] = found[first_module][first_name]
    return found


def _share(flat: FlatParameter, number: int) -> FlatShare:
    """The share of tensor `number` of a flat parameter."""
    if flat._param_extensions[number] is not None:
        fault = f"tensor {shown(flat._fqns[number])}: FSDP flattened a part of it, which cannot be located"
        raise InputError(Problem("live.fsdp", fault, "use fully_shard with tensor parallelism"))
    share, strides = flat._shard_param_infos[number], flat._strides[number]
    offset = share.offset_in_shard or 0
    memory = flat.detach()[offset : offset + (share.numel_in_shard or 0)]
    order = tuple(sorted(range(len(strides)), key=lambda dim: -strides[dim]))
    return FlatShare(tuple(flat._shapes[number]), order, share.intra_param_start_idx or 0, memory)
