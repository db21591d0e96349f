"""Values that fit, and are seldom meant: masks as biases, truncation that cuts nothing, random running statistics, and
quantized weights of which a part is left.
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
    "a random variance can be negative, and gives NaN: "
    "add a rule that fills them with a constant (zeros, for variances ones), or that keeps them"
)
_BIAS = "bias"
_NOTHING_CUT = 1e-6
"""Share of a normal law beyond its bounds below which a truncation changes nothing that could be measured."""


def masks_as_biases(decided: Decided, around: Surroundings) -> Iterator[Problem]:
    """A warning for each rule whose pattern reaches a bias that is not one: GPT-2's causal mask is `attn.bias`."""
    ends = (action for action in decided.actions if action.tensor.name.endswith(_BIAS))
    for rule, (action, *_) in grouped((a.rule, a) for a in ends if _has_many_dims(a, around)).items():
        dims = len(action.tensor.shape)
        fault = f"tensor {shown(action.tensor.name)} has {dims} dims, as no bias has"
        yield rule.problem("rule.bias_dims", fault, "if it is a mask, add a rule that keeps it")


def _has_many_dims(action: Action, around: Surroundings) -> bool:
    """Whether a pattern fills a bias of more than one dim. One beside a weight of as many dims is a bias: those of all
    layers are in one tensor then.
    """
    dims = len(action.tensor.shape)
    module, _, last = action.tensor.name.rpartition(".")
    if dims < 2 or not action.rule.selector.names.has_wildcards or last != _BIAS:
        return False
    weight = around.tensors.get(f"{module}.weight")
    return not (weight and len(weight.shape) in (dims, dims + 1))


def idle_truncations(decided: Decided, _: Surroundings) -> Iterator[Problem]:
    """A warning for each rule that truncates nothing: torch's bounds are absolute, and far out if std is small."""
    laws = {id(a.law): (a.rule, a.law) for a in decided.actions if isinstance(a.law, TruncNormal)}
    idle: dict[Rule, TruncNormal] = {}
    for rule, law in laws.values():  # many tensors have one in common
        if law.outside < _NOTHING_CUT:
            idle.setdefault(rule, law)
    for rule, law in idle.items():
        fault = f"trunc_normal at std={law.std:g} cuts nothing: a={law.a:g} and b={law.b:g} are absolute"
        yield rule.problem("rule.nothing_cut", fault, "write cut=2 for two standard deviations")


def random_averages(decided: Decided, _: Surroundings) -> Iterator[Problem]:
    """A warning for each rule whose pattern reaches averages, and fills them with random numbers."""
    measured = (action for action in decided.actions if measured_kind(action.tensor) and _is_random(action))
    for rule, filled in grouped((a.rule, a) for a in measured if a.rule.selector.names.has_wildcards).items():
        names = listed([f"{shown(action.tensor.name)} ({measured_kind(action.tensor)})" for action in filled])
        yield rule.problem("rule.measured", f"fills {names} with random numbers", _NO_RANDOM_VARIANCE)


def _is_random(action: Action) -> bool:
    return not isinstance(action.law, (Deterministic, RevisingLaw)) or action.initializer == _PERTURB


def split_weights(decided: Decided, around: Surroundings) -> Iterator[Problem]:
    """A warning for each rule that fills parts of quantized weights whose other parts stay as they are."""
    filled = {action.tensor.name for action in decided.actions} if around.quantized else set()
    parts = [action for action in decided.actions if action.tensor.name in around.quantized]
    split = ((a.rule, a) for a in parts if not filled.issuperset(around.quantized[a.tensor.name].parts))
    for rule, (action, *_) in grouped(split).items():
        name, weight = action.tensor.name, around.quantized[action.tensor.name]
        module = name[: name.rfind(".") + 1]
        others = listed([shown(part.removeprefix(module)) for part in weight.parts if part not in filled])
        fault = f"fills {shown(name)}, but not {others}"
        hint = f"its values follow from all of these parts ({weight.scheme}): dequantize the model first"
        yield rule.problem("rule.split_weight", fault, hint)
