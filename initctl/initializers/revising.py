"""Initializers that start from what is there: old values scaled, disturbed, partly replaced, copied, averaged, moved.

They read the checkpoint that is being written. Numbers are float32, or float64 where the tensor holds doubles; what is
only kept or moved stays as it is, to the bit. Sums are taken in float64 one number after another, so that they are the
same on every machine. What was infinite or NaN may lead to such values in its own place; nothing else may.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod, sqrt
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from initctl.initializers.initializer import Resolved, Unfit
from initctl.stream import Old, Overflow, Revised, RevisingLaw, Source
from initctl.stream.laws import LARGEST_NORMAL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from initctl.stream import Draws
    from initctl.tensors import TensorSpec

_READ_AT_ONCE = 1 << 18
"""Numbers of old values that are summed at a time."""
_CHOICE = 2
"""The stream whose uniform numbers tell which elements `reinit` fills anew."""
_ORDER = 1
"""The stream whose words give rows their new order."""
FILE_MARK = "#"
"""Stands between a checkpoint and a tensor's name in it."""


@dataclass(frozen=True, slots=True)
class Scaled(RevisingLaw):
    """`scale · old + noise · N(0, 1)`; where `relative`, the noise is in units of the tensor's standard deviation."""

    scale: float
    noise: float = 0.0
    relative: bool = False

    @property
    def largest(self) -> float:
        return 0.0 if self.relative else LARGEST_NORMAL * self.noise

    def prepared(self, _: Draws, old: Old) -> Revised:
        noise = self.noise * (_moments(old)[1] if self.relative and self.noise else 1)
        _check_finite(noise, old)

        def values(draws: Draws, start: int, stop: int) -> NDArray[Any]:
            before = old.values(start, stop)
            number = before.dtype.type
            with np.errstate(over="ignore", invalid="ignore", under="ignore"):
                after = before * number(self.scale)
                after = after + number(noise) * draws.normal01(start, stop) if noise else after
            return _finite(after, where=np.isfinite(before))

        return Revised(values)


@dataclass(frozen=True, slots=True)
class Replaced(RevisingLaw):
    """`mean + std · N(0, 1)` with probability `p`, for each element by itself, else what is there."""

    p: float
    mean: float
    std: float

    @property
    def largest(self) -> float:
        return abs(self.mean) + LARGEST_NORMAL * self.std

    def prepared(self, _: Draws, old: Old) -> Revised:
        def values(draws: Draws, start: int, stop: int) -> NDArray[Any]:
            found = old.stored(start, stop).copy()
            fresh = np.float32(self.mean) + np.float32(self.std) * draws.normal01(start, stop)
            chosen = draws.uniform01(start, stop, stream=_CHOICE) < np.float32(self.p)
            found[chosen] = fresh[chosen].astype(found.dtype)
            return found

        return Revised(values)


@dataclass(frozen=True, slots=True)
class Copied(RevisingLaw):
    """What another tensor holds at the same index, or, where a `row` is given, that row of it in every row.

    An element has `parts` values: 2 where it is complex.
    """

    source: Source
    row: int | None = None
    parts: int = 1

    @property
    def sources(self) -> tuple[Source, ...]:  # type: ignore[override]  # told for each
        return (self.source,)

    def prepared(self, _: Draws, old: Old) -> Revised:
        source, row = old.other(self.source), self.row
        is_same = source.stored(0, 0).dtype == old.stored(0, 0).dtype
        held = source.stored if is_same else source.values
        if row is None:
            return Revised(lambda _, start, stop: held(start, stop))
        width = self.parts * prod(source.shape[1:])
        return Revised(_repeated(held(row * width, (row + 1) * width)))


