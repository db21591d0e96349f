"""The reference, faster for many small tensors: one call of NumPy computes the numbers of several."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import numpy as np

from initctl.stream.draws import Draws
from initctl.stream.engines.engine import Engine, LawRun, encode
from initctl.stream.key import Key
from initctl.stream.laws import Normal, TruncNormal, Uniform
from initctl.stream.philox import LANES, words_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]

_WORDS_ALONE = (Uniform, Normal, TruncNormal)
"""Laws whose values depend only on random words, not on the index otherwise."""
_SHORT = 1024
"""The most numbers of a short run: NumPy's calls take longer than computing them."""
_JOINED = 32
"""Runs that are computed together: their temporary arrays fit into the processor's cache."""


class JoinedEngine(Engine):
    """The reference, but short runs of one random law are computed together."""

    def fill(self, runs: Sequence[LawRun], out: Bytes) -> None:
        alike: dict[tuple[int, str], list[tuple[LawRun, Bytes]]] = defaultdict(list)
        reached = 0
        for run in runs:
            end = reached + run.nbytes
            if type(run.law) in _WORDS_ALONE and 0 < run.stop - run.start <= _SHORT:
                alike[id(run.law), run.dtype.name].append((run, out[reached:end]))
            else:
                self.fill_run(run, out[reached:end])
            reached = end
        for group in alike.values():
            for first in range(0, len(group), _JOINED):
                self._fill_together(group[first : first + _JOINED])

    def _fill_together(self, group: Sequence[tuple[LawRun, Bytes]]) -> None:
        """Fill runs of one law and dtype together. If a value is wrong, the reference fills them and reports it."""
        law, dtype = group[0][0].law, group[0][0].dtype
        draws = JoinedDraws.over([run for run, _ in group])
        values = law.values(draws, 0, draws.blocks.size * LANES)
        if not np.isfinite(values).all():
            for run, written in group:
                self.fill_run(run, written)
            return
        stored = encode(values, dtype)
        begin = 0
        for run, written in group:
            first = (begin + run.start % LANES) * dtype.width
            written[...] = stored[first : first + run.nbytes]
            begin += LANES * len(_blocks(run))


@dataclass(frozen=True, slots=True)
class JoinedDraws(Draws):
    """The random numbers of all blocks of some runs, numbered consecutively. There is a key for each of `blocks`."""

    blocks: NDArray[np.uint64] = field(kw_only=True)

    @classmethod
    def over(cls, runs: Sequence[LawRun]) -> Self:
        ranges = [_blocks(run) for run in runs]
        keys = np.repeat(np.array([run.key for run in runs], np.uint64), list(map(len, ranges)), axis=0)
        return cls(Key(*keys.T), blocks=np.concatenate([np.arange(r.start, r.stop, dtype=np.uint64) for r in ranges]))

    def words(self, start: int, stop: int, *, stream: int = 0) -> NDArray[np.uint32]:
        return words_of(*self.key, self.blocks, stream)[start:stop]


def _blocks(run: LawRun) -> range:
    """The blocks with the numbers of `run`."""
    return range(run.start // LANES, -(-run.stop // LANES))
