"""What one rule covers of a checkpoint, and what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from initctl.initializers import Unfit
    from initctl.rules import Rule
    from initctl.tensors import TensorSpec


@dataclass(slots=True)
class Coverage:
    """What one rule matches: tensors that it decides, that later rules decide instead (`lost`, to `lost_to`), that a
    pattern may not touch (`left_alone`), that its condition leaves out, and that it cannot be asked about (`unfit`).
    """

    rule: Rule
    decided: list[TensorSpec] = field(default_factory=list)
    lost: list[TensorSpec] = field(default_factory=list)
    lost_to: list[Rule] = field(default_factory=list)
    left_alone: list[TensorSpec] = field(default_factory=list)
    left_out: list[TensorSpec] = field(default_factory=list)
    unfit: list[tuple[TensorSpec, Unfit]] = field(default_factory=list)

    @property
    def matched(self) -> list[TensorSpec]:
        """All of them."""
        return [*self.decided, *self.lost, *self.left_alone, *self.left_out, *(tensor for tensor, _ in self.unfit)]
