"""Values that fit but are seldom intended: masks as biases, truncation that cuts nothing, random running statistics,
and quantized weights that are filled in part.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from initctl.errors import Problem, listed, shown
from initctl.grouping import grouped
from initctl.planning.computed import measured_kind
from initctl.stream import Deterministic, RevisingLaw, TruncNormal

if TYPE_CHECKING:
    from initctl.planning.action import Action
    from initctl.planning.deciding import Decided
    from initctl.planning.surroundings import Surroundings
    from initctl.rules import Rule

_PERTURB = "perturb"
_NO_RANDOM_VARIANCE = (
    "a negative variance gives NaN: "
    "add a rule that keeps them, or that fills them with a constant (ones for variances, else zeros)"
)
_BIAS = "bias"
_NOTHING_CUT = 1e-6
"""A truncation that cuts a smaller share of a normal law changes nothing measurable."""


def masks_as_biases(decided: Decided, around: Surroundings) -> Iterator[Problem]:
    """A warning for each rule whose pattern matches a false bias: GPT-2's causal mask is `attn.bias`."""
    ends = (action for action in decided.actions if action.tensor.name.endswith(_BIAS))
    for rule, (action, *_) in grouped((a.rule, a) for a in ends if _has_many_dims(a, around)).items():
        dims = len(action.tensor.shape)
        fault = f"tensor {shown(action.tensor.name)} has {dims} dims, which no bias has"
        yield rule.problem("rule.bias_dims", fault, "if it is a mask, add a rule that keeps it")


def _has_many_dims(action: Action, around: Surroundings) -> bool:
    """Whether a pattern fills a bias of more than one dim. Beside a weight of as many dims it is a bias: one tensor
    then holds the biases of all layers.
    """
    dims = len(action.tensor.shape)
    module, _, last = action.tensor.name.rpartition(".")
    if dims < 2 or not action.rule.selector.names.has_wildcards or last != _BIAS:
        return False
    weight = around.tensors.get(f"{module}.weight")
    return not (weight and len(weight.shape) in (dims, dims + 1))


def idle_truncations(decided: Decided, _: Surroundings) -> Iterator[Problem]:
    """A warning for each rule that truncates nothing: torch's bounds are absolute, and far away if std is small."""
    laws = {id(a.law): (a.rule, a.law) for a in decided.actions if isinstance(a.law, TruncNormal)}
    idle: dict[Rule, TruncNormal] = {}
    for rule, law in laws.values():  # many tensors have one in common
        if law.outside < _NOTHING_CUT:
            idle.setdefault(rule, law)
    for rule, law in idle.items():
        fault = f"trunc_normal at std={law.std:g} cuts nothing: a={law.a:g} and b={law.b:g} are absolute"
        yield rule.problem("rule.nothing_cut", fault, "write cut=2 for two standard deviations")


def random_averages(decided: Decided, _: Surroundings) -> Iterator[Problem]:
    """A warning for each rule whose pattern fills averages with random numbers."""
    measured = (action for action in decided.actions if measured_kind(action.tensor) and _is_random(action))
    for rule, filled in grouped((a.rule, a) for a in measured if a.rule.selector.names.has_wildcards).items():
        names = listed([f"{shown(action.tensor.name)} ({measured_kind(action.tensor)})" for action in filled])
        yield rule.problem("rule.measured", f"fills {names} with random numbers", _NO_RANDOM_VARIANCE)


def _is_random(action: Action) -> bool:
    return not isinstance(action.law, (Deterministic, RevisingLaw)) or action.initializer == _PERTURB


def split_weights(decided: Decided, around: Surroundings) -> Iterator[Problem]:
    """A warning for each rule that fills some parts of quantized weights, but not the others."""
    filled = {action.tensor.name for action in decided.actions} if around.quantized else set()
    parts = [action for action in decided.actions if action.tensor.name in around.quantized]
    split = ((a.rule, a) for a in parts if not filled.issuperset(around.quantized[a.tensor.name].parts))
    for rule, (action, *_) in grouped(split).items():
        name, weight = action.tensor.name, around.quantized[action.tensor.name]
        module = name[: name.rfind(".") + 1]
        others = listed([shown(part.removeprefix(module)) for part in weight.parts if part not in filled])
        fault = f"fills {shown(name)}, but not {others}"
        hint = f"the weight's values depend on all of these parts ({weight.scheme}): dequantize the model first"
        yield rule.problem("rule.split_weight", fault, hint)
