"""What a plan changes: statistics of each tensor that it fills, before and after, as a table and as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from initctl.display.blocks import ARROW
from initctl.display.folding import FoldedRow, folded_rows
from initctl.display.tables import Displayed, Listing, Report
from initctl.planning.overview import initializer_text, part_name
from initctl.stream.engines import Moments

if TYPE_CHECKING:
    from initctl.planning import Action, Plan
    from initctl.statistics import TensorStatistics

_NUMBERS = ("mean", "std", "min", "max")
_SPARE = (("min", "max"), ("mean",))
_HEADING = ("tensor", *_NUMBERS, "initializer")


class Change(NamedTuple):
    """Statistics of the part of a tensor that an `action` fills, `before` and `after`.

    Both are of the same elements: their `tensor` is the filled part, as a separate tensor. But rows that have no value
    before are only in `after`.
    """

    action: Action
    before: TensorStatistics
    after: TensorStatistics

    def to_json(self) -> dict[str, Any]:
        """The action's data, and the numbers."""
        return {**self.action.to_json(), "before": self.before.measures(), "after": self.after.measures()}


@dataclass(frozen=True, slots=True, repr=False)
class Changes(Displayed):
    """What `plan` changes: one `Change` for each of its actions, and then for each of its resets, in their order."""

    plan: Plan
    changes: tuple[Change, ...]

    def to_json(self) -> dict[str, Any]:
        """As part of the `data` of a JSON document."""
        return {"changes": [change.to_json() for change in self.changes]}

    def report(self, *, unfold: bool = False) -> Report:
        """The overview, and the plan's totals."""
        return [*self.overview(unfold=unfold), self.plan.summary()]

    def overview(self, *, unfold: bool = False) -> Report:
        """One row for each filled part, if there are any. Parts that differ only in layer numbers share a row, with
        common numbers, unless `unfold`.
        """
        rows = folded_rows(self.changes, lambda change: part_name(change.action), _kind, unfold=unfold)
        return [Listing(_HEADING, list(map(_cells, rows)), right=_NUMBERS, spare=_SPARE), ""] if rows else []


def _kind(change: Change) -> tuple[object, ...]:
    """A key that is equal for changes that may share a row."""
    tensor = change.action.tensor
    return tensor.shape, tensor.dtype, initializer_text(change.action)


def _cells(row: FoldedRow[Change]) -> tuple[str, ...]:
    before = sum((change.before.moments for change in row.members), Moments())
    after = sum((change.after.moments for change in row.members), Moments())
    numbers = map(ARROW.join, zip(_numbers(before), _numbers(after), strict=True))
    return row.name, *numbers, initializer_text(row.members[0].action)


def _numbers(moments: Moments) -> tuple[str, ...]:
    if not moments.finite:
        return ("-",) * len(_NUMBERS)
    return tuple(f"{value:.3g}" for value in (moments.mean, moments.std, moments.least, moments.greatest))
