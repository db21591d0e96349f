"""The tensors of a module or a state dict in memory, by the names that a file of it has."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeGuard

import torch
from torch import nn

from initctl.errors import Problem, UsageError, shown
from initctl.live.as_saved import as_saved

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from initctl.live.pieces import Held

    Model = nn.Module | Mapping[str, Any]


class Named(NamedTuple):
    """The `tensors` of a model, under the names that a file of it has.

    `title` is the model's name in messages. `tied` are names that a file of the model leaves out, each with the name
    that the file has instead. `names` are the names in a file of each tensor that has another name in memory.
    `computed` are tensors, under their names in memory, whose elements a file has in others. `copies` are names whose
    tensors are not the model's own: a hook computes them.
    """

    title: str
    tensors: Mapping[str, Held]
    tied: Mapping[str, str] = {}
    names: Mapping[str, Sequence[str]] = {}
    computed: Sequence[str] = ()
    copies: frozenset[str] = frozenset()


def named(model: Model) -> Named:
    """The tensors of `model`. Raises `UsageError` for a nested state dict, and `TypeError` for anything else."""
    if isinstance(model, Mapping):
        _check_flat(model)
        return Named("the state dict", _tensors(model))
    if not isinstance(model, nn.Module):
        raise TypeError(f"model: {type(model).__name__} is neither a module nor a state dict")
    model = unwrapped(model)
    if is_fsdp1(model):
        return _flattened(model)
    tensors = _tensors(model.state_dict(keep_vars=True))
    own = {id(tensor) for tensor in own_tensors(model)}
    copies = frozenset(name for name, tensor in tensors.items() if id(tensor) not in own)
    found = Named(type(model).__name__, tensors, copies=copies)
    return _as_saved(model, found) if is_pretrained(model) else found


def unwrapped(model: nn.Module) -> nn.Module:
    """`model` without `torch.compile` and data parallelism around it."""
    compiled = sys.modules.get("torch._dynamo.eval_frame")
    while True:
        if compiled and isinstance(model, compiled.OptimizedModule):
            model = model._orig_mod  # noqa: SLF001 - the name is in every state dict of a compiled module
        elif isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            model = model.module
        else:
            return model


def own_tensors(model: nn.Module) -> Iterator[torch.Tensor]:
    """All parameters and buffers of `model` and of the modules in it."""
    yield from model.parameters()
    yield from model.buffers()


def is_pretrained(model: object) -> TypeGuard[PreTrainedModel]:
    """Whether `model` is one of transformers, which is not imported for it."""
    module = sys.modules.get("transformers.modeling_utils")
    return module is not None and isinstance(model, module.PreTrainedModel)


def is_fsdp1(model: nn.Module) -> bool:
    """Whether `model`, or a module in it, is wrapped in torch's first FSDP, which is not imported for it."""
    module = sys.modules.get("torch.distributed.fsdp.fully_sharded_data_parallel")
    return module is not None and any(isinstance(inner, module.FullyShardedDataParallel) for inner in model.modules())


def _flattened(model: nn.Module) -> Named:
    """The tensors of a model in FSDP, whose own state dict would put all of them together."""
    from initctl.live import fsdp1

    inner = fsdp1.inside(model)
    found = Named(type(inner).__name__, fsdp1.tensors(model))
    return _as_saved(inner, found) if is_pretrained(inner) else found


def _as_saved(model: PreTrainedModel, found: Named) -> Named:
    """`found` under the names that `save_pretrained` writes."""
    ignored = model._keys_to_ignore_on_save or ()  # noqa: SLF001 - as save_pretrained does
    tensors = {name: tensor for name, tensor in found.tensors.items() if name not in ignored}
    ties = {name: kept for name, kept in model.all_tied_weights_keys.items() if {name, kept} <= tensors.keys()}
    saved = as_saved(model, {name: tensor for name, tensor in tensors.items() if name not in ties})
    return found._replace(
        tensors={**saved.tensors, **{name: tensors[name] for name in ties}},
        tied={name: saved.names.get(kept, [kept])[0] for name, kept in ties.items()},
        names=saved.names,
        computed=saved.computed,
    )


def _tensors(state_dict: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """The tensors of a state dict, which may hold other things, such as the extra state of a module."""
    return {name: value for name, value in state_dict.items() if isinstance(value, torch.Tensor)}


def _check_flat(state_dict: Mapping[str, Any]) -> None:
    for name, value in state_dict.items():
        if not isinstance(name, str):
            raise TypeError(f"model: the key {name!r} of the state dict is not a string")
        if isinstance(value, Mapping) and any(isinstance(inner, torch.Tensor) for inner in value.values()):
            fault = f"the state dict has tensors below {shown(name)}"
            raise UsageError(Problem("live.nested", fault, f"give the inner one, [{shown(repr(name))}]"))
