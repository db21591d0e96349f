"""What a plan changes: what each tensor that it fills holds before and after, as a table and as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from initctl.display.blocks import ARROW
from initctl.display.folding import FOLDED_ABOVE, fold
from initctl.display.tables import Displayed, Listing
from initctl.errors import shown
from initctl.planning.overview import initializer_text, part_name
from initctl.stream.engines import Moments

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from initctl.display.tables import Report
    from initctl.planning import Action, Plan
    from initctl.statistics import TensorStatistics

_NUMBERS = ("mean", "std", "min", "max")
_HEADING = ("tensor", *_NUMBERS, "initializer")


class Change(NamedTuple):
    """What the tensor of an `action`, or the rows of it that are filled, holds `before` and `after`.

    Both are of the same elements: `tensor` of both is the part that is filled, as a tensor of its own.
    """

    action: Action
    before: TensorStatistics
    after: TensorStatistics

    def to_json(self) -> dict[str, Any]:
        """The action's, and the numbers."""
        return {**self.action.to_json(), "before": self.before.measures(), "after": self.after.measures()}


class _Row(NamedTuple):
    """Changes that a row of the table stands for: called `name` there, filled in one way."""

    name: str
    members: Sequence[Change]

    def cells(self) -> tuple[str, ...]:
        action = self.members[0].action
        before = sum((change.before.moments for change in self.members), Moments())
        after = sum((change.after.moments for change in self.members), Moments())
        numbers = map(ARROW.join, zip(_numbers(before), _numbers(after), strict=True))
        return self.name, *numbers, initializer_text(action)


@dataclass(frozen=True, slots=True, repr=False)
class Changes(Displayed):
    """What `plan` changes: one `Change` for each of its actions, in their order, then for each of its resets."""

    plan: Plan
    changes: tuple[Change, ...]

    def to_json(self) -> dict[str, Any]:
        """As part of the `data` of a JSON document."""
        return {"changes": [change.to_json() for change in self.changes]}

    def report(self, *, unfold: bool = False) -> Report:
        """The overview, and the plan's totals."""
        return [*self.overview(unfold=unfold), self.plan.summary()]

    def overview(self, *, unfold: bool = False) -> Report:
        """One row for each part that is filled, if there are any; many are folded, and measured together, unless
        `unfold`.
        """
        rows = [group.cells() for group in self._groups(unfold=unfold)]
        return [Listing(_HEADING, rows, right=_NUMBERS), ""] if rows else []

    def _groups(self, *, unfold: bool) -> Iterator[_Row]:
        if unfold or len(self.changes) <= FOLDED_ABOVE:
            yield from (_Row(shown(part_name(change.action)), [change]) for change in self.changes)
            return
        by_name = {(part_name(change.action), _kind(change.action)): change for change in self.changes}
        for names, kind in fold(by_name):
            yield _Row(names.shown(), [by_name[name, kind] for name in names.names()])


def _kind(action: Action) -> tuple[object, ...]:
    """What actions of one row have in common."""
    return action.tensor.shape, action.tensor.dtype, initializer_text(action)


def _numbers(moments: Moments) -> tuple[str, ...]:
    if not moments.finite:
        return ("-",) * len(_NUMBERS)
    return tuple(f"{value:.3g}" for value in (moments.mean, moments.std, moments.least, moments.greatest))
