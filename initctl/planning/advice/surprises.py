"""Values that fit, and are seldom meant: masks as biases, truncation that cuts nothing, random running statistics, and
quantized weights of which a part is left.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from initctl.errors import Problem, listed, shown
from initctl.planning.computed import measured_kind
from initctl.stream import Deterministic, RevisingLaw, TruncNormal

if TYPE_CHECKING:
    from collections.abc import Iterator

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


def surprises(decided: Decided, around: Surroundings) -> Iterator[Problem]:
    """A warning for each rule and kind of surprise: a bias of many dims, or a truncation that cuts nothing."""
    problems: dict[tuple[Rule, str], Problem] = {}
    seen: set[tuple[int, int]] = set()
    for action in decided.actions:
        found = [_many_dims(action, around)] if action.tensor.name.endswith(_BIAS) else []
        if (law := (id(action.rule), id(action.law))) not in seen:  # many tensors have one in common
            seen.add(law)
            found.append(_nothing_cut(action))
        for problem in found:
            if problem:
                problems.setdefault((action.rule, problem.code), problem)
    yield from problems.values()


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


def random_averages(decided: Decided, _: Surroundings) -> Iterator[Problem]:
    """A warning for each rule whose pattern reaches averages, and fills them with random numbers."""
    found: dict[Rule, list[Action]] = defaultdict(list)
    for action in decided.actions:
        if measured_kind(action.tensor) and action.rule.selector.names.has_wildcards and _is_random(action):
            found[action.rule].append(action)
    for rule, filled in found.items():
        names = listed([f"{shown(action.tensor.name)} ({measured_kind(action.tensor)})" for action in filled])
        yield Problem("rule.measured", f"{rule}: fills {names} with random numbers", _NO_RANDOM_VARIANCE)


def _is_random(action: Action) -> bool:
    return not isinstance(action.law, (Deterministic, RevisingLaw)) or action.initializer == _PERTURB


def split_weights(decided: Decided, around: Surroundings) -> Iterator[Problem]:
    """A warning for each rule that fills parts of quantized weights whose other parts stay as they are."""
    filled = {action.tensor.name: action.rule for action in decided.actions} if around.quantized else {}
    warned: set[Rule] = set()
    for name, rule in filled.items():
        weight = around.quantized.get(name)
        kept = [part for part in weight.parts if part not in filled] if weight else []
        if weight and kept and rule not in warned:
            warned.add(rule)
            module = name[: name.rfind(".") + 1]
            others = listed([shown(part.removeprefix(module)) for part in kept])
            message = f"{rule}: fills {shown(name)}, but not {others}"
            hint = f"its values follow from all of these parts ({weight.scheme}): dequantize the model first"
            yield Problem("rule.split_weight", message, hint)
