"""The order of a tile's elements in its file: it may differ from the tensor's, or have gaps."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from initctl.tensors import Block, Shape

_BRIDGED = 4 << 10
"""The largest gap in bytes that is read too, since this costs less than a separate call for each element."""
_NEAR = 1 << 20
"""Runs that begin in the same window of this many bytes are read at once, with the gaps between them."""
_WHOLE_NUMBERS = (1, 2, 4, 8)
"""The sizes in bytes of NumPy's integers."""


class NearRuns(NamedTuple):
    """Runs `first` to `last` (exclusive) of an order: bytes `start` to `stop` of the file, including gaps."""

    order: TileOrder
    first: int
    last: int
    start: int
    stop: int

    @property
    def has_gaps(self) -> bool:
        """Whether there may be gaps between its runs."""
        return self.last - self.first > 1

    def of(self, content: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Its part of `content`, the bytes of all runs of the order."""
        return content[self.first * self.order.length : self.last * self.order.length]

    def put(self, content: NDArray[np.uint8], there: NDArray[np.uint8]) -> None:
        """Copy its part of `content` into `there`, the file's bytes from `start` to `stop`."""
        places = self._places
        there.view(self.order.element)[places] = self.of(content).view(self.order.element).reshape(places.shape)

    def picked(self, there: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The bytes of its runs, from `there`, the file's bytes from `start` to `stop`."""
        return there.view(self.order.element)[self._places].reshape(-1).view(np.uint8) if self.has_gaps else there

    @property
    def _places(self) -> NDArray[np.int64]:
        """The position of each element of each run, in elements from `start`."""
        width = self.order.width
        begins = (self.order.offsets[self.first : self.last] - self.start) // width
        return begins[:, np.newaxis] + np.arange(self.order.length // width)


class TileOrder(NamedTuple):
    """The runs of a tile's elements in its file: each has `length` bytes, and they begin at `offsets`, in order."""

    shape: Shape
    dims: list[int]
    offsets: NDArray[np.int64]
    length: int
    width: int

    @classmethod
    def of(cls, tile: Block, width: int) -> Self:
        dims = [dim for dim, size in enumerate(tile.shape) if size > 1]
        dims.sort(key=lambda dim: -tile.strides[dim])
        sizes, strides = ([of[dim] for dim in dims] for of in (tile.shape, tile.strides))
        count = 1
        while sizes and strides[-1] == count:
            count *= sizes.pop()
            strides.pop()
        steps = (np.arange(size) * (stride * width) for size, stride in zip(sizes, strides, strict=True))
        starts = reduce(np.add.outer, steps, np.array(tile.offset))
        return cls(tile.shape, dims, starts.reshape(-1), count * width, width)

    @property
    def element(self) -> np.dtype[np.generic]:
        """A NumPy type of an element's width, to move elements unchanged. An integer is faster than bytes."""
        return np.dtype(f"u{self.width}") if self.width in _WHOLE_NUMBERS else np.dtype((np.void, self.width))

    @property
    def near_runs(self) -> Iterator[NearRuns]:
        """The runs in order; runs that are close together are joined."""
        far = np.diff(self.offsets) > self.length + _BRIDGED
        beyond = np.diff(self.offsets // _NEAR) > 0
        edges = [0, *(np.flatnonzero(far | beyond) + 1).tolist(), len(self.offsets)]
        begins = self.offsets.tolist()
        for first, last in pairwise(edges):
            yield NearRuns(self, first, last, begins[first], begins[last - 1] + self.length)

    def as_in_file(self, values: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The elements of a tile, given in row-major order, in the file's order."""
        elements = values.view(self.element).reshape([size for size in self.shape if size > 1])
        return np.ascontiguousarray(elements.transpose(self._axes)).view(np.uint8).reshape(-1)

    def as_in_tensor(self, content: NDArray[np.uint8], shape: Shape) -> NDArray[np.uint8]:
        """The elements, given in the file's order, in row-major order; broadcast if `shape` is larger than the tile."""
        elements = content.view(self.element).reshape([self.shape[dim] for dim in self.dims])
        restored = elements.transpose(np.argsort(self._axes)).reshape(self.shape)
        return np.ascontiguousarray(np.broadcast_to(restored, shape)).view(np.uint8).reshape(-1)

    @property
    def _axes(self) -> list[int]:
        """The dimensions with more than one element, in the file's order, renumbered without the others."""
        kept = sorted(self.dims)
        return [kept.index(dim) for dim in self.dims]
