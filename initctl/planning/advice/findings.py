"""All that is probably not meant: what is refused, and what is only a warning."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from initctl.planning.advice.averages import copies_out_of_step
from initctl.planning.advice.hollow import hollow_rules
from initctl.planning.advice.left_alone import left_alone
from initctl.planning.advice.measured import random_averages
from initctl.planning.advice.presets import Left, idle_preset, partial_preset
from initctl.planning.advice.split import split_weights
from initctl.planning.advice.surprises import surprises
from initctl.planning.advice.undecided import undecided_weights
from initctl.planning.advice.unused import idle_alternatives, unused_rules

if TYPE_CHECKING:
    from collections.abc import Sequence

    from initctl.errors import Problem
    from initctl.planning.action import Action, Kept
    from initctl.planning.advice.presets import FromPreset
    from initctl.planning.deciding import Decisions
    from initctl.planning.lookup import Surroundings
    from initctl.planning.options import Options


class Decided(NamedTuple):
    """What rules decide in a checkpoint: who decides what, what is filled, what is kept; and the preset among them."""

    around: Surroundings
    decisions: Decisions
    actions: Sequence[Action]
    kept: Sequence[Kept]
    preset: FromPreset | None = None


class Findings(NamedTuple):
    """Problems that a plan is refused for, and those that it only warns of."""

    faults: list[Problem]
    warnings: list[Problem]


def findings(decided: Decided, options: Options) -> Findings:
    """What is probably not meant, as strict as `options` are."""
    checkpoint = decided.around.checkpoint
    unused = [
        *unused_rules(decided.decisions, checkpoint),
        *hollow_rules(decided.decisions, decided.actions, checkpoint),
    ]
    faults = [] if options.allow_unused else unused
    if options.require_all:
        faults = [*faults, *undecided_weights(decided.kept, decided.decisions.quantized)]
    of_preset = _preset_findings(decided, options)
    faults = [*faults, *of_preset.faults]
    warnings = [
        *of_preset.warnings,
        *unused,
        *idle_alternatives(decided.decisions, decided.around),
        *left_alone(decided.decisions, decided.kept),
        *surprises(decided.actions, decided.around.tensors),
        *random_averages(decided.actions),
        *copies_out_of_step(checkpoint.tensors, decided.actions),
        *split_weights(decided.actions, decided.decisions.quantized),
    ]
    return Findings(faults, warnings)


def _preset_findings(decided: Decided, options: Options) -> Findings:
    """What is probably not meant by a preset."""
    preset, decisions, checkpoint = decided.preset, decided.decisions, decided.around.checkpoint
    if preset is None:
        return Findings([], [])
    if preset.name and preset.fills_nothing(decisions):
        idle = [idle_preset(preset, checkpoint)]
        return Findings([], idle) if options.allow_unused else Findings(idle, [])
    if options.require_all:
        return Findings([], [])
    left = Left.of(checkpoint.tensors, decided.kept, decisions.quantized)
    refused = left.is_most and not options.allow_partial
    problems = list(partial_preset(left, preset, decided.around.config, refused=refused))
    return Findings(problems, []) if refused else Findings([], problems)
