"""What verifying a checkpoint came to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from initctl.audit.differences import Difference, FileDifference, Lost
    from initctl.planning import Plan


@dataclass(frozen=True, slots=True)
class Verification:
    """What comparing the checkpoint at `path` with `plan` came to. It is true if everything `holds`, so that
    `assert initctl.verify(…)` fails if anything differs.

    So many elements were `compared`, and `differences` are the first of each tensor that is not as it should be;
    `lost` are tensors that are not there any more. `sample` is how many elements were compared of each tensor at most,
    where not all were. `against` is the path of what the rules were applied to, if that was given: then `rest` bytes
    more were compared with it, and `rest_differences` are the first of each file. Where it `is_converted`, these are of
    files that go along.
    """

    path: str
    plan: Plan
    compared: int
    differences: tuple[Difference, ...]
    lost: tuple[Lost, ...] = ()
    sample: int | None = None
    against: str | None = None
    rest: int | None = None
    is_converted: bool = False
    rest_differences: tuple[FileDifference, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether everything that was compared is as it should be."""
        return not (self.differences or self.lost or self.rest_differences)

    def __bool__(self) -> bool:
        return self.holds

    def to_json(self) -> dict[str, Any]:
        return {
            **self.plan.to_json(),
            "checkpoint": self.path,
            "against": self.against,
            "converted": self.is_converted,
            "sample": self.sample,
            "compared": self.compared,
            "compared_rest": self.rest,
            "differences": [difference.to_json() for difference in self.differences],
            "lost": [lost.to_json() for lost in self.lost],
            "differences_rest": [difference.to_json() for difference in self.rest_differences],
        }
