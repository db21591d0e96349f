"""All that is probably not meant: what is refused, and what is only a warning."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from initctl.planning.advice.averages import copies_out_of_step
from initctl.planning.advice.hollow import hollow_rules
from initctl.planning.advice.left_alone import left_alone, undecided_weights
from initctl.planning.advice.presets import Left, idle_preset, partial_preset
from initctl.planning.advice.split import split_weights
from initctl.planning.advice.surprises import random_averages, surprises
from initctl.planning.advice.unused import idle_alternatives, unused_rules

if TYPE_CHECKING:
    from initctl.errors import Problem
    from initctl.planning.advice.presets import FromPreset
    from initctl.planning.deciding import Decided
    from initctl.planning.options import Options
    from initctl.planning.surroundings import Surroundings


class Findings(NamedTuple):
    """Problems that a plan is refused for, and those that it only warns of."""

    faults: list[Problem]
    warnings: list[Problem]


def findings(decided: Decided, around: Surroundings, preset: FromPreset | None, options: Options) -> Findings:
    """What is probably not meant, as strict as `options` are; `preset` are the rules that come from a preset."""
    checkpoint = around.checkpoint
    unused = [*unused_rules(decided, checkpoint), *hollow_rules(decided, checkpoint)]
    faults = [] if options.allow_unused else unused
    if options.require_all:
        faults = [*faults, *undecided_weights(decided)]
    of_preset = _preset_findings(decided, around, preset, options) if preset else Findings([], [])
    warnings = [
        *of_preset.warnings,
        *unused,
        *idle_alternatives(decided, around),
        *left_alone(decided),
        *surprises(decided.actions, around),
        *random_averages(decided.actions),
        *copies_out_of_step(checkpoint.tensors, decided.actions),
        *split_weights(decided),
    ]
    return Findings([*faults, *of_preset.faults], warnings)


def _preset_findings(decided: Decided, around: Surroundings, preset: FromPreset, options: Options) -> Findings:
    """What is probably not meant by a preset."""
    if preset.name and preset.fills_nothing(decided):
        idle = [idle_preset(preset, around.checkpoint)]
        return Findings([], idle) if options.allow_unused else Findings(idle, [])
    if options.require_all:
        return Findings([], [])
    left = Left.of(around.checkpoint.tensors, decided)
    refused = left.is_most and not options.allow_partial
    problems = list(partial_preset(left, preset, around.config, refused=refused))
    return Findings(problems, []) if refused else Findings([], problems)
