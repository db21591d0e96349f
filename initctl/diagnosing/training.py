"""Whether a checkpoint was trained, as far as its numbers say so."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from initctl.diagnosing.constants import BIAS, NORM, is_as_made

if TYPE_CHECKING:
    from collections.abc import Sequence

    from initctl.diagnosing.examination import Subject

_MOST = 0.5


class Reading(NamedTuple):
    """Whether weights are taken for trained ones, and why."""

    is_trained: bool
    reason: str


class _Kind(NamedTuple):
    """Tensors that training moves away from what they start from, and how many it has moved."""

    noun: str
    number: int
    moved: int

    @property
    def is_moved(self) -> bool:
        return self.moved > _MOST * self.number

    def __str__(self) -> str:
        return f"{self.number - self.moved:,} of {self.number:,} {self.noun}"


def read(subjects: Sequence[Subject], *, given: bool | None) -> Reading:
    """What `given` says; or else trained, if most norms and most biases are not as they were made.

    Training moves both, and a mistake hardly ever does. A norm of less than float32 that is still as it was made says
    nothing: steps may be too small for it. Without norms and biases, weights are taken for fresh.
    """
    if given is not None:
        return Reading(given, "as asked for")
    kinds = [kind for kind in (_norms(subjects), _biases(subjects)) if kind.number]
    if not kinds:
        return Reading(is_trained=False, reason="it has no norms and no biases, which training would have moved")
    is_trained = all(kind.is_moved for kind in kinds)
    said = " and ".join(map(str, kinds))
    return Reading(is_trained, f"{said} are as they were made")


def _norms(subjects: Sequence[Subject]) -> _Kind:
    moved = [(not is_as_made(subject), subject.tensor.dtype.bits < 32) for subject in subjects if subject.role == NORM]
    telling = [is_moved for is_moved, is_coarse in moved if is_moved or not is_coarse]
    return _Kind("norms", len(telling), sum(telling))


def _biases(subjects: Sequence[Subject]) -> _Kind:
    moved = [not is_as_made(subject) for subject in subjects if subject.role == BIAS]
    return _Kind("biases", len(moved), sum(moved))
