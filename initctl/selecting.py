"""Tensors by patterns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from initctl.errors import FitError, Problem, UsageError, shown

if TYPE_CHECKING:
    from initctl.formats import Checkpoint
    from initctl.tensors import TensorSpec


def selected(checkpoint: Checkpoint, patterns: Sequence[str]) -> tuple[TensorSpec, ...]:
    """The tensors whose names match one of `patterns`, in order; all of them if there are no patterns.

    Raises as `selected_names` does.
    """
    found = selected_names([tensor.name for tensor in checkpoint.tensors], patterns)
    return tuple(tensor for tensor in checkpoint.tensors if tensor.name in found)


def selected_names(names: Sequence[str], patterns: Sequence[str]) -> set[str]:
    """The `names` that match one of `patterns`; all names if there are no patterns.

    Raises `RuleError` if one is not a pattern, `UsageError` if one selects rows or `patterns` is a string, and
    `FitError` if one matches nothing.
    """
    if isinstance(patterns, str):
        raise UsageError(Problem("usage.patterns", "patterns: must be a list", "write patterns=[…]"))
    if not patterns:
        return set(names)
    from initctl.planning.near_misses import hint_for
    from initctl.rules import highest_numbers, parse_selector

    highest = highest_numbers(names)
    found: set[str] = set()
    for pattern in patterns:
        selector = parse_selector(pattern)
        if selector.rows:
            raise UsageError(Problem("pattern.rows", f"pattern {shown(pattern)}: selects rows", "name whole tensors"))
        matching = [name for name in names if selector.names.matches(name, highest)]
        if not matching:
            raise FitError(
                Problem("pattern.unused", f"pattern {shown(pattern)}: matches no tensor", hint_for(pattern, names))
            )
        found.update(matching)
    return found
