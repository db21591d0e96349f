"""Tensors that rules do not fit, and what is wrong with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initctl.errors import Problem, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from initctl.initializers import Unfit
    from initctl.planning.action import Action
    from initctl.rules import Rule
    from initctl.tensors import TensorSpec


class Unfits:
    """Tensors that rules do not fit, those for the same reason together."""

    def __init__(self) -> None:
        self._found: dict[tuple[Rule, str], tuple[Unfit, list[TensorSpec]]] = {}

    def noting(self, rule: Rule, fact: Unfit, fault: str) -> list[TensorSpec]:
        """Where tensors are noted on which `rule` has a `fault`."""
        return self._found.setdefault((rule, fault), (fact, []))[1]

    def problems(self, actions: Iterable[Action]) -> list[Problem]:
        """One for each rule and fault; `actions` are those of tensors that rules do fit."""
        fitting = {id(action.rule) for action in actions} if self._found else ()
        return [
            _problem(rule, fault, fact, tensors, fits_others=id(rule) in fitting)
            for (rule, fault), (fact, tensors) in self._found.items()
        ]


def _problem(rule: Rule, fault: str, fact: Unfit, tensors: Sequence[TensorSpec], *, fits_others: bool) -> Problem:
    first, names = tensors[0], {tensor.name for tensor in tensors}
    more = f" (and {len(names) - 1} more like it)" if len(names) > 1 else ""
    place = f"tensor {shown(first.name)} {list(first.shape)}{more}"
    hint = _way_out(rule, fact.needs) if fact.needs and fits_others else None
    return Problem("rule.unfit", f"{rule}: {place}: {fault}", hint, fact.excerpt)


def _way_out(rule: Rule, needs: str) -> str:
    """How to leave out of `rule` what it cannot serve, since it serves others: tensors that fulfill `needs`."""
    condition = f"'and {needs}' to its condition" if rule.where else f"'where {needs}' to the rule"
    if not rule.where and rule.origin.is_table:
        condition = f'where = "{needs}" to the rule'
    return f"add {condition}, or narrow its pattern"
