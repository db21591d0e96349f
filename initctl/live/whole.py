"""The whole model, if only a part of it is in memory: a stage of a pipeline has some of the names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from initctl.errors import FitError, Problem, shown
from initctl.formats import Checkpoint, read_checkpoint
from initctl.formats.listed import read_listed
from initctl.grouping import grouped
from initctl.planning.action import Located
from initctl.planning.near_misses import nearest_names

if TYPE_CHECKING:
    from initctl.live.table import LiveTable
    from initctl.planning import Action, Plan
    from initctl.tensors import TensorSpec

_INDEX = ".index.json"


def whole_model(of: Checkpoint | str | os.PathLike[str], table: LiveTable) -> Checkpoint:
    """The model `of` which `table` is a part: its tensors that are in memory have the dtype that they have there.

    Raises `FitError` if it lacks a tensor of `table`, or has one of another shape, and `InputError`.
    """
    whole = of if isinstance(of, Checkpoint) else _read(os.fspath(of))
    here = table.checkpoint
    known = whole.by_name
    if problems := [problem for tensor in here.tensors if (problem := _unfit(tensor, known, whole))]:
        raise FitError(*problems)
    local = {known[tensor.name].name: tensor for tensor in here.tensors}
    return replace(
        whole,
        tensors=tuple(_merged(tensor, local.get(tensor.name)) for tensor in whole.tensors),
        result=whole.result if here.result.config is None else here.result,
        **_WITHOUT_THE_REST,
    )


_WITHOUT_THE_REST: Mapping[str, Any] = {
    "optimizers": (),
    "masters": (),
    "outside": (),
    "unlisted": (),
    "warnings": (),
    "incomplete": False,
}
"""Only the names and shapes of the whole model matter, not what else is in its files."""


def part_of_plan(plan: Plan, table: LiveTable, left_out: Mapping[str, str] = MappingProxyType({})) -> Plan:
    """The part of `plan`, for the whole model, that is about the tensors of `table`. The tensors named in `left_out`
    are filled as others are, whose names are given there.

    Raises `FitError` if a tensor is filled from another that is not in `table`.
    """
    here, known = table.checkpoint, plan.checkpoint.by_name
    known |= {name: known[kept] for name, kept in left_out.items()}
    own = {tensor.name: tensor for tensor in here.tensors}
    actions = grouped((action.tensor.name, action) for action in plan.actions)
    kept = grouped((left.tensor.name, left) for left in plan.kept)
    return replace(
        plan,
        checkpoint=here,
        actions=tuple(
            _here(action, tensor, here, own) for tensor in here.tensors for action in actions[known[tensor.name].name]
        ),
        kept=tuple(left.of(tensor) for tensor in here.tensors for left in kept[known[tensor.name].name]),
    )


def _unfit(tensor: TensorSpec, known: Mapping[str, TensorSpec], whole: Checkpoint) -> Problem | None:
    """The problem if `tensor` is not a tensor of the `whole` model."""
    found = known.get(tensor.name)
    if found is None:
        names = nearest_names(tensor.name, list(known))
        message = f"tensor {shown(tensor.name)}: {shown(whole.path)} has no such tensor"
        return Problem("live.of", message, f"did you mean the model with {shown(names[0])}?" if names else None)
    if found.shape != tensor.shape:
        place = f"tensor {shown(tensor.name)} {list(tensor.shape)}"
        return Problem("live.of", f"{place}: has the shape {list(found.shape)} in {shown(whole.path)}")
    return None


def _merged(tensor: TensorSpec, here: TensorSpec | None) -> TensorSpec:
    """A tensor of the whole model; with the dtype and the memory that it has `here`, if it is in memory."""
    if here is None:
        return tensor
    tied = tuple(sorted({*tensor.tied, *here.tied}))
    return replace(tensor, dtype=here.dtype, blocks=here.blocks, tied=tied, unwritable=here.unwritable)


def _here(action: Action, tensor: TensorSpec, here: Checkpoint, own: Mapping[str, TensorSpec]) -> Action:
    """`action` on `tensor`, which has the same values here as in the whole model."""
    sources = {}
    for source, at in action.sources.items():
        if source.checkpoint is None and source.name not in own:
            fault = f"tensor {shown(tensor.name)}: {shown(source.name)}, which it is filled from, is in another part"
            raise FitError(action.rule.problem("live.of", fault))
        sources[source] = at if source.checkpoint is not None else Located(here, own[source.name])
    return action.of(tensor)._replace(values_of=action.value_name, sources=sources)


def _read(path: str) -> Checkpoint:
    """The checkpoint at `path`, or the one whose table is there, as `initctl inspect --json` prints it."""
    return read_listed(path) if path.endswith(".json") and not path.endswith(_INDEX) else read_checkpoint(path)
