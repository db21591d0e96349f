"""All that is probably not meant: what is refused, and what is only a warning."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from initctl.planning.advice.hollow import hollow_rules
from initctl.planning.advice.left_alone import left_alone
from initctl.planning.advice.surprises import surprises
from initctl.planning.advice.undecided import undecided_floats
from initctl.planning.advice.unused import idle_alternatives, unused_rules

if TYPE_CHECKING:
    from collections.abc import Sequence

    from initctl.errors import Problem
    from initctl.planning.deciding import Decisions
    from initctl.planning.names import Surroundings
    from initctl.planning.options import Options
    from initctl.planning.plan import Action, Kept


class Decided(NamedTuple):
    """What rules decide in a checkpoint: who decides what, what is filled, and what is kept."""

    around: Surroundings
    decisions: Decisions
    actions: Sequence[Action]
    kept: Sequence[Kept]


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
        faults = [*faults, *undecided_floats(decided.kept)]
    warnings = [
        *unused,
        *idle_alternatives(decided.decisions, decided.around),
        *left_alone(decided.decisions, decided.kept),
        *surprises(decided.actions),
    ]
    return Findings(faults, warnings)
