"""Whether a checkpoint was trained, as far as its numbers say so."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from initctl.diagnosing.constants import BIAS, NORM, is_as_made
from initctl.grouping import grouped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from initctl.diagnosing.examination import Examined

_MOST = 0.5
_FLOAT32 = 32
_NOUNS = {"norms": NORM, "biases": BIAS}


class Reading(NamedTuple):
    """Whether weights are taken for trained ones, and why."""

    is_trained: bool
    reason: str


class _Kind(NamedTuple):
    """Tensors that training moves away from what they start from, and how many it has moved; `is_telling`, if it would
    have moved them.
    """

    noun: str
    number: int
    moved: int
    is_telling: bool

    @classmethod
    def of(cls, noun: str, subjects: Sequence[Examined]) -> _Kind:
        """Norms of less than float32 may stay at 1, since steps are too small for them; biases leave 0 in any dtype."""
        is_telling = any(subject.role == BIAS or subject.tensor.dtype.bits >= _FLOAT32 for subject in subjects)
        return cls(noun, len(subjects), sum(not is_as_made(subject) for subject in subjects), is_telling)

    @property
    def is_moved(self) -> bool:
        return self.moved > _MOST * self.number

    @property
    def is_still(self) -> bool:
        return self.is_telling and not self.is_moved

    def __str__(self) -> str:
        return f"{self.number - self.moved:,} of {self.number:,} {self.noun}"


def read(subjects: Sequence[Examined], *, given: bool | None) -> Reading:
    """What `given` says; or else trained, if most norms and most biases are not as they were made.

    Training moves both, and a mistake hardly ever does. If there are neither, weights are taken for fresh.
    """
    if given is not None:
        return Reading(given, "as asked for")
    of_role = grouped((subject.role, subject) for subject in subjects)
    kinds = [_Kind.of(noun, of_role[role]) for noun, role in _NOUNS.items() if role in of_role]
    if not kinds:
        return Reading(is_trained=False, reason="it has no norms and no biases, which training would have moved")
    is_trained = any(kind.is_moved for kind in kinds) and not any(kind.is_still for kind in kinds)
    return Reading(is_trained, f"{' and '.join(map(str, kinds))} are as they were made")
