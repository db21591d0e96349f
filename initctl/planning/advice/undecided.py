"""Tensors that no rule decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initctl.errors import Problem
from initctl.planning.advice.naming import with_kinds

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from initctl.planning.plan import Kept


def undecided_floats(kept: Sequence[Kept]) -> Iterator[Problem]:
    """What is wrong where no rule decides a floating-point tensor, or some rows of one."""
    undecided = {k.tensor.name: k.tensor for k in kept if k.rule is None and k.tensor.dtype.is_floating}
    if not undecided:
        return
    tensors = list(undecided.values())
    message = f"no rule decides {with_kinds(tensors)}"
    yield Problem("tensor.undecided", message, "add a rule for each; keep leaves a tensor as it is")
