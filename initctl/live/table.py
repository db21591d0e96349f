"""The table of a model in memory: what planning knows of it, and where in memory its tensors are."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from initctl.dtypes import BY_NAME
from initctl.errors import InputError, Problem, listed, shown
from initctl.formats.checkpoint import IN_MEMORY, Checkpoint, Result
from initctl.formats.state_dicts.names import without_prefix, wrapper_prefix
from initctl.formats.state_dicts.roots import named_apart
from initctl.live.addresses import by_address
from initctl.live.flat_share import FlatShare
from initctl.live.named import Named, named, unwrapped
from initctl.live.piece import is_wrapper
from initctl.live.pieces import Unfillable, is_dtensor, pieces, whole_shape
from initctl.live.window import Window
from initctl.tensors import Block, TensorSpec

if TYPE_CHECKING:
    from initctl.live.named import Model
    from initctl.live.pieces import Held

_META = "meta"
_LAZY = (UninitializedParameter, UninitializedBuffer)
"""What lazy modules have instead of tensors."""
_OF_MEGATRON = ("tensor_model_parallel", "allreduce")
"""Attributes of parameters in Megatron's parallel layers: each has at least one of them."""


@dataclass(frozen=True, slots=True)
class LiveTable:
    """The tensors of a model as a `checkpoint` without files. The file that a block names is one of `storages`, and its
    offset is in bytes of that. A tensor on the meta device has no storage.

    `tensors` hold the elements, by name. `names` are the names of each tensor that has another name in memory.
    `left_out` maps a name that files omit to the name that they keep. `stand_ins` are omitted tensors that have memory
    of their own.
    """

    checkpoint: Checkpoint
    storages: Mapping[str, torch.UntypedStorage]
    tensors: Mapping[str, Held]
    names: Mapping[str, Sequence[str]]
    left_out: Mapping[str, str]
    stand_ins: Mapping[str, TensorSpec]


def table_of(model: Model) -> LiveTable:
    """The table of `model`, which it does not change.

    Raises `InputError` for tensors that are not real yet, and as `named` does.
    """
    return _table(named(model), _config(model), is_whole=True)


def table_of_part(found: Named) -> LiveTable:
    """The same of a part of a model, whose names are not relative to that part. Raises `InputError`."""
    return _table(found, None, is_whole=False)


def _table(found: Named, config: Mapping[str, Any] | None, *, is_whole: bool) -> LiveTable:
    _check_real(found)
    storages: dict[str, torch.UntypedStorage] = {}
    specs = {name: _spec(name, tensor, found, storages) for name, tensor in found.tensors.items()}
    specs, storages = by_address(specs, storages)
    places = {name: spec.blocks for name, spec in specs.items()}
    apart = {name: kept for name, kept in found.tied.items() if places[name] != places[kept]}
    kept = [spec for name, spec in specs.items() if name not in found.tied]
    prefix = wrapper_prefix([spec.name for spec in kept]) if is_whole else ""
    short = {name: name.removeprefix(prefix) for name in specs}
    checkpoint = Checkpoint(
        path=found.title,
        directory="",
        target=found.title,
        format=IN_MEMORY,
        files=(),
        tensors=named_apart(without_prefix(spec, prefix) for spec in kept),
        warnings=(*_untied(apart), *_computed(found.computed)),
        result=Result(config=config),
    )
    return LiveTable(
        checkpoint,
        storages,
        {short[name]: tensor for name, tensor in found.tensors.items()},
        found.names,
        {short[name]: short[kept] for name, kept in found.tied.items()},
        {short[name]: replace(specs[name], name=short[name]) for name in apart},
    )


def _check_real(found: Named) -> None:
    """Raise `InputError` if the model has tensors without a shape, fake ones, or parts of unknown place."""
    lazy = [name for name, tensor in found.tensors.items() if isinstance(tensor, _LAZY)]
    fake = [name for name, tensor in found.tensors.items() if isinstance(tensor, FakeTensor)]
    if lazy:
        hint = "run the lazy modules once on an example input"
        raise InputError(Problem("live.lazy", f"{_names(lazy)}: no shape is known yet", hint))
    if fake:
        raise InputError(Problem("live.fake", f"{_names(fake)}: is fake, and has no values", "leave FakeTensorMode"))
    if split := _split_by_megatron(found):
        message = f"{_names(split)}: Megatron's tensor parallelism has split it, and it does not say which part this is"
        hint = "fill a file of the whole model with initctl apply, and load it"
        raise InputError(Problem("live.megatron", message, hint))


