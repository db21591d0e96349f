"""Tensors that patterns with wildcards leave as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initctl.errors import Problem
from initctl.planning.advice.naming import with_kinds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from initctl.planning.deciding import Decisions
    from initctl.planning.plan import Kept

LEFT_ALONE = "a pattern with wildcards leaves integer, bool, quantized and other special tensors as they are"


def left_alone(decisions: Decisions, kept: Sequence[Kept]) -> list[Problem]:
    """A warning for each rule whose pattern reaches tensors that patterns may not touch, and that stay as they are."""
    undecided = {k.tensor.name for k in kept if k.rule is None}
    problems = []
    for reach in decisions.reaches:
        tensors = [tensor for tensor in reach.left_alone if tensor.name in undecided]
        if tensors and reach.decided:
            message = f"{reach.rule}: leaves {with_kinds(tensors)} as {'they are' if len(tensors) > 1 else 'it is'}"
            problems.append(Problem("rule.left_alone", message, LEFT_ALONE))
    return problems
