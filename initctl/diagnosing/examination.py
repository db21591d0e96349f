"""What checks look at: each floating-point tensor with what it holds, what it is for, and what it should start from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from math import prod
from operator import setitem
from typing import TYPE_CHECKING, NamedTuple

from initctl.checksums import check_task
from initctl.diagnosing.remedies import Remedy
from initctl.diagnosing.rows import Lines, compared
from initctl.reading import TensorReader
from initctl.statistics import TensorStatistics, measured
from initctl.workers import Workers

if TYPE_CHECKING:
    from initctl.diagnosing.expected import LawNumbers
    from initctl.formats import Checksum
    from initctl.planning.surroundings import Surroundings
    from initctl.stream.engines import Moments
    from initctl.suggesting import Suggestion
    from initctl.tensors import RowRange, TensorSpec

ABSURD = 1e30
"""No weight is larger: beyond are bytes that nobody wrote."""
FLOAT16 = 65504
_HALF = 0.5
"""A number above this share of the largest one is near the end of float16; a tensor of which more than this share is
subnormal is lost.
"""
_FEWEST = 64
"""Numbers whose spread can be judged."""
LAYERS = frozenset({"linear", "conv", "attention", "recurrent", "recurrent_input"})
"""Roles of matrices whose units must differ from each other."""
RANDOM = frozenset({*LAYERS, "head", "embedding", "positional", "token", "gate"})
"""Roles of tensors that a law with a spread fills."""


class Examined(NamedTuple):
    """A tensor that was `measured`, what is suggested for it, and the numbers that this gives, if they are known.

    `customary` is what torch's own layers start from. If no preset is for the model, that is not reported either.
    """

    measured: TensorStatistics
    suggestion: Suggestion
    expected: LawNumbers | None = None
    customary: LawNumbers | None = None

    @property
    def tensor(self) -> TensorSpec:
        return self.measured.tensor

    @property
    def name(self) -> str:
        return self.measured.tensor.name

    @property
    def role(self) -> str:
        return self.suggestion.role

    @property
    def moments(self) -> Moments:
        return self.measured.moments

    @property
    def is_of_family(self) -> bool:
        """Whether a preset for this model decides it."""
        return self.suggestion.preset is not None

    @property
    def remedy(self) -> Remedy | None:
        """What starts it over, if a rule can."""
        return Remedy.of(self.suggestion)

    @property
    def is_constant(self) -> bool:
        """Whether all of its numbers are one."""
        return self.moments.least == self.moments.greatest

    @property
    def is_sound(self) -> bool:
        """Whether all of its numbers are finite, and none is absurd: only then do spreads and rows mean anything."""
        return self.moments.finite == self.moments.numbers > 0 and self.moments.largest <= ABSURD

    @property
    def lawful_stds(self) -> list[float]:
        """The spreads that its own laws give."""
        return [law.std for law in (self.expected, self.customary) if law and law.std]

    @property
    def is_near_overflow(self) -> bool:
        return self.tensor.dtype.name == "float16" and self.moments.largest > _HALF * FLOAT16

    @property
    def is_lost(self) -> bool:
        """Whether most numbers other than 0 are smaller than the normal ones of the dtype."""
        return self.moments.subnormal > _HALF * (self.moments.numbers - self.moments.zeros)

    @property
    def is_spread(self) -> bool:
        """Whether its spread can be judged: there are enough numbers, and the law of a family is known."""
        is_random = self.role in RANDOM and not self.is_constant and self.moments.numbers >= _FEWEST
        is_known = self.expected is not None or not self.is_of_family
        has_units = self.role not in LAYERS or not self.tensor.is_vector
        return is_random and is_known and has_units and not (self.is_near_overflow or self.is_lost)


@dataclass(frozen=True, kw_only=True)
class Examination:
    """A checkpoint that was measured. What only some checks need is read when it is first asked for.

    `everything` are all tensors. `subjects` are those whose numbers can be judged: floating-point tensors that were
    read, and that no model computes. `row_suggestions` are laws that some rows have of their own.
    """

    around: Surroundings
    everything: Sequence[TensorStatistics]
    subjects: Sequence[Examined]
    row_suggestions: Sequence[Suggestion]
    is_trained: bool
    threads: int

    @cached_property
    def sound(self) -> Sequence[Examined]:
        return [subject for subject in self.subjects if subject.is_sound]

    @cached_property
    def random(self) -> Sequence[Examined]:
        """Those whose spread can be judged."""
        return [subject for subject in self.sound if subject.is_spread]

    @cached_property
    def by_name(self) -> Mapping[str, Examined]:
        return {subject.name: subject for subject in self.subjects}

    @cached_property
    def lines(self) -> Mapping[str, Lines]:
        """What rows and columns of weights have in common: reads these once more."""
        wanted = [s.tensor for s in self.sound if s.role in LAYERS | {"embedding"} and not s.is_constant]
        return compared(self.around.checkpoint, wanted, self.threads)

    @cached_property
    def damaged(self) -> list[tuple[str, Checksum]]:
        """The checksums that are not those of what their files hold, in order: reads the files once more."""
        files = self.around.checkpoint.files
        known = [(file.name, c) for file in files for c in file.checksums if c.value or c.unfinished]
        wrong: dict[tuple[str, Checksum], int | None] = {}
        with TensorReader(self.around.checkpoint) as reader, Workers(self.threads) as workers:
            workers.run(check_task(c, partial(reader.opened, f), partial(setitem, wrong, (f, c))) for f, c in known)
        return sorted(wrong)

    def digests(self, tensors: Iterable[TensorSpec]) -> Mapping[str, str | None]:
        """The SHA-256 of each of `tensors`, by name: reads them once more."""
        found = measured(self.around.checkpoint, tuple(tensors), digest=True, threads=self.threads)
        return {one.tensor.name: one.digest for one in found}

    def are_zero(self, tensor: TensorSpec, rows: RowRange) -> bool:
        """Whether some rows of `tensor` hold nothing but zeros: reads them."""
        width = prod(tensor.shape[1:])
        with TensorReader(self.around.checkpoint) as reader:
            content = reader.read(tensor, rows[0] * width, rows[1] * width)
        return not content.view(tensor.dtype.numpy).any()
