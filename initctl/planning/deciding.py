"""Which rule decides which tensor: the last one that matches it and may touch it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from initctl.errors import Problem, RuleError
from initctl.initializers import KEEP, REGISTRY
from initctl.planning.quantized import quantized

if TYPE_CHECKING:
    from collections.abc import Sequence

    from initctl.initializers import Bound
    from initctl.rules import Rule
    from initctl.tensors import TensorSpec


@dataclass(frozen=True, slots=True)
class BoundRule:
    """A rule whose initializer is known and has its arguments; without an initializer it keeps."""

    rule: Rule
    initializer: Bound | None


@dataclass(slots=True)
class Reach:
    """What one rule matches: tensors that it decides, that later rules decide instead (`lost`, to `lost_to`), and
    that a pattern may not touch (`left_alone`).
    """

    rule: Rule
    decided: list[TensorSpec] = field(default_factory=list)
    lost: list[TensorSpec] = field(default_factory=list)
    lost_to: list[Rule] = field(default_factory=list)
    left_alone: list[TensorSpec] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Decisions:
    """The deciding rule of each tensor, in their order, and the reach of each rule, in theirs."""

    rules: tuple[BoundRule | None, ...]
    reaches: tuple[Reach, ...]


def bind(rule: Rule) -> BoundRule:
    """`rule` with its initializer found and its arguments checked. Raises `RuleError`."""
    try:
        return BoundRule(rule, _initializer(rule))
    except RuleError as error:
        raise error.prefixed(f"{rule}: ") from None


def _initializer(rule: Rule) -> Bound | None:
    if rule.call.name != KEEP:
        return REGISTRY.bind(rule.call)
    if rule.call.arguments:
        raise RuleError(Problem("rule.parameter", f"{KEEP} takes no parameters"))
    return None


def decide(tensors: Sequence[TensorSpec], rules: Sequence[BoundRule]) -> Decisions:
    """The rule that decides each tensor, if any does."""
    reaches = tuple(Reach(bound.rule) for bound in rules)
    backwards = list(zip(rules, reaches, strict=True))[::-1]
    quantized_names = quantized(tensors)
    decisions: list[BoundRule | None] = []
    for tensor in tensors:
        decision: BoundRule | None = None
        for bound, reach in backwards:
            if not bound.rule.glob.matches(tensor.name):
                continue
            if not may_touch(bound, tensor, quantized_names):
                reach.left_alone.append(tensor)
            elif decision is None:
                decision = bound
                reach.decided.append(tensor)
            else:
                reach.lost.append(tensor)
                if decision.rule not in reach.lost_to:
                    reach.lost_to.append(decision.rule)
        decisions.append(decision)
    return Decisions(tuple(decisions), reaches)


def may_touch(bound: BoundRule, tensor: TensorSpec, quantized_names: frozenset[str]) -> bool:
    """Whether a rule that matches `tensor` may decide it: a pattern with wildcards takes plain floats only."""
    return (
        bound.initializer is None
        or not bound.rule.glob.has_wildcards
        or (tensor.dtype.is_floating and tensor.name not in quantized_names and not tensor.unwritable)
    )