def _split_by_megatron(found: Named) -> list[str]:
    """The parameters of Megatron's parallel layers, if several ranks share them."""
    state = sys.modules.get("megatron.core.parallel_state")
    is_split = state and state.model_parallel_is_initialized() and state.get_tensor_model_parallel_world_size() > 1
    marked = [name for name, tensor in found.tensors.items() if any(hasattr(tensor, mark) for mark in _OF_MEGATRON)]
    return marked if is_split else []


def _spec(name: str, tensor: Held, found: Named, storages: dict[str, torch.UntypedStorage]) -> TensorSpec:
    """The tensor as planning sees it. Adds the storages of its blocks to `storages`."""
    dtype = BY_NAME[str(tensor.dtype).removeprefix("torch.")]
    why = "its module computes it for the state dict, from other tensors" if name in found.copies else _special(tensor)
    if not why:
        try:
            blocks = [_block(memory, start, storages) for memory, start in pieces(tensor)] or [_nowhere(tensor)]
        except Unfillable as fact:
            why = str(fact)
        else:
            if any(block.distinct.numel and block.distinct.overlaps_itself for block in blocks):
                why = "its elements share memory with each other"
            return TensorSpec(name, dtype, whole_shape(tensor), tuple(blocks), unwritable=why)
    shape = () if isinstance(tensor, torch.Tensor) and tensor.is_nested else whole_shape(tensor)
    return TensorSpec(name, dtype, shape, (), unwritable=why)


def _special(tensor: Held) -> str | None:
    """Why the memory of `tensor` does not hold its elements as themselves, if so."""
    if isinstance(tensor, Window):
        return _special(tensor.parameter)
    if isinstance(tensor, FlatShare):
        return None
    if hasattr(tensor, "ds_id") and not tensor.numel():
        return "DeepSpeed has partitioned it: call init_ inside of deepspeed.zero.GatheredParameters"
    if tensor.is_nested:
        return "it is nested"
    if tensor.layout != torch.strided:
        return "it is sparse"
    if tensor.is_quantized:
        return "it is quantized: its numbers have no meaning without its scale"
    if is_wrapper(tensor) and not is_dtensor(tensor):
        return f"it is a tensor subclass, {type(tensor).__name__}"
    if tensor.is_conj() or tensor.is_neg():
        return "it is a view that conjugates or negates"
    return None


def _block(memory: torch.Tensor, start: tuple[int, ...], storages: dict[str, torch.UntypedStorage]) -> Block:
    """The place of a piece. Pieces of one storage have the same file in their blocks."""
    storage = memory.untyped_storage()
    place = f"{memory.device} {storage._cdata:x}"  # noqa: SLF001 - what is the same storage for torch
    if memory.device.type != _META:
        storages[place] = storage
    offset = int(memory.storage_offset()) * memory.element_size()
    return Block(place, offset, start, tuple(memory.shape), memory.stride())


def _nowhere(tensor: Held) -> Block:
    """The block of a tensor of which this process has no element: it differs from that of any tensor that is not tied
    to it, so that all processes know the same ties.
    """
    dims = len(whole_shape(tensor))
    return Block(f"object {id(tensor):x}", 0, (0,) * dims, (0,) * dims, (1,) * dims)


def _untied(apart: Mapping[str, str]) -> Iterator[Problem]:
    """A warning if tensors that should be tied are not."""
    if apart:
        pairs = [f"{shown(name)} to {shown(kept)}" for name, kept in apart.items()]
        message = (
            f"the model's configuration ties {listed(pairs)}, but they have memory of their own; both get the same"
        )
        yield Problem("live.untied", message, "call model.tie_weights() after model.to_empty()")


def _computed(names: Sequence[str]) -> Iterator[Problem]:
    """A warning if the elements of tensors are in a file in a way that `as_saved` cannot follow."""
    if names:
        message = f"{_names(names)}: a file has its elements in other tensors, in another order; names in memory count"
        yield Problem("live.names", message, "for the values of a file, apply the rules to a saved model, and load it")


def _config(model: Model) -> Mapping[str, Any] | None:
    """The `config.json` that a model of transformers or diffusers is saved with."""
    if not isinstance(model, torch.nn.Module):
        return None
    inner = unwrapped(model)
    holder = inner if isinstance(getattr(inner, "config", None), Mapping) else getattr(inner, "config", None)
    written = getattr(holder, "to_json_string", None)
    return dict(json.loads(written())) if written else None


def _names(names: Iterable[str]) -> str:
    return f"tensor {listed(list(map(shown, names)))}"
