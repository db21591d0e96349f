"""Tensors that rules do not fit, and what is wrong with them."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from initctl.errors import Problem, shown

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from initctl.initializers import Unfit
    from initctl.planning.action import Action
    from initctl.rules import Rule
    from initctl.tensors import TensorSpec


class Unfits:
    """Tensors that rules do not fit, those for the same reason together."""

    def __init__(self) -> None:
        self._found: dict[tuple[Rule, str], list[tuple[TensorSpec, Unfit]]] = defaultdict(list)

    def add(self, rule: Rule, tensor: TensorSpec, fact: Unfit, fault: str) -> None:
        """Note that `rule` has a `fault` on `tensor`."""
        self._found[rule, fault].append((tensor, fact))

    def problems(self, actions: Iterable[Action]) -> list[Problem]:
        """One for each rule and fault; `actions` are those of tensors that rules do fit."""
        if not self._found:
            return []
        fitting = {id(action.rule) for action in actions}
        return [self._problem(rule, fault, found, fitting) for (rule, fault), found in self._found.items()]

    def _problem(
        self, rule: Rule, fault: str, found: Sequence[tuple[TensorSpec, Unfit]], fitting: Collection[int]
    ) -> Problem:
        tensors = list({tensor.name: tensor for tensor, _ in found}.values())
        first, fact = found[0]
        more = f" (and {len(tensors) - 1} more like it)" if len(tensors) > 1 else ""
        place = f"tensor {shown(first.name)} {list(first.shape)}{more}"
        hint = _way_out(rule, fact.needs) if fact.needs and id(rule) in fitting else None
        return Problem("rule.unfit", f"{rule}: {place}: {fault}", hint, fact.excerpt)


def _way_out(rule: Rule, needs: str) -> str:
    """How to leave out of `rule` what it cannot serve, since it serves others: tensors that fulfill `needs`."""
    condition = f"'and {needs}' to its condition" if rule.where else f"'where {needs}' to the rule"
    if not rule.where and rule.origin.is_table:
        condition = f'where = "{needs}" to the rule'
    return f"add {condition}, or narrow its pattern"
