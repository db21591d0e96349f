"""Rules that fill only tensors without elements, as if they had filled something."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initctl.errors import Problem
from initctl.formats.parts.placeholders import placeholders, where_they_are, without_elements
from initctl.initializers import KEEP

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from initctl.formats import Checkpoint
    from initctl.planning.deciding import Decided
    from initctl.tensors import TensorSpec


def hollow_rules(decided: Decided, checkpoint: Checkpoint) -> list[Problem]:
    """What is wrong with each rule that fills only tensors without elements; or with all rules together.

    A model may have an empty tensor of its own, and a rule for it.
    """
    hollow = _hollow(checkpoint)
    if not hollow:
        return []
    problems = [
        _problem(f"{rule}: decides nothing", coverage.decided, checkpoint)
        for coverage in decided.coverages
        if not (rule := coverage.rule).optional and rule.call.name != KEEP and _are_in(coverage.decided, hollow)
    ]
    filled = [action.tensor for action in decided.actions]
    if not problems and _are_in(filled, hollow):
        problems = [_problem("the rules fill nothing", filled, checkpoint)]
    return problems


def _hollow(checkpoint: Checkpoint) -> set[int]:
    """The identities of tensors that no rule is for: placeholders, or all if none of them has elements."""
    tensors = checkpoint.tensors
    return set(map(id, placeholders(checkpoint) if any(tensor.numel for tensor in tensors) else tensors))


def _are_in(tensors: Collection[TensorSpec], hollow: set[int]) -> bool:
    return bool(tensors) and all(id(tensor) in hollow for tensor in tensors)


def _problem(fault: str, tensors: Sequence[TensorSpec], checkpoint: Checkpoint) -> Problem:
    return Problem("rule.unused", f"{fault}: {without_elements(tensors)}", where_they_are(checkpoint))
