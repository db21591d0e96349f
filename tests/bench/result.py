"""One row of the table: what was measured, and whether it keeps its limit."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

HEADING = "| work | against | ours | theirs | measured | at most |\n|---|---|---|---|---|---|"


@dataclass(frozen=True)
class Result:
    """What each run of `work` took, in `unit`, and what the run beside it `against` something took, if that counts.

    The limit is one on the ratio of both where there are two sides, and on the amount where there is one.
    """

    work: str
    against: str
    ours: Sequence[float]
    theirs: Sequence[float]
    limit: float | None
    unit: str = "s"

    @property
    def measured(self) -> float:
        """The median; of the ratios of neighbouring runs, where there are two sides: it holds when speed drifts."""
        if not self.theirs:
            return median(self.ours)
        return median(one / other for one, other in zip(self.ours, self.theirs, strict=True))

    @property
    def is_met(self) -> bool:
        return self.limit is None or self.measured <= self.limit

    @property
    def row(self) -> str:
        """The line of the table, in Markdown."""
        amounts = [f"{_rounded(median(side))} {self.unit}" if side else "" for side in (self.ours, self.theirs)]
        unit = "×" if self.theirs else self.unit
        limit = "" if self.limit is None else f"{_rounded(self.limit)} {unit}{'' if self.is_met else ' (not met)'}"
        cells = [self.work, self.against, *amounts, f"{_rounded(self.measured)} {unit}", limit]
        return f"| {' | '.join(cells)} |"

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "measured": self.measured, "met": self.is_met}


def _rounded(amount: float) -> str:
    return f"{amount:.3g}" if amount < 1000 else f"{amount:.0f}"
