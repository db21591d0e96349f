"""Applies a rule's initializer to a tensor: an action if the tensor can hold the values and every source tensor exists,
otherwise a problem shared by all tensors that fail for the same reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING

from initctl.dtypes import BY_NAME, DType, every_float_holds
from initctl.errors import Problem, shown
from initctl.initializers import BoundCall, Resolved, Unfit
from initctl.planning.action import Action, Located
from initctl.planning.blank_rows import blank_text, check_values_read
from initctl.planning.near_misses import nearest_names
from initctl.stream import (
    SAME_EVERYWHERE,
    AnyLaw,
    Constant,
    Deterministic,
    Fused,
    NotANumber,
    RevisingLaw,
    Source,
)
from initctl.tensors import RowRange, TensorPart, TensorSpec

if TYPE_CHECKING:
    from initctl.initializers.revising import CopiedTensor
    from initctl.planning.surroundings import Surroundings
    from initctl.rules import Rule

_COMPUTED = BY_NAME["float32"]
"""The dtype in which random values are computed, for every tensor."""


def action_of(rule: Rule, call: BoundCall, tensor: TensorSpec, rows: RowRange | None, around: Surroundings) -> Action:
    """The action of `call`, whose expressions have values, on `tensor`, or on some `rows` of it. Raises `Unfit`."""
    resolved = _fit(call, tensor)
    if rows and isinstance(resolved.law, RevisingLaw) and resolved.law.whole:
        raise Unfit("it needs a whole tensor, but this rule takes only some rows")
    sources: Mapping[Source, Located] = {}
    if isinstance(resolved.law, RevisingLaw):
        if around.checkpoint.incomplete:
            check_values_read(resolved.law, tensor, rows)
        sources = _sources(resolved.law, tensor, around)
    name, arguments = call.initializer.name, call.shown_arguments
    return Action(tensor, rule, name, arguments, resolved.numbers, resolved.law, rows=rows, sources=sources)


def _fit(call: BoundCall, tensor: TensorSpec) -> Resolved:
    """The law of `call` for `tensor`. Raises `Unfit` if the tensor cannot take it.

    A tensor without elements takes anything: nothing is written.
    """
    if tensor.unwritable:
        raise Unfit(tensor.unwritable)
    if tensor.numel == 0:
        return Resolved(Constant(0))
    if tensor.dtype.kind == "packed":
        raise Unfit(f"{tensor.dtype.name} elements are smaller than a byte and cannot be written")
    resolved = call.resolve(TensorSpec("", tensor.dtype, tensor.shape, ()))  # without a name: for all that are alike
    check_holds(tensor.dtype, resolved.law)
    if tensor.is_expanded and not isinstance(resolved.law, SAME_EVERYWHERE):
        raise Unfit("it is expanded: its elements share memory (stride 0), so only a constant can fill it")
    if tensor.dtype.kind == "complex":
        from initctl.initializers.complex import on_complex

        return Resolved(on_complex(resolved.law), resolved.numbers)
    return resolved


def check_holds(dtype: DType, law: AnyLaw) -> None:
    """Raise `Unfit` if `dtype` cannot hold the values of `law`."""
    match law:
        case RevisingLaw():  # its values depend on old ones, which are read later
            _check_reach(dtype, law.largest)
        case NotANumber():
            if not dtype.nan:
                raise Unfit(f"its dtype is {dtype.name}, which has no NaN")
        case Deterministic(exact=values) if values:
            if not all(map(dtype.holds, values)):
                raise Unfit(f"{dtype.name} cannot hold {' and '.join(map(str, values))}")
        case _ if not dtype.is_floating:
            raise Unfit(f"its dtype is {dtype.name}, which only constants can fill")
        case Fused(laws):
            for law in laws:
                _check_spread(dtype, law.largest)
        case _:
            _check_spread(dtype, law.largest)


def _check_spread(dtype: DType, largest: float) -> None:
    """Raise `Unfit` if values up to `largest` may overflow `dtype`, or float32 on the way, or all round to 0."""
    if not every_float_holds(largest) and not dtype.rounded(largest):
        raise Unfit(f"values up to {largest:.3g} would all round to 0 in {dtype.name}")
    _check_reach(dtype, largest)


def _check_reach(dtype: DType, largest: float) -> None:
    """Raise `Unfit` if values up to `largest` may overflow `dtype`, or float32 on the way."""
    if not every_float_holds(largest) and not isfinite(dtype.rounded(largest)):
        narrower = min(dtype, _COMPUTED, key=lambda d: d.largest)
        raise Unfit(f"values up to {largest:.3g} would overflow {narrower.name}")


def _sources(law: RevisingLaw, tensor: TensorSpec, around: Surroundings) -> Mapping[Source, Located]:
    """The other tensors that `law` reads. Raises `Unfit` if one is missing or has the wrong shape."""
    from initctl.initializers.revising import CopiedTensor

    found = {source: _located(source, around) for source in law.sources}
    if isinstance(law, CopiedTensor):
        _check_copied(law, tensor, found[law.source].tensor)
    return found


def _located(source: Source, around: Surroundings) -> Located:
    there = around.of(source.checkpoint)
    found = there.tensors.get(source.name)
    if found is None:
        nearest = nearest_names(source.name, list(there.tensors))
        proposal = f"; did you mean {shown(nearest[0])}?" if nearest else ""
        raise Unfit(f"{shown(there.checkpoint.path)} has no tensor {shown(source.name)}{proposal}")
    if there.checkpoint.incomplete and not found.unwritable and (blank := blank_text(TensorPart(found))):
        raise Unfit(f"it copies {shown(source.name)}, but {blank}")
    if not found.blocks or found.dtype.kind in ("packed", "quantized"):
        raise Unfit(f"the numbers of {shown(source.name)} cannot be read: {found.unwritable or found.dtype.name}")
    return Located(there.checkpoint, found)


def _check_copied(law: CopiedTensor, tensor: TensorSpec, source: TensorSpec) -> None:
    place = f"{shown(source.name)} {list(source.shape)}"
    if law.row is None and source.shape != tensor.shape:
        raise Unfit(f"{place} has another shape")
    if law.row is not None and source.shape[1:] != tensor.shape[1:]:
        raise Unfit(f"the rows of {place} have another shape")
    if law.row is not None and not (source.shape and law.row < source.shape[0]):
        raise Unfit(f"{place} has no row {law.row}")
    if tensor.dtype.is_floating != source.dtype.is_floating or tensor.dtype.parts != source.dtype.parts:
        raise Unfit(f"{place} is {source.dtype.name}, a different kind of number")
    if not tensor.dtype.is_floating and tensor.dtype != source.dtype:
        raise Unfit(f"{place} is {source.dtype.name}, which this tensor cannot hold exactly")


class Unfits:
    """Tensors that rules do not fit, grouped by rule and reason."""

    def __init__(self) -> None:
        self._found: dict[tuple[Rule, str], tuple[Unfit, list[TensorSpec]]] = {}

    def tensors_with(self, rule: Rule, fact: Unfit, fault: str) -> list[TensorSpec]:
        """The list that collects the tensors on which `rule` has this `fault`."""
        return self._found.setdefault((rule, fault), (fact, []))[1]

    def problems(self, actions: Iterable[Action]) -> list[Problem]:
        """One for each rule and fault; `actions` are for the tensors that rules do fit."""
        fitting = {id(action.rule) for action in actions} if self._found else ()
        return [
            _problem(rule, fault, fact, tensors, fits_others=id(rule) in fitting)
            for (rule, fault), (fact, tensors) in self._found.items()
        ]


def _problem(rule: Rule, fault: str, fact: Unfit, tensors: Sequence[TensorSpec], *, fits_others: bool) -> Problem:
    first, names = tensors[0], {tensor.name for tensor in tensors}
    more = f" (and {len(names) - 1} more like it)" if len(names) > 1 else ""
    place = f"tensor {shown(first.name)} {list(first.shape)}{more}"
    way_out = _way_out(rule, fact.needs) if fact.needs and fits_others else None
    return rule.problem("rule.unfit", f"{place}: {fault}", fact.hint or way_out, fact.excerpt)


def _way_out(rule: Rule, needs: str) -> str:
    """A hint on how to exclude the tensors that `rule` cannot fill; it fits others, which fulfill `needs`."""
    condition = f"'and {needs}' to its condition" if rule.where else f"'where {needs}' to the rule"
    if not rule.where and rule.origin.is_table:
        condition = f'where = "{needs}" to the rule'
    return f"add {condition}, or narrow its pattern"
