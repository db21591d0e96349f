"""The result of `initctl.new`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from initctl.applied import Applied
from initctl.display.tables import count
from initctl.errors import shown
from initctl.planning.overview import amount, on_devices, overview
from initctl.planning.plan import PHILOX

if TYPE_CHECKING:
    from initctl.display.tables import Report
    from initctl.formats import Checkpoint


@dataclass(frozen=True, slots=True, repr=False)
class Created(Applied):
    """The result of `initctl.new`: the plan, the path, and the names of the files. With `dry_run`, nothing was written,
    and these are the files that would be.
    """

    dry_run: bool = False

    def to_json(self) -> dict[str, Any]:
        """The plan's data, the files, and whether they were written."""
        return {**self.plan.to_json(), "output": self.output, "files": list(self.files), "written": not self.dry_run}

    def report(self, *, unfold: bool = False) -> Report:
        """A row for each tensor, totals, and the path of the result; long lists folded unless `unfold`."""
        parts = self.plan.parts
        return [*((overview(parts, unfold=unfold), "") if parts else ()), *self.summary()]

    def summary(self) -> Report:
        """Totals, and the path of the result."""
        plan = self.plan
        said = [f"{'create' if self.dry_run else 'created'} {amount(plan.initialized)}"]
        if plan.kept:
            said.append(f"{amount(plan.kept_totals)} {_origin(plan.checkpoint)}")
        rng = "" if plan.rng == PHILOX else f" of {plan.rng}"
        totals = "; ".join([*said, f"seed {plan.seed}{rng}", *on_devices(plan.actions)])
        return [totals, f"{self._verb} {shown(self.output)} ({count(len(self.files), 'file')})"]

    @property
    def _verb(self) -> str:
        if self.dry_run:
            return "would replace" if self.replaced else "would write"
        return "replaced" if self.replaced else "wrote"


def _origin(checkpoint: Checkpoint) -> str:
    """Where values come from that no rule gives: a checkpoint, a model, or a table, whose counters begin at 0."""
    if checkpoint.files:
        return "copied"
    return "as the model computes them" if checkpoint.result.files else "set to 0"
