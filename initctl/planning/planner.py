"""From a checkpoint's table and bound rules to a plan, or to every fault at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initctl.errors import FitError, Problem, listed, shown
from initctl.initializers import Unfit
from initctl.planning.deciding import decide
from initctl.planning.fitting import fit
from initctl.planning.nearest import hint_for
from initctl.planning.optimizer import resets
from initctl.planning.placing import placed
from initctl.planning.plan import Action, Kept, Plan
from initctl.planning.sharing import overlapping, torn
from initctl.stream import TruncNormal
from initctl.stream.engines.choosing import CPU

if TYPE_CHECKING:
    from collections.abc import Sequence

    from initctl.formats import Checkpoint
    from initctl.planning.deciding import BoundRule, Decisions, Reach
    from initctl.rules import Rule
    from initctl.tensors import TensorSpec

_NOTHING_CUT = 1e-6
"""Share of a normal law beyond its bounds below which a truncation changes nothing that could be measured."""


def make_plan(
    checkpoint: Checkpoint,
    rules: Sequence[BoundRule],
    *,
    seed: int,
    allow_unused: bool = False,
    require_all: bool = False,
    reset_optimizer: bool = False,
    device: str = CPU,
) -> Plan:
    """What `rules` do to `checkpoint` under `seed`, and on which device: see `placed`.

    `allow_unused` turns rules that decide nothing into warnings; `require_all` turns floating-point tensors that no
    rule decides into errors; `reset_optimizer` adds what optimizers remember of filled tensors. Raises `FitError` with
    every fault found.
    """
    decisions = decide(checkpoint.tensors, rules)
    actions, faults = _actions(checkpoint.tensors, decisions)
    kept = _kept(checkpoint.tensors, decisions)
    forgotten = resets(checkpoint, [action.tensor for action in actions]) if reset_optimizer and not faults else ()
    faults = faults or _shared(checkpoint, actions, kept, forgotten)
    unused = [problem for reach in decisions.reaches if (problem := _unused(reach, checkpoint))]
    if not allow_unused:
        faults = unused + faults
    if require_all and (undecided := [k.tensor for k in kept if k.rule is None and k.tensor.dtype.is_floating]):
        faults.append(_undecided(undecided))
    if faults:
        raise FitError(*faults)
    warnings = [*checkpoint.warnings, *unused, *_left_alone(decisions, kept), *_surprises(actions)]
    return Plan(checkpoint, seed, tuple(placed(actions, device)), kept, tuple(warnings), forgotten)


def _shared(
    checkpoint: Checkpoint, actions: Sequence[Action], kept: Sequence[Kept], forgotten: Sequence[Action]
) -> list[Problem]:
    """A problem for each tensor that shares memory with one that is decided otherwise."""
    filled, outside = ({action.tensor.name: action for action in some} for some in (actions, forgotten))
    keeping = {k.tensor.name: k.rule for k in kept if k.rule}
    return [*torn(checkpoint.tensors, filled, keeping)] or [
        *overlapping(checkpoint.tensors, filled, checkpoint.outside, outside)
    ]


def _actions(tensors: Sequence[TensorSpec], decisions: Decisions) -> tuple[list[Action], list[Problem]]:
    """An action for each tensor that a rule fills; and a problem for each rule that does not fit all of them."""
    actions: list[Action] = []
    unfit: dict[tuple[Rule, str], list[TensorSpec]] = {}
    for tensor, decision in zip(tensors, decisions.rules, strict=True):
        if decision is None or decision.initializer is None:
            continue
        initializer = decision.initializer
        try:
            resolved = fit(initializer, tensor)
        except Unfit as fact:
            unfit.setdefault((decision.rule, str(fact)), []).append(tensor)
            continue
        name = initializer.initializer.name
        actions.append(Action(tensor, decision.rule, name, initializer.told, resolved.numbers, resolved.fill))
    return actions, [_unfit(rule, fact, tensors) for (rule, fact), tensors in unfit.items()]


def _unfit(rule: Rule, fact: str, tensors: Sequence[TensorSpec]) -> Problem:
    first, others = tensors[0], len(tensors) - 1
    more = f" (and {others} more like it)" if others else ""
    place = f"tensor {shown(first.name)} {list(first.shape)}{more}"
    return Problem("rule.unfit", f"{rule}: {place}: {rule.call.name} does not fit: {fact}")


def _kept(tensors: Sequence[TensorSpec], decisions: Decisions) -> tuple[Kept, ...]:
    decided = zip(tensors, decisions.rules, strict=True)
    return tuple(Kept(t, d.rule if d else None) for t, d in decided if d is None or d.initializer is None)


def _unused(reach: Reach, checkpoint: Checkpoint) -> Problem | None:
    """What is wrong with a rule that decides no tensor."""
    if reach.decided:
        return None
    if reach.lost:
        later = listed(list(map(str, reach.lost_to)))
        message = f"{reach.rule}: decides nothing: all that it matches is decided by later rules: {later}"
        return Problem("rule.overridden", message, "the last rule wins: remove it, or move it after them")
    if reach.left_alone:
        message = f"{reach.rule}: decides nothing: it matches only {_listed(reach.left_alone)}"
        return Problem("rule.unused", message, f"{_LEFT_ALONE}; name one in full to fill it")
    outside = [tensor.name for tensor in checkpoint.outside if reach.rule.glob.matches(tensor.name)]
    if outside:
        message = f"{reach.rule}: matches no tensor of the state dict at {shown(checkpoint.root)}"
        return Problem("rule.unused", message, f"{shown(outside[0])} lies outside of it: --root '' takes all")
    hint = hint_for(reach.rule.glob.pattern, [tensor.name for tensor in checkpoint.tensors])
    return Problem("rule.unused", f"{reach.rule}: matches no tensor", hint)


_LEFT_ALONE = "a pattern with wildcards leaves integer, bool, quantized and other special tensors as they are"


def _left_alone(decisions: Decisions, kept: Sequence[Kept]) -> list[Problem]:
    """A warning for each rule whose pattern reaches tensors that patterns may not touch, and that stay as they are."""
    undecided = {k.tensor.name for k in kept if k.rule is None}
    problems = []
    for reach in decisions.reaches:
        tensors = [tensor for tensor in reach.left_alone if tensor.name in undecided]
        if tensors and reach.decided:
            message = f"{reach.rule}: leaves {_listed(tensors)} as {'they are' if len(tensors) > 1 else 'it is'}"
            problems.append(Problem("rule.left_alone", message, _LEFT_ALONE))
    return problems


def _surprises(actions: Sequence[Action]) -> list[Problem]:
    """Warnings about what fits, but is seldom meant: one for each rule and kind of surprise."""
    problems: dict[tuple[Rule, str], Problem] = {}
    for action in actions:
        for problem in (_many_dims(action), _nothing_cut(action)):
            if problem:
                problems.setdefault((action.rule, problem.code), problem)
    return list(problems.values())


def _many_dims(action: Action) -> Problem | None:
    """A pattern that reaches a bias which is something else: GPT-2 calls a causal mask `attn.bias`."""
    dims = len(action.tensor.shape)
    if dims < 2 or not action.rule.glob.has_wildcards or action.tensor.name.rpartition(".")[2] != "bias":
        return None
    message = f"{action.rule}: tensor {shown(action.tensor.name)} has {dims} dims, as no bias has"
    return Problem("rule.bias_dims", message, "if it is a mask, add a rule that keeps it")


def _nothing_cut(action: Action) -> Problem | None:
    """torch's bounds are absolute: at std=0.02 the defaults lie a hundred standard deviations out."""
    match action.fill:
        case TruncNormal(_, std, a, b) as law if law.outside < _NOTHING_CUT:
            message = f"{action.rule}: trunc_normal at std={std:g} cuts nothing: a={a:g} and b={b:g} are absolute"
            return Problem("rule.nothing_cut", message, "write cut=2 for two standard deviations")
    return None


def _undecided(tensors: Sequence[TensorSpec]) -> Problem:
    message = f"no rule decides {_listed(tensors)}"
    return Problem("tensor.undecided", message, "add a rule for each; keep leaves a tensor as it is")


def _listed(tensors: Sequence[TensorSpec]) -> str:
    return listed([f"{shown(tensor.name)} ({tensor.unwritable or tensor.dtype.name})" for tensor in tensors])