@dataclass(frozen=True, slots=True)
class MeanOfRows(RevisingLaw):
    """The mean of rows `start` ≤ i < `stop` of what is there, in every row, and `noise · N(0, 1)`."""

    start: int
    stop: int
    noise: float

    @property
    def largest(self) -> float:
        return LARGEST_NORMAL * self.noise

    def prepared(self, _: Draws, old: Old) -> Revised:
        width = prod(old.shape[1:])
        total = np.zeros(width)
        step = max(1, _READ_AT_ONCE // max(width, 1))
        number = old.values(0, 0).dtype.type
        with np.errstate(over="ignore", invalid="ignore"):
            for first in range(self.start, self.stop, step):
                last = min(first + step, self.stop)
                for row in old.values(first * width, last * width).reshape(-1, width):
                    total += row
            averaged = (total / (self.stop - self.start)).astype(number)
        _check_finite(averaged, old, self.start * width, self.stop * width)
        mean = _repeated(averaged)

        def values(draws: Draws, start: int, stop: int) -> NDArray[Any]:
            found = mean(draws, start, stop)
            return found + number(self.noise) * draws.normal01(start, stop) if self.noise else found

        return Revised(values)


@dataclass(frozen=True, slots=True)
class Matched(RevisingLaw):
    """Normal values with the mean and the standard deviation of what is there."""

    def prepared(self, _: Draws, old: Old) -> Revised:
        with np.errstate(over="ignore"):
            mean, std = map(np.float32, _moments(old))
        _check_finite(np.array([mean, std]), old)

        def values(draws: Draws, start: int, stop: int) -> NDArray[Any]:
            with np.errstate(over="ignore", invalid="ignore"):
                return _finite(mean + std * draws.normal01(start, stop))

        return Revised(values)


@dataclass(frozen=True, slots=True)
class Shuffled(RevisingLaw):
    """The tensor's rows in another order: that of the words of a stream of their own; of equal ones the first first."""

    whole: ClassVar[bool] = True

    parts: int = 1

    def prepared(self, draws: Draws, old: Old) -> Revised:
        rows, width = old.shape[0], self.parts * prod(old.shape[1:])
        order = np.argsort(draws.words(0, rows, stream=_ORDER), kind="stable")

        def values(_: Draws, start: int, stop: int) -> NDArray[Any]:
            first, last = start // width, -(-stop // width)
            moved = [old.stored(row * width, (row + 1) * width) for row in order[first:last].tolist()]
            return np.concatenate(moved)[start - first * width : stop - first * width]

        return Revised(values)


def scale(tensor: TensorSpec, *, by: float) -> Resolved:
    _check_real(tensor)
    return Resolved(Scaled(by))


def perturb(tensor: TensorSpec, *, scale: float, std: float, rel: str) -> Resolved:
    """Ash and Adams 2020, shrink and perturb."""
    _check_real(tensor)
    return Resolved(Scaled(scale, std, relative=rel == "true"))


def reinit(tensor: TensorSpec, *, p: float, mean: float, std: float) -> Resolved:
    _check_real(tensor)
    return Resolved(Replaced(p, mean, std))


def copy(tensor: TensorSpec, *, row: int | None, **given: str) -> Resolved:
    """`from` is another tensor's name, or `CHECKPOINT#NAME`; a word of Python's, which no parameter can be called."""
    file, mark, name = given["from"].rpartition(FILE_MARK)
    if row is not None and not tensor.shape:
        raise Unfit("it has no rows: it has no dims", needs="ndim >= 1")
    return Resolved(Copied(Source(name, file if mark else None), row))


def mean_rows(tensor: TensorSpec, *, of: str, std: float) -> Resolved:
    _check_real(tensor)
    if not tensor.shape:
        raise Unfit("it has no rows: it has no dims", needs="ndim >= 1")
    first, _, last = of.partition(":")
    count = tensor.shape[0]
    start, stop = (int(bound) if bound else end for bound, end in ((first, 0), (last, count)))
    start, stop = (bound + count if bound < 0 else bound for bound in (start, stop))
    if not 0 <= start < stop <= count:
        raise Unfit(f"of={of}: it has {count} rows")
    return Resolved(MeanOfRows(start, stop, std))


def match_stats(tensor: TensorSpec) -> Resolved:
    _check_real(tensor)
    return Resolved(Matched())


def permute_rows(tensor: TensorSpec) -> Resolved:
    if not tensor.shape:
        raise Unfit("it has no rows: it has no dims", needs="ndim >= 1")
    return Resolved(Shuffled())


def _check_real(tensor: TensorSpec) -> None:
    if tensor.dtype.kind != "float":
        raise Unfit(f"it holds {tensor.dtype.name}, and this is arithmetic on real floating-point numbers")


def _repeated(row: NDArray[Any]) -> Callable[[Draws, int, int], NDArray[Any]]:
    """`row` in every row of a tensor."""

    def values(_: Draws, start: int, stop: int) -> NDArray[Any]:
        return row[np.arange(start, stop) % row.size]

    return values


def _finite(values: NDArray[Any], where: NDArray[np.bool_] | None = None) -> NDArray[Any]:
    """`values`. Raises `Overflow` where one is not finite, or one of those `where` old ones are."""
    if not (np.isfinite(values) if where is None else np.isfinite(values) | ~where).all():
        raise Overflow(_OVERFLOW)
    return values


_OVERFLOW = "it would make infinite values or NaN out of finite old values"


def _check_finite(result: NDArray[Any] | float, old: Old, start: int = 0, stop: int | None = None) -> None:
    """Raise `Overflow` if `result`, which all old values from `start` to `stop` led to, is not finite: it names the
    first of them that is not, if one is not.
    """
    if np.isfinite(result).all():
        return
    end = prod(old.shape) if stop is None else stop
    for first in range(start, end, _READ_AT_ONCE):
        values = old.values(first, min(first + _READ_AT_ONCE, end))
        if (found := np.flatnonzero(~np.isfinite(values))).size:
            kind = "NaN" if np.isnan(values[found[0]]) else "infinity"
            place = [int(index) for index in np.unravel_index(first + int(found[0]), old.shape)]
            raise Overflow(f"the old values hold {kind}, first at {place}")
    raise Overflow(_OVERFLOW)


def _moments(old: Old) -> tuple[float, float]:
    """Mean and standard deviation of what is there."""
    count = prod(old.shape)
    mean = _sum(old, lambda values: values) / count
    return mean, sqrt(_sum(old, lambda values: (values - mean) ** 2) / count)


def _sum(old: Old, of: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> float:
    """A sum over all elements, added up one after another."""
    total = 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        for values in _in_parts(old):
            total = float(np.add.accumulate(np.concatenate(([total], of(values))))[-1])
    return total


def _in_parts(old: Old) -> Iterator[NDArray[np.float64]]:
    count = prod(old.shape)
    for start in range(0, count, _READ_AT_ONCE):
        yield old.values(start, min(start + _READ_AT_ONCE, count)).astype(np.float64)
