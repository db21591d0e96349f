"""Whether a checkpoint was trained, as far as its numbers say so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import TYPE_CHECKING, NamedTuple

from initctl.diagnosing.constants import BIAS, NORM, is_as_made
from initctl.grouping import grouped

if TYPE_CHECKING:
    from initctl.diagnosing.examination import Examined

_FLOAT32 = 32
_NOUNS = {"norms": NORM, "biases": BIAS}
_AROUND_ZERO = 0.5
"""Standard deviations from 0 within which the mean of a norm is if a law drew it; training keeps most norms on one side
of 0.
"""
_UNUSUAL = 2
"""How many times larger or smaller than torch's own law a spread is unusual."""
_NOISE = 3
"""Standard errors that chance may add."""


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
    def of(cls, noun: str, subjects: Sequence[Examined], weights: Mapping[str, Examined]) -> _Kind:
        """Training moves each number by itself, and leaves no constant. What one law may have drawn counts as moved if
        it is less than half.
        """
        moved = [s for s in subjects if not (s.is_constant and s.moments.numbers > 1) and not is_as_made(s)]
        drawn = sum(_is_drawn(subject, weights.get(f"{subject.name.removesuffix('bias')}weight")) for subject in moved)
        number = len(moved) - (drawn if 2 * drawn >= len(moved) else 0)
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
    by_name = {subject.name: subject for subject in subjects}
    kinds = [_Kind.of(noun, of_role[role], by_name) for noun, role in _NOUNS.items() if role in of_role]
    if not kinds:
        return Reading(is_trained=False, reason="it has no norms and no biases, which training would have moved")
    is_trained = any(2 * kind.moved > kind.number for kind in kinds)
    is_fresh = any(2 * kind.still >= kind.number for kind in kinds)
    return Reading(is_trained and not is_fresh, f"{' and '.join(map(str, kinds))} look trained")


def _is_drawn(subject: Examined, weight: Examined | None) -> bool:
    """Whether one law drew it, as everything, by mistake: a norm that starts from 1 is around 0, or a bias is spread as
    its weight is, which does not start so in torch.
    """
    moments, law = subject.moments, subject.expected
    if subject.role == NORM:
        return bool(law and law.mean) and abs(moments.mean) < _AROUND_ZERO * moments.std
    if weight is None or not (weight.customary and weight.customary.std):
        return False
    is_usual = 1 / _UNUSUAL < weight.moments.std / weight.customary.std < _UNUSUAL
    error = _NOISE / sqrt(2 * moments.numbers)
    return not is_usual and abs(moments.std - weight.moments.std) < error * weight.moments.std


def _may_stay(subject: Examined) -> bool:
    """Whether training may leave it as it was made: steps are too small for norms of less than float32, and biases that
    torch drew look the same after some steps. Others leave 0 in any dtype.
    """
    is_rough = subject.role == NORM and subject.tensor.dtype.bits < _FLOAT32
    return (is_rough or not subject.is_constant) and is_as_made(subject)
