"""From a checkpoint's table and bound rules to a plan, or to every fault at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from initctl.errors import FitError
from initctl.initializers import Unfit
from initctl.planning.action import Kept
from initctl.planning.actions import action_of
from initctl.planning.advice.findings import Decided, findings
from initctl.planning.deciding import decide
from initctl.planning.devices import placed
from initctl.planning.lookup import Lookup, Surroundings
from initctl.planning.optimizers import Resets, old_values_kept, resets, with_optimizers_beside
from initctl.planning.plan import TORCH, Plan
from initctl.planning.sharing import shared
from initctl.planning.torch_init import by_torch
from initctl.planning.unfits import Unfits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from initctl.errors import Problem
    from initctl.formats import Checkpoint
    from initctl.initializers import BoundCall
    from initctl.planning.action import Action
    from initctl.planning.advice.presets import FromPreset
    from initctl.planning.deciding import BoundRule, Decisions, Part
    from initctl.planning.options import Options
    from initctl.rules import Rule


def make_plan(
    checkpoint: Checkpoint,
    rules: Sequence[BoundRule],
    options: Options,
    *,
    seed: int,
    read: Callable[[str], Checkpoint],
    config: Mapping[str, Any] | None = None,
    preset: FromPreset | None = None,
) -> Plan:
    """What `rules` do to `checkpoint` under `seed`.

    `read` gives the table of another checkpoint that a rule names; `config` is what `config.json` says, if there is
    one; `preset` are those of the rules that come from a preset. Raises `FitError` with every fault found.
    """
    around = Surroundings(checkpoint, config, read)
    decisions = decide(checkpoint.tensors, rules, around)
    actions, faults = _actions(decisions, around)
    kept = tuple(_kept(decisions))
    checkpoint, reset = (checkpoint, Resets()) if faults else _optimizers(checkpoint, actions, options)
    faults = faults or shared(checkpoint, actions, kept, reset.actions)
    found = findings(Decided(around, decisions, actions, kept, preset), options)
    if faults := [*found.faults, *faults]:
        raise FitError(*faults)
    warnings = (*checkpoint.warnings, *found.warnings, *reset.warnings)
    buffers = options.buffers if options.reset_optimizer else None
    on_devices = placed(actions, options.device)
    if options.rng == TORCH:
        on_devices = _by_torch(on_devices)
    return Plan(checkpoint, seed, tuple(on_devices), kept, warnings, reset.actions, options.rng, buffers)


def _optimizers(checkpoint: Checkpoint, actions: Sequence[Action], options: Options) -> tuple[Checkpoint, Resets]:
    """What sets back what optimizers remember of tensors that are filled, or warnings that they remember it; and
    `checkpoint` with all files that this changes. Raises `FitError`.
    """
    if options.reset_optimizer:
        checkpoint = with_optimizers_beside(checkpoint)
        return checkpoint, resets(checkpoint, actions, options.buffers)
    return checkpoint, Resets((), old_values_kept(checkpoint) if actions else ())


def _by_torch(actions: Sequence[Action]) -> list[Action]:
    """`actions` as torch.nn.init carries them out. Raises `FitError` with all that it cannot."""
    found: list[Action] = []
    unfits = Unfits()
    for action in actions:
        try:
            found.append(by_torch(action))
        except Unfit as fact:
            unfits.add(action.rule, action.tensor, fact, _no_fit(action.rule, fact))
    if problems := unfits.problems(found):
        raise FitError(*problems)
    return found


def _actions(decisions: Decisions, around: Surroundings) -> tuple[list[Action], list[Problem]]:
    """An action for each part that a rule fills; and a problem for each rule that does not fit all of them."""
    actions: list[Action] = []
    unfits = Unfits()
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
    return actions, unfits.problems(actions)


def _no_fit(rule: Rule, fact: Unfit) -> str:
    return f"{rule.call.name} does not fit: {fact}"


def _action(decision: BoundRule, initializer: BoundCall, part: Part, around: Surroundings) -> Action:
    """Raises `Unfit`."""
    if initializer.expressions:
        lookup = Lookup(decision.rule, part.tensor, around, decision.arrangement)
        initializer = initializer.evaluated(lookup)
    return action_of(decision.rule, initializer, part.tensor, part.rows, around)


def _kept(decisions: Decisions) -> Iterator[Kept]:
    for tensor, rows, decision in decisions.parts:
        if decision is None or decision.initializer is None:
            yield Kept(tensor, decision.rule if decision else None, rows)
