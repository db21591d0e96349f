"""Tensors that rules do not fit, and what is wrong with them."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from initctl.errors import Problem, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from initctl.initializers import Unfit
    from initctl.rules import Rule
    from initctl.tensors import TensorSpec


class Unfits:
    """Tensors that rules do not fit, those for the same reason together."""

    def __init__(self) -> None:
        self._found: dict[tuple[Rule, str], list[tuple[TensorSpec, Unfit]]] = defaultdict(list)

    def add(self, rule: Rule, tensor: TensorSpec, fact: Unfit, fault: str) -> None:
        """Note that `rule` has a `fault` on `tensor`."""
        self._found[rule, fault].append((tensor, fact))

    def problems(self) -> list[Problem]:
        """One for each rule and fault."""
        return [self._problem(rule, fault, found) for (rule, fault), found in self._found.items()]

    def _problem(self, rule: Rule, fault: str, found: Sequence[tuple[TensorSpec, Unfit]]) -> Problem:
        tensors = list({tensor.name: tensor for tensor, _ in found}.values())
        first, fact = found[0]
        more = f" (and {len(tensors) - 1} more like it)" if len(tensors) > 1 else ""
        place = f"tensor {shown(first.name)} {list(first.shape)}{more}"
        return Problem("rule.unfit", f"{rule}: {place}: {fault}", None, fact.excerpt)
