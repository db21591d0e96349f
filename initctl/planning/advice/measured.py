"""Running statistics, and other averages that training measures, under random laws."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from initctl.errors import Problem, listed, shown
from initctl.planning.computed import measured_kind
from initctl.stream import Deterministic, RevisingLaw

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from initctl.planning.action import Action
    from initctl.rules import Rule

_PERTURB = "perturb"
_HINT = (
    "a random variance can be negative, and gives NaN: "
    "add a rule that fills them with a constant (zeros, for variances ones), or that keeps them"
)


def random_averages(actions: Iterable[Action]) -> Iterator[Problem]:
    """A warning for each rule whose pattern reaches averages, and fills them with random numbers."""
    found: dict[Rule, list[Action]] = defaultdict(list)
    for action in actions:
        if measured_kind(action.tensor) and action.rule.selector.names.has_wildcards and _is_random(action):
            found[action.rule].append(action)
    for rule, filled in found.items():
        names = listed([f"{shown(action.tensor.name)} ({measured_kind(action.tensor)})" for action in filled])
        yield Problem("rule.measured", f"{rule}: fills {names} with random numbers", _HINT)


def _is_random(action: Action) -> bool:
    return not isinstance(action.law, (Deterministic, RevisingLaw)) or action.initializer == _PERTURB
