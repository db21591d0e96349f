"""The old rows that a rule averages: a mistake if it also fills some of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initctl.errors import shown
from initctl.initializers import Unfit
from initctl.stream import RevisingLaw

if TYPE_CHECKING:
    from initctl.planning.action import Action
    from initctl.tensors import RowRange


def check_averaged_rows(action: Action, claimed: RowRange) -> None:
    """Raise `Unfit` if `action`, of a rule that claims rows `claimed`, fills rows that it averages.

    A rule may replace the rows that it averages by their mean, if it claims exactly these.
    """
    if not isinstance(action.law, RevisingLaw):
        return
    from initctl.initializers.revising import MeanOfRows

    if not isinstance(action.law, MeanOfRows) or claimed == (averaged := (action.law.start, action.law.stop)):
        return
    filled = action.rows or action.tensor.all_rows
    start, stop = max(filled[0], averaged[0]), min(filled[1], averaged[1])
    if start < stop:
        fault = f"it fills rows {start} to {stop}, which it also averages"
        raise Unfit(f"{fault} (of={action.arguments['of']})", hint=_hint(action, filled, averaged))


def _hint(action: Action, filled: RowRange, averaged: RowRange) -> str | None:
    """What to write to fill or, if the rule selects rows, average the other rows; None if they are not one range."""
    selector, count = action.rule.selector, action.tensor.all_rows[1]
    if selector.rows:
        others = _without(averaged, filled)
        return others and f"write of={_written(others, count)}"
    others = _without(filled, averaged)
    return others and f"to fill the other rows, write {shown(f'{selector.names.pattern}[{_written(others, count)}]')}"


def _without(rows: RowRange, removed: RowRange) -> RowRange | None:
    """The rows that are not among those `removed`, which overlap them; None if they are not one range."""
    left = [(rows[0], removed[0]), (removed[1], rows[1])]
    ranges = [(start, stop) for start, stop in left if start < stop]
    return ranges[0] if len(ranges) == 1 else None


def _written(rows: RowRange, count: int) -> str:
    start, stop = rows
    return f"{start}:{'' if stop == count else stop}"
