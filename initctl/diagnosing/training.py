"""Whether a checkpoint was trained, as far as its numbers say so."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from initctl.diagnosing.constants import BIAS, NORM, is_as_made
from initctl.grouping import grouped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from initctl.diagnosing.examination import Examined

_FLOAT32 = 32
_NOUNS = {"norms": NORM, "biases": BIAS}
_AROUND_ZERO = 0.5
"""Standard deviations from 0 within which the mean of a norm is if a law drew it; training keeps most norms on one side
of 0.
"""


class Reading(NamedTuple):
    """Whether weights are taken for trained ones, and why."""

    is_trained: bool
    reason: str


class _Kind(NamedTuple):
    """Tensors of one role: training `moved` some, and surely not those that are `still`. Others say nothing."""

    noun: str
    number: int
    moved: int
    still: int

    @classmethod
    def of(cls, noun: str, subjects: Sequence[Examined]) -> _Kind:
        """Training moves each number by itself: it leaves no constant. And if most are around 0, a law drew these."""
        moved = [s for s in subjects if not (s.is_constant and s.moments.numbers > 1) and not is_as_made(s)]
        drawn = sum(map(_is_drawn, moved))
        number = len(moved) - (drawn if 2 * drawn > len(moved) else 0)
        return cls(noun, len(subjects), number, len(subjects) - number - sum(map(_may_stay, subjects)))

    def __str__(self) -> str:
        return f"{self.moved:,} of {self.number:,} {self.noun}"


def read(subjects: Sequence[Examined], *, given: bool | None) -> Reading:
    """What `given` says; or else trained, if training moved most norms and most biases.

    If there are neither, weights are taken for fresh.
    """
    if given is not None:
        return Reading(given, "as asked for")
    of_role = grouped((subject.role, subject) for subject in subjects)
    kinds = [_Kind.of(noun, of_role[role]) for noun, role in _NOUNS.items() if role in of_role]
    if not kinds:
        return Reading(is_trained=False, reason="it has no norms and no biases, which training would have moved")
    is_trained = any(2 * kind.moved > kind.number for kind in kinds)
    is_fresh = any(2 * kind.still >= kind.number for kind in kinds)
    return Reading(is_trained and not is_fresh, f"{' and '.join(map(str, kinds))} look trained")


def _is_drawn(subject: Examined) -> bool:
    """Whether a norm that starts from 1 is around 0."""
    starts_at_zero = subject.role == BIAS or (subject.expected is not None and subject.expected.mean == 0)
    return not starts_at_zero and abs(subject.moments.mean) < _AROUND_ZERO * subject.moments.std


def _may_stay(subject: Examined) -> bool:
    """Whether training may leave it as it was made: steps are too small for norms of less than float32, and biases that
    torch drew look the same after some steps. Others leave 0 in any dtype.
    """
    is_rough = subject.role == NORM and subject.tensor.dtype.bits < _FLOAT32
    return (is_rough or not subject.is_constant) and is_as_made(subject)
