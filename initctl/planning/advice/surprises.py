"""Values that fit, and are seldom meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initctl.errors import Problem, shown
from initctl.stream import TruncNormal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from initctl.planning.action import Action
    from initctl.planning.surroundings import Surroundings
    from initctl.rules import Rule

_BIAS = "bias"
_NOTHING_CUT = 1e-6
"""Share of a normal law beyond its bounds below which a truncation changes nothing that could be measured."""


def surprises(actions: Iterable[Action], around: Surroundings) -> list[Problem]:
    """Warnings about what fits, but is seldom meant: one for each rule and kind of surprise."""
    problems: dict[tuple[Rule, str], Problem] = {}
    seen: set[int] = set()
    for action in actions:
        found = [_many_dims(action, around)] if action.tensor.name.endswith(_BIAS) else []
        if id(action.law) not in seen:  # many tensors have one in common
            seen.add(id(action.law))
            found.append(_nothing_cut(action))
        for problem in found:
            if problem:
                problems.setdefault((action.rule, problem.code), problem)
    return list(problems.values())


def _many_dims(action: Action, around: Surroundings) -> Problem | None:
    """A pattern that reaches a bias which is something else: GPT-2 calls a causal mask `attn.bias`.

    One beside a weight of as many dims is a bias: those of all layers are in one tensor then.
    """
    dims = len(action.tensor.shape)
    module, _, last = action.tensor.name.rpartition(".")
    if dims < 2 or not action.rule.selector.names.has_wildcards or last != _BIAS:
        return None
    weight = around.tensors.get(f"{module}.weight")
    if weight and len(weight.shape) in (dims, dims + 1):
        return None
    message = f"{action.rule}: tensor {shown(action.tensor.name)} has {dims} dims, as no bias has"
    return Problem("rule.bias_dims", message, "if it is a mask, add a rule that keeps it")


def _nothing_cut(action: Action) -> Problem | None:
    """torch's bounds are absolute: at std=0.02 the defaults are a hundred standard deviations out."""
    match action.law:
        case TruncNormal(_, std, a, b) as law if law.outside < _NOTHING_CUT:
            message = f"{action.rule}: trunc_normal at std={std:g} cuts nothing: a={a:g} and b={b:g} are absolute"
            return Problem("rule.nothing_cut", message, "write cut=2 for two standard deviations")
    return None
