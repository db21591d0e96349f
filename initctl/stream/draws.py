"""The random numbers of one tensor, addressed by element index."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from initctl.stream import elementary
from initctl.stream.key import Key, stream_key
from initctl.stream.orthonormal import orthonormal
from initctl.stream.philox import LANES, block_words, words_at

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray

    from initctl.stream.torch_generator import TorchGenerator

    Floats = NDArray[np.float32]

_RANKED_AT_ONCE = 1 << 18
"""Words that are ranked at a time."""


@dataclass(frozen=True, slots=True)
class Draws:
    """Random numbers for the elements of one tensor.

    Most methods take a range of element indices, `start` ≤ i < `stop` in row-major order, and return one number for
    each. The number at an index does not depend on the range. `stream` selects independent numbers for initializers
    that need more than one at an index.

    `orthonormal` turns a stack of normal matrices [batch, rows, columns] into matrices with orthonormal rows or
    columns, whichever are fewer. `generator` is torch's generator, if the user chose it. `added` draws nothing: it is
    here since each engine adds differently.

    `formulas` are `elementary`, or its functions rebuilt for the numbers of an engine.
    """

    key: Key
    orthonormal: Callable[[Floats], Floats] = field(default=orthonormal, kw_only=True)
    generator: TorchGenerator | None = field(default=None, kw_only=True)

    formulas: ClassVar[ModuleType] = elementary

    @classmethod
    def of(cls, seed: int, name: str) -> Draws:
        """The draws of the tensor `name` under `seed`."""
        return cls(stream_key(seed, name))

    def words(self, start: int, stop: int, *, stream: int = 0) -> NDArray[np.uint32]:
        """32 random bits for each element."""
        first, last = start // LANES, -(-stop // LANES)
        skipped = start - first * LANES
        return block_words(self.key, first, last, stream)[skipped : skipped + stop - start]

    def uniform01(self, start: int, stop: int, *, stream: int = 0) -> Floats:
        """Uniform on [0, 1), in steps of 2^-24."""
        values: Floats = self.formulas.uniform01(self.words(start, stop, stream=stream))
        return values

    def fraction01(self, start: int, stop: int, *, stream: int = 0) -> NDArray[np.float64]:
        """Uniform on (0, 1), in float64: the middles of 2^32 equal steps."""
        values: NDArray[np.float64] = self.formulas.fraction01(self.words(start, stop, stream=stream))
        return values

    def normal01(self, start: int, stop: int, *, stream: int = 0) -> Floats:
        """Standard normal, by Box and Muller's transform of neighboring words; |z| < 6.77."""
        first = start - start % 2
        values: Floats = self.formulas.normal01(self.words(first, stop + stop % 2, stream=stream))
        return values[start - first : stop - first]

    def normal01_between(
        self, start: int, stop: int, *, low: float, high: float, above: bool, stream: int = 0
    ) -> Floats:
        """Standard normal on an interval, by inversion.

        `low` and `high` are the values of the distribution function at the interval's ends, as float32 numbers. For an
        interval `above` the mean they belong to its mirror image below, and draws are negated: float32 has too few
        numbers near 1 to distinguish probabilities there, but enough near 0.
        """
        words = self.words(start, stop, stream=stream)
        z: Floats = self.formulas.normal_quantile(*self.formulas.centred_and_tail(words, low, high, above))
        return -z if above else z

    def clipped(self, values: Floats, low: float, high: float) -> Floats:
        """`values`, at least `low` and at most `high`."""
        inside: Floats = self.formulas.clipped(values, low, high)
        return inside

    def kth_smallest(self, rows: int, columns: int, k: int, *, stream: int = 0) -> NDArray[np.uint64]:
        """For each column of a matrix, the k-th smallest of its elements' numbers `word · 2^32 + row`, 1 ≤ k ≤ rows.

        No two numbers are equal, so exactly `k` elements of a column have a number that is not larger.
        """
        row = np.arange(rows, dtype=np.uint64)[:, np.newaxis]
        found = np.empty(columns, np.uint64)
        step = max(1, _RANKED_AT_ONCE // rows)
        for first in range(0, columns, step):
            column = np.arange(first, min(first + step, columns), dtype=np.uint64)
            words = words_at(self.key, row * np.uint64(columns) + column, stream).astype(np.uint64)
            found[first : first + step] = np.partition((words << np.uint64(32)) | row, k - 1, axis=0)[k - 1]
        return found

    def not_larger(self, start: int, stop: int, cutoffs: NDArray[np.uint64], *, stream: int = 0) -> NDArray[np.bool_]:
        """Whether an element's number, as for `kth_smallest`, is not larger than that of its column in `cutoffs`."""
        row, column = np.divmod(np.arange(start, stop, dtype=np.uint64), np.uint64(cutoffs.size))
        words = self.words(start, stop, stream=stream).astype(np.uint64)
        return np.asarray((words << np.uint64(32)) | row <= cutoffs[column])

    def added(self, total: float, numbers: NDArray[Any], *, around: float | None = None) -> float:
        """`total` plus `numbers`, or plus their squared distances from `around`, added in float64 one after another.

        Infinite or NaN if one of the numbers is.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            terms = numbers.astype(np.float64)
            if around is not None:
                terms = (terms - around) ** 2
            return float(np.add.accumulate(np.concatenate(([total], terms)))[-1])
