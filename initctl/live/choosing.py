"""Fill only some tensors of a model: those that a caller names, or that loading a checkpoint left missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from initctl.argument_types import check_texts, items
from initctl.errors import FitError, Problem, UsageError, listed, shown
from initctl.formats.state_dicts.names import bare_name
from initctl.grouping import grouped
from initctl.planning.action import Kept
from initctl.planning.advice.left_alone import is_learned, with_kinds
from initctl.planning.near_misses import hint_for
from initctl.selecting import selected_names

if TYPE_CHECKING:
    from initctl.live.table import LiveTable
    from initctl.planning import Plan

_KEYS = "missing_keys"
"""What torch and transformers call the names that a checkpoint lacks."""
_MISMATCHED = "mismatched_keys"
"""What transformers calls the tensors that a checkpoint has in other shapes: names, or tuples that begin with them."""


def chosen_names(table: LiveTable, only: Iterable[str], missing: Any) -> set[str] | None:  # noqa: ANN401 - torch's tuple, a dict or a list
    """The names of the tensors to fill; None means all.

    `only` are patterns. `missing` is what `load_state_dict` or `from_pretrained` returned, or a list of names. A
    tensor that was loaded under another name is not missing. Raises `UsageError`, `FitError`, and `TypeError`.
    """
    patterns = only if isinstance(only, str) else items("only", only)
    if patterns and missing is not None:
        raise UsageError(Problem("usage.only", "only and missing are both given", "leave one of them out"))
    if missing is not None:
        return _missing(table, _names_in(missing))
    return _only(table, selected_names(list(_tensors(table)), patterns)) if patterns else None


def restricted(plan: Plan, names: set[str]) -> Plan:
    """`plan`, which keeps all tensors but those with `names`. Raises `FitError` if no rule decides one of these."""
    kept = [left for left in plan.kept if left.tensor.name in names]
    check_decided(left for left in kept if is_learned(left.tensor))
    others = (Kept(tensor, None) for tensor in plan.checkpoint.tensors if tensor.name not in names)
    actions = tuple(action for action in plan.actions if action.tensor.name in names)
    return replace(plan, actions=actions, kept=(*kept, *others))


def check_decided(kept: Iterable[Kept]) -> None:
    """Raise `FitError` if no rule decides some of what is `kept`."""
    if undecided := {left.tensor.name: left.tensor for left in kept if left.rule is None}:
        message = f"no rule decides {with_kinds(list(undecided.values()))}, which must be filled"
        raise FitError(Problem("tensor.undecided", message, "add a rule for each; NAME=keep leaves a tensor unchanged"))


def _tensors(table: LiveTable) -> Iterator[str]:
    return (tensor.name for tensor in table.checkpoint.tensors)


def _only(table: LiveTable, names: set[str]) -> set[str]:
    """`names`, if they contain all names of a tensor, or none of them."""
    for tied in {tensor.tied for tensor in table.checkpoint.tensors if tensor.name in names}:
        if rest := [name for name in tied if name not in names]:
            named = [name for name in tied if name in names]
            fault = f"only: {_listed(named)} and {_listed(rest)} are one tensor"
            raise FitError(Problem("rule.tied", fault, "name both, or neither"))
    return names


def _missing(table: LiveTable, given: Iterable[str]) -> set[str]:
    """The `given` names without those of tensors that have a value under another name."""
    known = {tensor.name: tensor for tensor in table.checkpoint.tensors}
    bare = (bare_name(name, {*table.tensors, *table.names}) for name in given)
    names = {new for name in bare for new in table.names.get(name, [name])}
    for name in names - known.keys() - table.left_out.keys():
        fault = f"missing: {shown(table.checkpoint.path)} has no tensor {shown(name)}"
        raise UsageError(Problem("usage.missing", fault, hint_for(name, list(known))))
    left = grouped((kept, name) for name, kept in table.left_out.items())
    others = {name: (*known[name].tied, *left.get(name, ())) for name in names & known.keys()}
    _check_ties(table, names, others)
    return {name for name, tied in others.items() if names.issuperset(tied)}


def _check_ties(table: LiveTable, names: set[str], others: Mapping[str, Iterable[str]]) -> None:
    """Raise `FitError` if a tensor is missing whose value was loaded into memory that it does not share."""
    for name, tied in others.items():
        if loaded := [other for other in tied if other in table.stand_ins and other not in names]:
            fault = f"missing: {shown(name)} is missing and {_listed(loaded)} is not; they should be one tensor"
            raise FitError(Problem("live.untied", fault, "call model.tie_weights() before the weights are loaded"))


def _names_in(missing: Any) -> tuple[str, ...]:  # noqa: ANN401 - as above
    found = missing.get(_KEYS) if isinstance(missing, Mapping) else getattr(missing, _KEYS, missing)
    if isinstance(found, str):
        raise TypeError(f"missing: {found!r} is not a list; write missing=[…]")
    other_shapes = missing.get(_MISMATCHED, ()) if isinstance(missing, Mapping) else ()
    names = (*items("missing", found), *(key[0] if isinstance(key, tuple) else key for key in other_shapes))
    check_texts("missing", names)
    return names


def _listed(names: Iterable[str]) -> str:
    return listed([shown(name) for name in names])
