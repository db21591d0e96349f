"""Initializers that start from old values: scaled, disturbed, partly replaced, copied, averaged, moved.

They read the checkpoint that is being written. Sums are computed in float64, one number after another, so that they are
the same on every machine. An infinite or NaN result is an error unless the old value at its place was infinite or NaN.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, prod, sqrt
from typing import TYPE_CHECKING, Any, ClassVar

from initctl.initializers.initializer import Resolved, Unfit
from initctl.stream import Law, Normal, Old, Overflow, RevisingLaw, Source
from initctl.stream.laws import LARGEST_FLOAT32, LARGEST_NORMAL
from initctl.stream.old_values import OVERFLOW, Affine, Checked, EveryRow, Mixture, RowsInOrder, Same

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from initctl.stream.draws import Draws
    from initctl.tensors import TensorSpec

_READ_AT_ONCE = 1 << 18
"""Old values that are summed at a time."""
_ORDER = 1
"""The stream whose words determine the new order of rows."""
FILE_MARK = "#"
"""The separator between a checkpoint and a tensor's name in it."""


@dataclass(frozen=True, slots=True)
class Perturbed(RevisingLaw):
    """`scale · old + noise · N(0, 1)`; if `relative`, the noise is in units of the tensor's standard deviation."""

    in_place: ClassVar[bool] = True

    scale: float
    noise: float = 0.0
    relative: bool = False

    @property
    def needs_whole(self) -> bool:
        return self.relative and self.noise != 0

    @property
    def largest(self) -> float:
        return 0.0 if self.relative else LARGEST_NORMAL * self.noise

    def rows_read(self, filled: tuple[int, int], count: int) -> tuple[int, int]:
        return (0, count) if self.relative and self.noise else filled

    def prepared(self, draws: Draws, old: Old) -> Affine:
        noise = self.noise * (_moments(draws, old)[1] if self.relative and self.noise else 1)
        _check_finite(noise, old)
        return Affine(old, self.scale, noise)


@dataclass(frozen=True, slots=True)
class PartlyNormal(RevisingLaw):
    """`mean + std · N(0, 1)` with probability `p`, for each element independently, else the old value."""

    in_place: ClassVar[bool] = True

    p: float
    mean: float
    std: float

    @property
    def needs_whole(self) -> bool:
        return False

    @property
    def largest(self) -> float:
        return abs(self.mean) + LARGEST_NORMAL * self.std

    def rows_read(self, filled: tuple[int, int], _: int) -> tuple[int, int]:
        return filled

    def prepared(self, _: Draws, old: Old) -> Mixture:
        return Mixture(old, self.p, self.mean, self.std)


@dataclass(frozen=True, slots=True)
class CopiedTensor(RevisingLaw):
    """The values of another tensor at the same index, or, if a `row` is given, that row of it in every row.

    An element has `parts` values: 2 if it is complex.
    """

    source: Source
    row: int | None = None
    parts: int = 1

    @property
    def sources(self) -> tuple[Source, ...]:  # type: ignore[override]  # depends on the law's fields
        return (self.source,)

    @property
    def needs_whole(self) -> bool:
        return self.source.checkpoint is None

    def rows_read(self, *_: object) -> tuple[int, int]:
        return 0, 0

    def prepared(self, _: Draws, old: Old) -> Same | EveryRow:
        source, row = old.other(self.source), self.row
        is_same = source.stored(0, 0).dtype == old.stored(0, 0).dtype
        held = source.stored if is_same else source.values
        if row is None:
            return Same(held)
        width = self.parts * prod(source.shape[1:])
        return EveryRow(held(row * width, (row + 1) * width))


