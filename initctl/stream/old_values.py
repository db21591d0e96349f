"""Laws that compute new values from old ones: scaled, with noise, partly redrawn, moved, or repeated.

Values that are only kept or moved keep their bits. Arithmetic is in float32, or in float64 on a tensor of doubles.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from initctl.stream.protocols import FromOld, Law, Old, Overflow

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from initctl.stream.draws import Draws

OVERFLOW = "would turn finite old values into NaN or infinity"


@dataclass(frozen=True, slots=True)
class Affine(FromOld):
    """`scale · old + noise · N(0, 1)`, each product and the sum rounded."""

    old: Old
    scale: float
    noise: float

    def values(self, draws: Draws, start: int, stop: int) -> NDArray[Any]:
        import numpy as np

        before = self.old.values(start, stop)
        number = before.dtype.type
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            after = before * number(self.scale)
            if self.noise:
                after = after + number(self.noise) * draws.normal01(start, stop)
        return _finite(after, where=np.isfinite(before))


@dataclass(frozen=True, slots=True)
class Mixture(FromOld):
    """`mean + std · N(0, 1)` with probability `p`, independently for each element, else the old number."""

    old: Old
    p: float
    mean: float
    std: float

    stream: ClassVar[int] = 2
    """Its uniform numbers are compared with `p`."""

    def values(self, draws: Draws, start: int, stop: int) -> NDArray[Any]:
        import numpy as np

        found = self.old.stored(start, stop).copy()
        fresh = np.float32(self.mean) + np.float32(self.std) * draws.normal01(start, stop)
        chosen = draws.uniform01(start, stop, stream=self.stream) < np.float32(self.p)
        found[chosen] = fresh[chosen].astype(found.dtype)
        return found


@dataclass(frozen=True, slots=True)
class Same(FromOld):
    """The values that `read(start, stop)` returns."""

    read: Callable[[int, int], NDArray[Any]]

    def values(self, _: Draws, start: int, stop: int) -> NDArray[Any]:
        return self.read(start, stop)


@dataclass(frozen=True, slots=True)
class EveryRow(FromOld):
    """`row + noise · N(0, 1)` in every row of the tensor."""

    row: NDArray[Any]
    noise: float = 0.0

    def values(self, draws: Draws, start: int, stop: int) -> NDArray[Any]:
        import numpy as np

        first = start % self.row.size
        rows = -(-(first + stop - start) // self.row.size)
        found = np.tile(self.row, rows)[first : first + stop - start]
        return found + found.dtype.type(self.noise) * draws.normal01(start, stop) if self.noise else found


@dataclass(frozen=True, slots=True)
class RowsInOrder(FromOld):
    """Old rows of `width` numbers each. Row i gets the old row `order[i]`."""

    old: Old
    order: NDArray[np.intp]
    width: int

    def values(self, _: Draws, start: int, stop: int) -> NDArray[Any]:
        first, last = start // self.width, -(-stop // self.width)
        skipped = start - first * self.width
        return self.old.rows(self.order[first:last].tolist(), self.width)[skipped : skipped + stop - start]


@dataclass(frozen=True, slots=True)
class Checked(FromOld):
    """The values of `law`. Raises `Overflow` if one is not finite."""

    law: Law

    def values(self, draws: Draws, start: int, stop: int) -> NDArray[Any]:
        import numpy as np

        with np.errstate(over="ignore", invalid="ignore"):
            return _finite(self.law.values(draws, start, stop))


def _finite(values: NDArray[Any], where: NDArray[np.bool_] | None = None) -> NDArray[Any]:
    """`values`. Raises `Overflow` if one is not finite; if `where` is given, only values where it is true count."""
    import numpy as np

    if not (np.isfinite(values) if where is None else np.isfinite(values) | ~where).all():
        raise Overflow(OVERFLOW)
    return values
