"""Whether a checkpoint was trained, judged by its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from initctl.diagnosing.constants import BIAS, NORM, is_as_made
from initctl.diagnosing.examination import LAYERS
from initctl.grouping import grouped

if TYPE_CHECKING:
    from initctl.diagnosing.examination import Examined
    from initctl.stream.engines import Moments

_FLOAT32 = 32
_NOUNS = {NORM: "norms", BIAS: "biases"}
_AROUND_ZERO = 0.5
"""If the mean of a norm is within this many standard deviations of 0, a random law drew it: training keeps most norms
on one side of 0.
"""
_FAR = 0.3
"""A norm that starts from 0 was drawn if its spread is larger than this and its mean is 0: training moves the mean too.
"""
_UNUSUAL = 2
"""A spread is unusual if it is this many times larger or smaller than that of the law."""
_NOISE = 3
"""Standard errors that chance may add."""

AS_REQUESTED = "as requested"


class Reading(NamedTuple):
    """Whether weights count as trained, and why."""

    is_trained: bool
    reason: str


AS_NAMED = Reading(is_trained=False, reason="named tensors count as fresh")
"""The reading if patterns name the tensors to examine."""


class _Drawn(NamedTuple):
    """A mean and a spread that most matrices share, but that their laws do not give: one wrong law drew all of them.
    Training would make each of them different.
    """

    mean: float
    std: float

    @classmethod
    def of(cls, weights: Sequence[Examined]) -> _Drawn | None:
        judged = [(weight.moments, stds) for weight in weights if (stds := weight.lawful_stds)]
        strange = [moments for moments, stds in judged if not _is_usual(moments, stds)]
        if not strange:
            return None
        found = cls(*np.median([(moments.mean, moments.std) for moments in strange], 0).tolist())
        return found if 2 * sum(map(found.is_of, strange)) > len(judged) else None

    def is_of(self, moments: Moments) -> bool:
        error = _NOISE * self.std / sqrt(moments.numbers)
        return abs(moments.mean - self.mean) < error and abs(moments.std - self.std) < error / sqrt(2)


class _Kind(NamedTuple):
    """Tensors of one role. Training has `moved` some of them, and surely not those that are `still`. The rest may be
    either.
    """

    noun: str
    number: int
    moved: int
    still: int

    @classmethod
    def of(cls, noun: str, subjects: Sequence[Examined], by_mistake: _Drawn | None) -> _Kind:
        """Training moves each number separately, so constants are not moved. Tensors that one law may have drawn count
        as moved if they are less than half.
        """
        moved = [s for s in subjects if not (s.is_constant and s.moments.numbers > 1) and not is_as_made(s)]
        drawn = sum(_is_drawn(subject, by_mistake) for subject in moved)
        number = len(moved) - (drawn if 2 * drawn >= len(moved) else 0)
        return cls(noun, len(subjects), number, len(subjects) - number - sum(map(_may_stay, subjects)))

    @property
    def is_moved(self) -> bool:
        """Whether training has moved most of them."""
        return 2 * self.moved > self.number

    @property
    def is_still(self) -> bool:
        """Whether training has surely not moved at least half of them."""
        return 2 * self.still >= self.number

    def __str__(self) -> str:
        return f"{self.moved:,} of {self.number:,} {self.noun}"

    @property
    def unclear(self) -> str:
        """How many may be either."""
        return f"{self.number - self.moved - self.still:,} of {self.number:,} {self.noun} may be either"


def read(subjects: Sequence[Examined], *, given: bool | None) -> Reading:
    """What `given` says. If None, trained if training has moved most norms or most biases, and at least half of neither
    are still. Tensors without sound numbers show nothing.

    Without norms and biases that show something, weights count as fresh.
    """
    if given is not None:
        return Reading(given, AS_REQUESTED)
    sound = [subject for subject in subjects if subject.is_sound]
    of_role = grouped((subject.role, subject) for subject in sound)
    if not of_role.keys() & _NOUNS.keys():
        return Reading(is_trained=False, reason=_nothing_shown(subjects))
    by_mistake = _Drawn.of([subject for subject in sound if subject.role in LAYERS])
    kinds = [_Kind.of(noun, of_role[role], by_mistake) for role, noun in _NOUNS.items() if role in of_role]
    is_trained = any(kind.is_moved for kind in kinds) and not any(kind.is_still for kind in kinds)
    return Reading(is_trained, _reason(kinds, is_trained=is_trained))


def _nothing_shown(subjects: Sequence[Examined]) -> str:
    if any(subject.role in _NOUNS for subject in subjects):
        return "every norm and bias has NaN or infinite numbers, which hide training"
    return "there are no norms or biases, which would show training"


def _reason(kinds: Sequence[_Kind], *, is_trained: bool) -> str:
    """How many norms and biases look trained. A kind that does not decide is named last."""
    decisive = [kind for kind in kinds if kind.is_moved or not is_trained]
    looks = f"{' and '.join(map(str, decisive))} look trained"
    return "; ".join((looks, *(kind.unclear for kind in kinds if kind not in decisive)))


def _is_usual(moments: Moments, stds: Sequence[float]) -> bool:
    """Whether the numbers of a matrix are centered, and have the spread of one of its laws."""
    is_spread = any(1 / _UNUSUAL < moments.std / std < _UNUSUAL for std in stds)
    return is_spread and abs(moments.mean) < moments.std


def _is_drawn(subject: Examined, by_mistake: _Drawn | None) -> bool:
    """Whether a wrong law drew it: the one that drew most weights; or it is a norm whose mean is near 0. A norm that
    should start from 0 must be very near.
    """
    moments, law = subject.moments, subject.expected
    if by_mistake and by_mistake.is_of(moments):
        return True
    if subject.role != NORM or not law:
        return False
    bound = _AROUND_ZERO if law.mean else moments.std > _FAR and _NOISE / sqrt(moments.numbers)
    return abs(moments.mean) < bound * moments.std


def _may_stay(subject: Examined) -> bool:
    """Whether a trained tensor may still look fresh: steps are too small for norms in less than float32, and biases
    that torch drew look the same after some steps. Biases that start at 0 move in every dtype.
    """
    is_rough = subject.role == NORM and subject.tensor.dtype.bits < _FLOAT32
    return (is_rough or not subject.is_constant) and is_as_made(subject)
