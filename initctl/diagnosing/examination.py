"""The data that checks look at: for each floating-point tensor, its statistics, its role, and its suggested law."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain
from math import prod
from operator import setitem
from typing import TYPE_CHECKING, NamedTuple

from initctl.checksums import check_task
from initctl.coworkers import ALONE
from initctl.diagnosing.remedies import Remedy
from initctl.diagnosing.rows import Lines, compared
from initctl.grouping import grouped
from initctl.reading import TensorReader
from initctl.statistics import TensorStatistics, measured
from initctl.workers import Workers

if TYPE_CHECKING:
    from initctl.coworkers import Coworkers
    from initctl.diagnosing.expected import LawNumbers
    from initctl.formats import CheckpointFile, Checksum
    from initctl.planning.surroundings import Surroundings
    from initctl.stream.engines import Moments
    from initctl.suggesting import Suggestion
    from initctl.tensors import RowRange, TensorSpec

ABSURD = 1e30
"""No weight is larger. Larger numbers are memory that was never written."""
FLOAT16 = 65504
_HALF = 0.5
"""A number above this share of float16's maximum is near overflow. A tensor is lost if more than this share of it is
subnormal.
"""
_FEWEST = 64
"""The spread of fewer numbers is not judged."""
LAYERS = frozenset({"linear", "conv", "attention", "recurrent", "recurrent_input"})
"""Roles of matrices whose units must differ from each other."""
RANDOM = frozenset({*LAYERS, "head", "embedding", "positional", "token", "gate"})
"""Roles of tensors that random laws fill."""


class Examined(NamedTuple):
    """The statistics of a tensor, the suggestion for it, and the numbers that the suggestion gives, if they are known.

    `customary` are the numbers that torch's own layers start from. They are given if a part of the model has no preset,
    and are not a fault then.
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
        """Whether the preset of this model decides it."""
        return self.suggestion.preset is not None

    @property
    def remedy(self) -> Remedy | None:
        """The rule that initializes it again; None if no rule can."""
        return Remedy.of(self.suggestion)

    @property
    def is_constant(self) -> bool:
        """Whether all its numbers are equal."""
        return self.moments.least == self.moments.greatest

    @property
    def is_sound(self) -> bool:
        """Whether all its numbers are finite and none is absurd. Otherwise spreads and rows mean nothing."""
        return self.moments.finite == self.moments.numbers > 0 and self.moments.largest <= ABSURD

    @property
    def lawful_stds(self) -> list[float]:
        """The standard deviations of its own laws."""
        return [law.std for law in (self.expected, self.customary) if law and law.std]

    @property
    def is_near_overflow(self) -> bool:
        return self.tensor.dtype.name == "float16" and self.moments.largest > _HALF * FLOAT16

    @property
    def is_lost(self) -> bool:
        """Whether most of its nonzero numbers are subnormal in its dtype."""
        return self.moments.subnormal > _HALF * (self.moments.numbers - self.moments.zeros)

    @property
    def is_spread(self) -> bool:
        """Whether its spread can be judged: it has enough numbers, and the law of its family is known."""
        is_random = self.role in RANDOM and not self.is_constant and self.moments.numbers >= _FEWEST
        is_known = self.expected is not None or not self.is_of_family
        has_units = self.role not in LAYERS or not self.tensor.is_vector
        return is_random and is_known and has_units and not (self.is_near_overflow or self.is_lost)


@dataclass(frozen=True, kw_only=True)
class Examination:
    """Tensors of a checkpoint that were measured. Data that only some checks need is read when it is first used.

    `everything` has all tensors that are examined. `subjects` has those whose numbers can be judged: floating-point
    tensors that could be read and that the model does not compute. `roles` has the role of each tensor of the
    checkpoint with a law, also if it is not examined. `row_suggestions` are laws for single rows.
    """

    around: Surroundings
    roles: Mapping[str, str]
    everything: Sequence[TensorStatistics]
    subjects: Sequence[Examined]
    row_suggestions: Sequence[Suggestion]
    is_trained: bool
    threads: int
    coworkers: Coworkers = ALONE

    @cached_property
    def sound(self) -> Sequence[Examined]:
        return [subject for subject in self.subjects if subject.is_sound]

    @cached_property
    def random(self) -> Sequence[Examined]:
        """The subjects whose spread can be judged."""
        return [subject for subject in self.sound if subject.is_spread]

    @cached_property
    def by_name(self) -> Mapping[str, Examined]:
        return {subject.name: subject for subject in self.subjects}

    @cached_property
    def lines(self) -> Mapping[str, Lines]:
        """Equal and zero rows and columns of weights. Reads the weights once more."""
        wanted = [s.tensor for s in self.sound if s.role in LAYERS | {"embedding"} and not s.is_constant]
        own = [wanted[number] for number in self.coworkers.own([tensor.nbytes for tensor in wanted])]
        found = self.coworkers.all_of(compared(self.around.checkpoint, own, self.threads))
        return {name: lines for each in found for name, lines in each.items()}

    @cached_property
    def damaged(self) -> list[tuple[str, Checksum]]:
        """The checksums that are wrong, in order, of those for examined tensors. Reads these tensors once more."""
        files = self.around.checkpoint.files
        every = [(f.name, c) for f in files for c in self._checksums(f) if c.value or c.unfinished]
        known = [every[number] for number in self.coworkers.own([c.stop - c.start for _, c in every])]
        wrong: dict[tuple[str, Checksum], int | None] = {}
        with TensorReader(self.around.checkpoint) as reader, Workers(self.threads) as workers:
            workers.run(check_task(c, partial(reader.opened, f), partial(setitem, wrong, (f, c))) for f, c in known)
        return sorted(chain.from_iterable(self.coworkers.all_of(list(wrong))))

    def _checksums(self, file: CheckpointFile) -> Iterator[Checksum]:
        """The checksums of parts of `file` in which an examined tensor begins."""
        starts = self._starts.get(file.name, [])
        for checksum in file.checksums:
            place = bisect_left(starts, checksum.start)
            if place < len(starts) and starts[place] < checksum.stop:
                yield checksum

    @cached_property
    def _starts(self) -> Mapping[str, Sequence[int]]:
        """The offsets of the blocks of examined tensors, in order, by file."""
        blocks = (block for one in self.everything for block in one.tensor.blocks)
        return {file: sorted(starts) for file, starts in grouped((b.file, b.offset) for b in blocks).items()}

    def digests(self, tensors: Iterable[TensorSpec]) -> Mapping[str, str | None]:
        """The SHA-256 of each of `tensors`, by name. Reads the tensors once more."""
        table, threads = self.around.checkpoint, self.threads
        found = measured(table, tuple(tensors), digest=True, threads=threads, coworkers=self.coworkers)
        return {one.tensor.name: one.digest for one in found}

    def are_zero(self, tensor: TensorSpec, rows: RowRange) -> bool:
        """Whether all of `rows` in `tensor` are zero. Reads these rows."""
        width = prod(tensor.shape[1:])
        with TensorReader(self.around.checkpoint) as reader:
            content = reader.read(tensor, rows[0] * width, rows[1] * width)
        return not content.view(tensor.dtype.numpy).any()