@dataclass(frozen=True, slots=True)
class MeanOfRows(RevisingLaw):
    """The mean of old rows `start` ≤ i < `stop`, in every row, plus `noise · N(0, 1)`."""

    in_place: ClassVar[bool] = True

    start: int
    stop: int
    noise: float

    @property
    def largest(self) -> float:
        return LARGEST_NORMAL * self.noise

    def rows_read(self, *_: object) -> tuple[int, int]:
        return self.start, self.stop

    def prepared(self, _: Draws, old: Old) -> EveryRow:
        import numpy as np

        width = prod(old.shape[1:])
        total = np.zeros(width)
        step = max(1, _READ_AT_ONCE // max(width, 1))
        with np.errstate(over="ignore", invalid="ignore"):
            for first in range(self.start, self.stop, step):
                last = min(first + step, self.stop)
                for row in old.values(first * width, last * width).reshape(-1, width):
                    total += row
            mean = (total / (self.stop - self.start)).astype(old.values(0, 0).dtype)
        _check_finite(mean, old, self.start * width, self.stop * width)
        return EveryRow(mean, self.noise)


@dataclass(frozen=True, slots=True)
class NormalLikeOld(RevisingLaw):
    """Normal values with the mean and the standard deviation of the old values, each rounded to float32."""

    in_place: ClassVar[bool] = True

    def prepared(self, draws: Draws, old: Old) -> Law:
        import ml_dtypes
        import numpy as np

        with np.errstate(over="ignore"):
            mean, std = map(np.float32, _moments(draws, old))
        _check_finite(np.array([mean, std]), old)
        law = Normal(float(mean), float(std))
        held = float(ml_dtypes.finfo(old.stored(0, 0).dtype).max)  # type: ignore[no-untyped-call]
        return law if law.largest <= min(held, LARGEST_FLOAT32) else Checked(law)


@dataclass(frozen=True, slots=True)
class PermutedRows(RevisingLaw):
    """The tensor's rows in random order: sorted by the words of a separate stream; equal words keep their order."""

    whole: ClassVar[bool] = True

    parts: int = 1

    def prepared(self, draws: Draws, old: Old) -> RowsInOrder:
        import numpy as np

        order = np.argsort(draws.words(0, old.shape[0], stream=_ORDER), kind="stable")
        return RowsInOrder(old, order, self.parts * prod(old.shape[1:]))


def scale(tensor: TensorSpec, *, by: float) -> Resolved:
    _check_real(tensor)
    return Resolved(Perturbed(by))


def perturb(tensor: TensorSpec, *, scale: float, std: float, rel: str) -> Resolved:
    _check_real(tensor)
    return Resolved(Perturbed(scale, std, relative=rel == "true"))


def reinit(tensor: TensorSpec, *, p: float, mean: float, std: float) -> Resolved:
    _check_real(tensor)
    return Resolved(PartlyNormal(p, mean, std))


def copy(tensor: TensorSpec, *, row: int | None, **given: str) -> Resolved:
    """`from` is another tensor's name, or `CHECKPOINT#NAME`. It is a keyword of Python, so it arrives in `given`."""
    file, mark, name = given["from"].rpartition(FILE_MARK)
    if row is not None and not tensor.shape:
        raise Unfit("it has no dimensions, so it has no rows", needs="ndim >= 1")
    return Resolved(CopiedTensor(Source(name, file if mark else None), row))


def mean_rows(tensor: TensorSpec, *, of: str, std: float) -> Resolved:
    _check_real(tensor)
    if not tensor.shape:
        raise Unfit("it has no dimensions, so it has no rows", needs="ndim >= 1")
    first, _, last = of.partition(":")
    count = tensor.shape[0]
    start, stop = (int(bound) if bound else end for bound, end in ((first, 0), (last, count)))
    start, stop = (bound + count if bound < 0 else bound for bound in (start, stop))
    if not 0 <= start < stop <= count:
        raise Unfit(f"of={of} is not a range of its {count} rows")
    return Resolved(MeanOfRows(start, stop, std))


def match_stats(tensor: TensorSpec) -> Resolved:
    _check_real(tensor)
    return Resolved(NormalLikeOld())


def permute_rows(tensor: TensorSpec) -> Resolved:
    if not tensor.shape:
        raise Unfit("it has no dimensions, so it has no rows", needs="ndim >= 1")
    return Resolved(PermutedRows())


def _check_real(tensor: TensorSpec) -> None:
    if tensor.dtype.kind != "float":
        raise Unfit(f"its dtype is {tensor.dtype.name}, but this initializer needs real floating-point numbers")


def _check_finite(result: NDArray[Any] | float, old: Old, start: int = 0, stop: int | None = None) -> None:
    """Raise `Overflow` if `result`, from old values `start` to `stop`, is not finite; name the first that is not."""
    import numpy as np

    if np.isfinite(result).all():
        return
    end = prod(old.shape) if stop is None else stop
    for first in range(start, end, _READ_AT_ONCE):
        values = old.values(first, min(first + _READ_AT_ONCE, end))
        if (found := np.flatnonzero(~np.isfinite(values))).size:
            kind = "NaN" if np.isnan(values[found[0]]) else "infinity"
            place = [int(index) for index in np.unravel_index(first + int(found[0]), old.shape)]
            raise Overflow(f"the old values contain {kind}, first at {place}")
    raise Overflow(OVERFLOW)


def _moments(draws: Draws, old: Old) -> tuple[float, float]:
    """Mean and standard deviation of the old values; not finite if an old value is not."""
    count = prod(old.shape)
    mean = _sum(draws, old) / count
    return mean, sqrt(_sum(draws, old, around=mean) / count) if isfinite(mean) else mean


def _sum(draws: Draws, old: Old, *, around: float | None = None) -> float:
    total, count = 0.0, prod(old.shape)
    for start in range(0, count, _READ_AT_ONCE):
        total = draws.added(total, old.stored(start, min(start + _READ_AT_ONCE, count)), around=around)
    return total
