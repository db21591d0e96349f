"""Elements of an incomplete checkpoint that have no value yet: no rule may keep them, or compute values from them."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from initctl.errors import Problem, listed, shown
from initctl.initializers import Unfit
from initctl.tensors import TensorPart

if TYPE_CHECKING:
    from initctl.planning.action import Kept
    from initctl.stream import RevisingLaw
    from initctl.tensors import RowRange, TensorSpec


BLANK = "tensor.blank"
"""The code of the problem that no rule fills some rows."""


class _Blank(NamedTuple):
    """Some `rows` of a tensor, or all of it, without a value."""

    tensor: TensorSpec
    rows: RowRange | None

    def __str__(self) -> str:
        """The selector of a rule that would fill it."""
        return shown(self.tensor.name) + (f"[{self.rows[0]}:{self.rows[1]}]" if self.rows else "")


def blank_rows(kept: Iterable[Kept], known: Container[str]) -> Iterator[Problem]:
    """A problem if rows that have no value yet are kept: by a `keep` rule, or because no rule decides them.

    Tensors whose names are `known` are left out: their values are known, or they have another fault.
    """
    without = (left for left in kept if left.tensor.name not in known)
    blank = [(left.rule, _Blank(left.tensor, rows)) for left in without for rows in _blank(left)]
    for rule in dict.fromkeys(rule for rule, _ in blank if rule):
        names = listed([str(row) for by, row in blank if by is rule])
        yield rule.problem("rule.blank", f"cannot keep {names}: it has no value yet", "fill it with an initializer")
    if undecided := [f"{row} ({row.tensor.dtype.name})" for rule, row in blank if rule is None]:
        it, has = ("it", "has") if len(undecided) == 1 else ("them", "have")
        message = f"no rule fills {listed(undecided)}, which {has} no value yet"
        yield Problem(BLANK, message, f"add a rule that fills {it}")


def check_values_read(law: RevisingLaw, tensor: TensorSpec, rows: RowRange | None) -> None:
    """Raise `Unfit` if `law`, which fills `rows` of `tensor` or all of it, reads rows that have no value yet."""
    if not tensor.numel or not (tensor.old or not tensor.blocks):
        return
    _, count = tensor.all_rows
    start, stop = law.rows_read(rows or tensor.all_rows, count)
    if start < stop and (blank := blank_text(TensorPart(tensor, (start, stop)))):
        raise Unfit(f"it computes new values from old ones, but {blank}", hint=_known(tensor))


def blank_text(part: TensorPart) -> str | None:
    """Which rows of `part` have no value yet, as the end of a sentence; None if all have one."""
    if not (blank := part.blank_rows):
        return None
    if blank == [part.tensor.all_rows]:
        return "it has no values yet"
    return " and ".join(f"rows {start} to {stop}" for start, stop in blank) + " have no value yet"


def _known(tensor: TensorSpec) -> str | None:
    """A hint that says which rows of `tensor` have a value, if some do."""
    first, stop = TensorPart(tensor).with_values.rows or tensor.all_rows
    return f"rows {first} to {stop} have one: {shown(tensor.name)}[{first}:{stop}]" if first < stop else None


def _blank(left: Kept) -> Iterator[RowRange | None]:
    """The blank rows of a kept part; None if these are all rows of the tensor."""
    for rows in left.part.blank_rows:
        yield None if rows == left.tensor.all_rows else rows
