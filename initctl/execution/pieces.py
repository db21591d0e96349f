"""A file's content as pieces that can be written in any order: kept ranges, and elements of tensors to fill."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from initctl.commit import copy_range, write_all
from initctl.errors import FitError, Problem, shown
from initctl.stream import Draws, encode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from initctl.planning import Action

COPIED_AT_ONCE = 16 << 20
"""Bytes of a kept range that make one piece."""
FILLED_AT_ONCE = 1 << 18
"""Numbers of a tensor that make one piece: few enough for temporaries to stay in the processor's cache."""


class Piece(Protocol):
    """Some bytes of the output, which depend on no other piece."""

    @property
    def nbytes(self) -> int: ...

    @property
    def is_whole_tensor(self) -> bool:
        """Whether it is computed at once, however large."""

    def write(self, source: int, destination: int) -> None:
        """Put the bytes into descriptor `destination`; `source` reads the input."""


@dataclass(frozen=True, slots=True)
class KeptPiece:
    """The input's bytes from `start` to `stop`."""

    start: int
    stop: int

    is_whole_tensor: ClassVar[bool] = False

    @property
    def nbytes(self) -> int:
        return self.stop - self.start

    def write(self, source: int, destination: int) -> None:
        copy_range(source, destination, self.start, self.stop)


@dataclass(frozen=True, slots=True)
class FilledPiece:
    """The numbers from `start` to `stop` of a tensor, under a seed."""

    action: Action
    seed: int
    start: int
    stop: int

    @property
    def nbytes(self) -> int:
        return (self.stop - self.start) * self._width

    @property
    def is_whole_tensor(self) -> bool:
        return self.action.fill.needs_whole

    @property
    def _width(self) -> int:
        """Bytes of one number."""
        tensor = self.action.tensor
        return tensor.nbytes // tensor.numbers

    def write(self, source: int, destination: int) -> None:  # noqa: ARG002 - what was there does not matter
        tensor = self.action.tensor
        values = self.action.fill.values(Draws.of(self.seed, tensor.name), self.start, self.stop)
        self._check(values)
        for first in range(0, len(values), FILLED_AT_ONCE):
            data = encode(values[first : first + FILLED_AT_ONCE], tensor.dtype)
            write_all(destination, data.data, tensor.offset + (self.start + first) * self._width)

    def _check(self, values: NDArray[Any]) -> None:
        """Refuse what an initializer from elsewhere may give: other than one finite number for each element."""
        if values.shape == (self.stop - self.start,) and np.isfinite(values).all():
            return
        place = f"tensor {shown(self.action.tensor.name)}: {self.action.initializer}"
        fault = f"gave other than {self.stop - self.start} finite numbers"
        raise FitError(Problem("initializer.values", f"{place}: {fault}", "mend the package that adds it"))


def pieces(size: int, actions: Sequence[Action], seed: int) -> Iterator[Piece]:
    """Pieces that together make a file of `size` bytes in which `actions` fill their tensors."""
    reached = 0
    for action in sorted(actions, key=lambda action: action.tensor.offset):
        if action.tensor.nbytes:
            yield from _kept(reached, action.tensor.offset)
            yield from _filled(action, seed)
            reached = action.tensor.offset + action.tensor.nbytes
    yield from _kept(reached, size)


def _kept(start: int, stop: int) -> Iterator[KeptPiece]:
    for first in range(start, stop, COPIED_AT_ONCE):
        yield KeptPiece(first, min(first + COPIED_AT_ONCE, stop))


def _filled(action: Action, seed: int) -> Iterator[FilledPiece]:
    numbers = action.tensor.numbers
    step = numbers if action.fill.needs_whole else FILLED_AT_ONCE
    for first in range(0, numbers, step):
        yield FilledPiece(action, seed, first, min(first + step, numbers))
