"""From a checkpoint's table and bound rules to a plan, or to every fault at once."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from initctl.errors import FitError, Problem, UsageError, escape, listed, shown
from initctl.initializers import Unfit
from initctl.planning.deciding import decide
from initctl.planning.fitting import action_of
from initctl.planning.names import Lookup, Surroundings
from initctl.planning.nearest import hint_for
from initctl.planning.optimizer import resets
from initctl.planning.placing import placed
from initctl.planning.plan import PHILOX, TORCH, Kept, Plan
from initctl.planning.sharing import shared
from initctl.planning.torch_rng import by_torch
from initctl.rules import quoted
from initctl.stream import TruncNormal
from initctl.stream.engines.choosing import CPU

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from initctl.formats import Checkpoint
    from initctl.initializers import Bound
    from initctl.planning.deciding import BoundRule, Decisions, Part, Reach
    from initctl.planning.plan import Action
    from initctl.rules import Rule
    from initctl.tensors import TensorSpec

_NOTHING_CUT = 1e-6
"""Share of a normal law beyond its bounds below which a truncation changes nothing that could be measured."""


@dataclass(frozen=True, slots=True)
class Options:
    """How strict a plan is, what it does besides, and what computes it. Raises `UsageError` for an unknown `rng`.

    `allow_unused` turns rules that decide nothing into warnings; `require_all` turns floating-point tensors that no
    rule decides into errors; `reset_optimizer` adds what optimizers remember of filled tensors; `device` is as for
    `placed`; `rng` is where random numbers come from.
    """

    allow_unused: bool = False
    require_all: bool = False
    reset_optimizer: bool = False
    device: str = CPU
    rng: str = PHILOX

    def __post_init__(self) -> None:
        if self.rng not in (PHILOX, TORCH):
            raise UsageError(Problem("usage.rng", f"rng: {shown(self.rng)} is neither {PHILOX} nor {TORCH}"))


def make_plan(
    checkpoint: Checkpoint,
    rules: Sequence[BoundRule],
    options: Options,
    *,
    seed: int,
    read: Callable[[str], Checkpoint],
    config: Mapping[str, Any] | None = None,
) -> Plan:
    """What `rules` do to `checkpoint` under `seed`.

    `read` gives the table of another checkpoint that a rule names; `config` is what `config.json` says, where there is
    one. Raises `FitError` with every fault found.
    """
    around = Surroundings(checkpoint, config, read)
    decisions = decide(checkpoint.tensors, rules, around)
    actions, faults = _actions(decisions, around)
    kept = tuple(_kept(decisions))
    forgotten = (
        resets(checkpoint, [action.part for action in actions]) if options.reset_optimizer and not faults else ()
    )
    faults = faults or shared(checkpoint, actions, kept, forgotten)
    unused = [problem for reach in decisions.reaches if (problem := _unused(reach, checkpoint))]
    if not options.allow_unused:
        faults = unused + faults
    if options.require_all and (undecided := _undecided(kept)):
        faults.append(undecided)
    if faults:
        raise FitError(*faults)
    idle = _idle_alternatives(decisions, around)
    warnings = [*checkpoint.warnings, *unused, *idle, *_left_alone(decisions, kept), *_surprises(actions)]
    on_devices = placed(actions, options.device)
    if options.rng == TORCH:
        on_devices = _by_torch(on_devices)
    return Plan(checkpoint, seed, tuple(on_devices), kept, tuple(warnings), forgotten, options.rng)


def _by_torch(actions: Sequence[Action]) -> list[Action]:
    """`actions` as torch.nn.init carries them out. Raises `FitError` with all that it cannot."""
    found: list[Action] = []
    unfits = _Unfits()
    for action in actions:
        try:
            found.append(by_torch(action))
        except Unfit as fact:
            unfits.add(action.rule, action.tensor, fact, _no_fit(action.rule, fact))
    if problems := unfits.problems():
        raise FitError(*problems)
    return found


def _actions(decisions: Decisions, around: Surroundings) -> tuple[list[Action], list[Problem]]:
    """An action for each part that a rule fills; and a problem for each rule that does not fit all of them."""
    actions: list[Action] = []
    unfits = _Unfits()
    for reach in decisions.reaches:
        for tensor, fact in reach.unfit:
            unfits.add(reach.rule, tensor, fact, str(fact))
    for part in decisions.parts:
        if part.decision is None or part.decision.initializer is None:
            continue
        try:
            actions.append(_action(part.decision, part.decision.initializer, part, around))
        except Unfit as fact:
            unfits.add(part.decision.rule, part.tensor, fact, _no_fit(part.decision.rule, fact))
    return actions, unfits.problems()


def _no_fit(rule: Rule, fact: Unfit) -> str:
    return f"{rule.call.name} does not fit: {fact}"


def _action(decision: BoundRule, initializer: Bound, part: Part, around: Surroundings) -> Action:
    """Raises `Unfit`."""
    if initializer.expressions:
        lookup = Lookup(decision.rule, part.tensor, around, decision.arrangement)
        initializer = initializer.evaluated(lookup)
    return action_of(decision.rule, initializer, part.tensor, part.rows, around)


class _Unfits:
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


def _kept(decisions: Decisions) -> Iterator[Kept]:
    for tensor, rows, decision in decisions.parts:
        if decision is None or decision.initializer is None:
            yield Kept(tensor, decision.rule if decision else None, rows)


def _unused(reach: Reach, checkpoint: Checkpoint) -> Problem | None:
    """What is wrong with a rule that decides no tensor."""
    if reach.decided or reach.unfit or reach.rule.optional:
        return None
    matches = reach.rule.selector.names.matches
    if reach.lost:
        later = listed(list(map(str, reach.lost_to)))
        message = f"{reach.rule}: decides nothing: all that it matches is decided by later rules: {later}"
        return Problem("rule.overridden", message, "the last rule wins: remove it, or move it after them")
    if reach.left_alone:
        message = f"{reach.rule}: decides nothing: it matches only {_listed(reach.left_alone)}"
        if all(tensor.unwritable for tensor in reach.left_alone):
            return Problem("rule.unused", message, "no rule can fill these")
        return Problem("rule.unused", message, f"{_LEFT_ALONE}; name one in full to fill it")
    if reach.left_out and reach.rule.where:
        message = f"{reach.rule}: decides nothing: it matches {_listed(reach.left_out)}"
        return Problem("rule.unused", message, f"for none of them {shown(reach.rule.where.text)} holds")
    for tensor in checkpoint.tensors:
        if alias := next(filter(matches, tensor.aliases), None):
            message = (
                f"{reach.rule}: matches no tensor: {shown(alias)} is kept as {shown(tensor.name)}, which it is tied to"
            )
            return Problem("rule.unused", message, f"write '{escape(quoted(tensor.name))}'")
    outside = [tensor.name for tensor in checkpoint.outside if matches(tensor.name)]
    if outside:
        message = f"{reach.rule}: matches no tensor of the state dict at {shown(checkpoint.root)}"
        return Problem("rule.unused", message, f"{shown(outside[0])} lies outside of it: --root '' takes all")
    hint = hint_for(reach.rule.selector.names.pattern, [tensor.name for tensor in checkpoint.tensors])
    return Problem("rule.unused", f"{reach.rule}: matches no tensor", hint)


def _idle_alternatives(decisions: Decisions, around: Surroundings) -> list[Problem]:
    """A warning for each alternative in a pattern's braces by which it matches nothing."""
    aliases = [alias for tensor in around.checkpoint.tensors for alias in tensor.aliases]
    problems = []
    for reach in decisions.reaches:
        names = [tensor.name for tensor in reach.matched]
        if names and not reach.rule.optional:
            idle = reach.rule.selector.names.idle_alternatives([*names, *aliases], around.highest)
            problems += [Problem("rule.alternative", f"{reach.rule}: {shown(text)} matches no tensor") for text in idle]
    return problems


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
    if dims < 2 or not action.rule.selector.names.has_wildcards or action.tensor.name.rpartition(".")[2] != "bias":
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


def _undecided(kept: Sequence[Kept]) -> Problem | None:
    """What is wrong where no rule decides a floating-point tensor, or some rows of one."""
    undecided = {k.tensor.name: k.tensor for k in kept if k.rule is None and k.tensor.dtype.is_floating}
    if not undecided:
        return None
    tensors = list(undecided.values())
    message = f"no rule decides {_listed(tensors)}"
    return Problem("tensor.undecided", message, "add a rule for each; keep leaves a tensor as it is")


def _listed(tensors: Sequence[TensorSpec]) -> str:
    return listed([f"{shown(tensor.name)} ({tensor.unwritable or tensor.dtype.name})" for tensor in tensors])
