"""Elements of an incomplete checkpoint that have no value yet, and that no rule fills."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from initctl.errors import Problem, listed, shown

if TYPE_CHECKING:
    from initctl.planning.action import Kept
    from initctl.tensors import RowRange, TensorSpec


class _Blank(NamedTuple):
    """Some `rows` of a tensor, or all of it, without a value."""

    tensor: TensorSpec
    rows: RowRange | None

    def __str__(self) -> str:
        """The selector of a rule that would fill it."""
        return shown(self.tensor.name) + (f"[{self.rows[0]}:{self.rows[1]}]" if self.rows else "")


def blank_rows(kept: Iterable[Kept], values: Container[str]) -> Iterator[Problem]:
    """A problem if rows that have no value yet are kept: by a `keep` rule, or because no rule decides them.

    `values` has the names of tensors whose values are known, although no file holds them.
    """
    without = (left for left in kept if left.tensor.name not in values)
    blank = [(left.rule, _Blank(left.tensor, rows)) for left in without for rows in _blank(left)]
    for rule in dict.fromkeys(rule for rule, _ in blank if rule):
        names = listed([str(row) for by, row in blank if by is rule])
        yield rule.problem("tensor.blank", f"cannot keep {names}: it has no value yet", "fill it with an initializer")
    if undecided := [f"{row} ({row.tensor.dtype.name})" for rule, row in blank if rule is None]:
        it, has = ("it", "has") if len(undecided) == 1 else ("them", "have")
        message = f"no rule fills {listed(undecided)}, which {has} no value yet"
        yield Problem("tensor.blank", message, f"add a rule that fills {it}")


def _blank(left: Kept) -> Iterator[RowRange | None]:
    """The blank rows of a kept part; None if these are all rows of the tensor."""
    for rows in left.part.blank_rows:
        yield None if rows == left.tensor.all_rows else rows
