"""Tensors that no rule decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initctl.errors import Problem
from initctl.planning.advice.left_alone import DEQUANTIZE
from initctl.planning.advice.naming import by_weight, make_up, with_kinds
from initctl.planning.computed import computed_kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from initctl.planning.deciding import Decided


def undecided_weights(decided: Decided) -> Iterator[Problem]:
    """What is wrong if no rule decides a floating-point tensor, a part of a quantized weight, or some rows of one."""
    quantized = decided.quantized
    undecided = {kept.tensor.name: kept.tensor for kept in decided.kept if kept.rule is None}
    plain = [t for t in undecided.values() if t.dtype.is_floating and t.name not in quantized and not computed_kind(t)]
    if plain:
        message = f"no rule decides {with_kinds(plain)}"
        yield Problem("tensor.undecided", message, "add a rule for each; keep leaves a tensor as it is")
    if parts := [name for name in undecided if name in quantized]:
        message = f"no rule decides {by_weight(parts, quantized)}: {make_up(parts, quantized)}"
        yield Problem("tensor.undecided", message, f"{DEQUANTIZE}, or add a rule that keeps them")
