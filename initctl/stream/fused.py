"""Laws side by side in one tensor, as a fused weight has them."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from initctl.stream.draws import Draws
    from initctl.stream.protocols import Law


@dataclass(frozen=True, slots=True)
class Fused:
    """A law for each part of one dim: element i stands at `i // inner % ends[-1]` along it.

    `ends` are where the parts end along the dim, in ascending order, and `inner` is the number of elements from one
    place to the next. A part's law is asked for elements of the whole tensor: their random numbers are those that
    they have in any other law.
    """

    laws: tuple[Law, ...]
    ends: tuple[int, ...]
    inner: int

    @property
    def largest(self) -> float:
        return max(law.largest for law in self.laws)

    @property
    def shortest(self) -> int:
        """Elements that the smallest part has without a gap."""
        return self.inner * min(end - start for start, end in pairwise((0, *self.ends)))

    def runs(self, start: int, stop: int) -> Iterator[tuple[Law, int, int]]:
        """The elements from `start` to `stop` as runs of one law: which, from where, to where."""
        period = self.inner * self.ends[-1]
        while start < stop:
            within = start % period
            part = bisect_right(self.ends, within // self.inner)
            end = min(start - within + self.inner * self.ends[part], stop)
            yield self.laws[part], start, end
            start = end

    def values(self, draws: Draws, start: int, stop: int) -> NDArray[np.float32]:
        """Each law is asked once: runs may be as short as one element."""
        import numpy as np

        part = self._parts(start, stop)
        values = np.empty(stop - start, np.float32)
        for number, law in enumerate(self.laws):
            if (chosen := part == number).any():
                np.copyto(values, law.values(draws, start, stop), where=chosen)
        return values

    def _parts(self, start: int, stop: int) -> NDArray[np.uint16]:
        """The number of the part that each element from `start` to `stop` is in."""
        import numpy as np

        period, sizes = self.inner * self.ends[-1], np.diff(self.ends, prepend=0) * self.inner
        first, count = start % period, stop - start
        if period > count:
            place = (first + np.arange(count)) // self.inner % self.ends[-1]
            return np.searchsorted(self.ends, place, side="right").astype(np.uint16)
        pattern = np.repeat(np.arange(len(self.laws), dtype=np.uint16), sizes)
        return np.tile(pattern, -(-(first + count) // period))[first : first + count]
