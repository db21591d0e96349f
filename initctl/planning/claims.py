"""What a rule covers of a checkpoint, and which rows of a tensor it may decide: the rows that it matches, if its
condition holds and it may touch the tensor.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from initctl.errors import shown
from initctl.initializers import Unfit
from initctl.planning.computed import computed_kind
from initctl.rules import Expression, Rows, Rule, Undefined, Value

if TYPE_CHECKING:
    from initctl.planning.bound_rule import BoundRule
    from initctl.planning.lookup import Lookup
    from initctl.planning.surroundings import Surroundings
    from initctl.tensors import RowRange, TensorSpec

_MORE_ROWS = "a rule keeps the number of rows: --rows 'PATTERN=N' changes it; see initctl help rows"
_OTHER_SIZE = "change the rule, or the size that is asked for; see initctl help rows"


@dataclass(slots=True, eq=False)
class Coverage:
    """What one rule matches: tensors that it decides, that later rules decide instead (`lost`, to `lost_to`), that a
    pattern may not touch (`left_alone`), that its condition leaves out, that get no new rows for it (`idle`), and on
    which its condition or rows cannot be evaluated (`unfit`).
    """

    bound: BoundRule
    decided: list[TensorSpec] = field(default_factory=list)
    lost: list[TensorSpec] = field(default_factory=list)
    lost_to: list[Rule] = field(default_factory=list)
    left_alone: list[TensorSpec] = field(default_factory=list)
    left_out: list[TensorSpec] = field(default_factory=list)
    idle: list[TensorSpec] = field(default_factory=list)
    unfit: list[TensorSpec] = field(default_factory=list)

    @property
    def rule(self) -> Rule:
        return self.bound.rule

    @property
    def matched(self) -> list[TensorSpec]:
        return [*self.decided, *self.lost, *self.left_alone, *self.left_out, *self.idle, *self.unfit]


class Claim(NamedTuple):
    """Rows of a tensor that a rule may decide, what the rule covers so far, and the values of its names there."""

    rows: RowRange
    coverage: Coverage
    lookup: Lookup


def may_touch(bound: BoundRule, tensor: TensorSpec, around: Surroundings) -> bool:
    """Whether a rule that matches `tensor` may decide it. A pattern with wildcards may keep any tensor, but may fill
    only plain floats: not a tensor that must be named in full, such as a part of a quantized weight, and not one that
    the model computes.
    """
    if bound.initializer is None or not bound.rule.selector.names.has_wildcards:
        return True
    is_plain = tensor.dtype.is_floating and not tensor.unwritable
    return is_plain and tensor.name not in around.exact_name_only and computed_kind(tensor) is None


def holds(condition: Expression, lookup: Lookup) -> bool:
    """Whether the condition of a rule holds for a tensor. Raises `Unfit` if it cannot be evaluated."""
    answer = _value(condition, lookup, "where ")
    if not isinstance(answer, bool):
        raise Unfit(f"where {shown(condition.text)}: is {shown(answer)}, not true or false")
    return answer


def rows_of(rows: Rows, lookup: Lookup) -> RowRange:
    """The `rows` of a tensor that a rule selects. Raises `Unfit` if there are no such rows.

    But if a size was asked for, the tensor may have had it already: then `[N:]` may select no rows, from its end on.
    """
    if not lookup.tensor.shape:
        raise Unfit("it has no dimensions, so it has no rows", needs="ndim >= 1")
    count, is_sized = lookup.tensor.shape[0], lookup.tensor.name in lookup.around.checkpoint.result.sized
    first, last = _row(rows.start, lookup), _row(rows.stop, lookup)
    hint = _OTHER_SIZE if is_sized else _MORE_ROWS
    for expression, row in ((rows.start, first), (rows.stop, last)):
        if expression and row is not None and not -count <= row <= count:
            fault = f"the rule takes rows {_rows_text(first, last)}, but the tensor has {count}{_numbers(count)}"
            raise Unfit(fault, expression.source, hint=hint if row > 0 else None)
    start, stop, _ = slice(first, last).indices(count)
    if start < stop or not count or (start == count and last is None and is_sized):
        return start, stop
    if start == count:
        fault = f"it has {count} rows{_numbers(count)}, so {shown(rows.text)} selects none"
        raise Unfit(fault, rows.start and rows.start.source, hint=hint)
    raise Unfit(f"{shown(rows.text)} selects no rows: {start} to {stop}, of {count}")


def _numbers(count: int) -> str:
    """The numbers of `count` rows, in parentheses."""
    return f" (0 to {count - 1})" if count else ""


def _rows_text(start: int | None, stop: int | None) -> str:
    if stop is None:
        return f"from {start} on"
    return f"up to {stop}" if start is None else f"{start} to {stop}"


def _row(expression: Expression | None, lookup: Lookup) -> int | None:
    """The row number `expression`, which may be the result of a division. Raises `Unfit` if it is not whole."""
    if expression is None:
        return None
    value = _value(expression, lookup)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is not int:
        raise Unfit(f"{shown(expression.text)} is {shown(value)}, not a whole number")
    return value


def _value(expression: Expression, lookup: Lookup, before: str = "") -> Value:
    try:
        return expression.value(lookup)
    except Undefined as fact:
        raise Unfit(f"{before}{shown(expression.text)}: {fact}", fact.excerpt) from None
