"""Rows and columns of weights that are equal, and rows of zeros. Lines with equal hashes are compared.

Memory does not grow with a tensor's bytes: a hash takes 8 bytes a row, and only the first `_MOST` rows are checked.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from functools import lru_cache, partial
from math import prod
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from initctl.grouping import grouped
from initctl.reading import TensorReader
from initctl.workers import Task, Workers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from initctl.formats import Checkpoint
    from initctl.tensors import TensorSpec

    Words = NDArray[np.uint64]

_PIECE = 4 << 20
"""Bytes that are read at once. A longer row is read as a whole."""
_TOGETHER = 64
"""Weights are compared together if at least this many of them fit into one read."""
_MOST = 1 << 22
"""The largest number of rows that are checked."""
_SAMPLED = 64
"""The number of rows by which columns are compared first, and the largest number of pairs that are compared fully."""
_LONGEST = 1 << 20
"""Longer rows, in bytes, are not checked."""
_FEWEST = 16
"""Shorter rows and columns are not checked: they may be equal by chance."""
_MATRIX = 2
"""Dimensions that a tensor with rows and columns has at least."""
_WORD = 8
"""Bytes of a word. Rows of every dtype are hashed as words."""


class Lines(NamedTuple):
    """Of one weight: its rows of zeros, a pair of other equal rows, and a pair of equal columns, or None."""

    zero: NDArray[np.intp]
    equal_rows: tuple[int, int] | None
    equal_columns: tuple[int, int] | None


_NOTHING = Lines(np.empty(0, np.intp), None, None)


def compared(checkpoint: Checkpoint, tensors: Sequence[TensorSpec], threads: int) -> dict[str, Lines]:
    """Equal and zero rows and columns of `tensors`, by name. Rows are the first dimension, columns the second; in a
    convolution, these are the outputs and the inputs.

    Raises what `TensorReader.read` raises.
    """
    found: dict[str, Lines] = {}
    with TensorReader(checkpoint) as reader, Workers(threads) as workers:
        workers.run(_tasks([tensor for tensor in tensors if _is_comparable(tensor)], reader, found))
    return found


def _tasks(tensors: Sequence[TensorSpec], reader: TensorReader, found: dict[str, Lines]) -> Iterator[Task]:
    """Small weights of one shape and dtype share tasks: a task for each would take longer than hashing a few rows."""
    small: list[tuple[Hashable, TensorSpec]] = []
    for tensor in tensors:
        if tensor.nbytes * _TOGETHER > _PIECE:
            yield from _Weight(tensor, reader, found).tasks()
        else:
            small.append(((tensor.shape, tensor.dtype.name), tensor))
    for alike in grouped(small).values():
        count = _PIECE // alike[0].nbytes
        for start in range(0, len(alike), count):
            batch = alike[start : start + count]
            yield Task(len(batch) * batch[0].nbytes, partial(_compare_alike, batch, reader, found))


def _compare_alike(tensors: Sequence[TensorSpec], reader: TensorReader, found: dict[str, Lines]) -> None:
    """Compare the lines of small weights of one shape and dtype. Only suspects are then compared one by one."""
    count, (rows, columns, *_) = len(tensors), tensors[0].shape
    content = np.empty((count, tensors[0].nbytes), np.uint8)
    for tensor, room in zip(tensors, content, strict=True):
        reader.read(tensor, 0, tensor.numel, room)
    words = _words(content.reshape(count * rows, -1))
    may_have = _are_zero(words, tensors[0].dtype.width).reshape(count, rows).any(1)
    may_have |= _have_equal(_hashes(words).reshape(count, rows))
    if rows >= _FEWEST:
        cells = content.reshape(count, rows, columns, -1)[:, :: -(-rows // _SAMPLED)].swapaxes(1, 2)
        may_have |= _have_equal(_hashes(_words(cells.reshape(count * columns, -1))).reshape(count, columns))
    for tensor, is_suspect in zip(tensors, may_have.tolist(), strict=True):
        found[tensor.name] = _NOTHING
        for task in _Weight(tensor, reader, found).tasks() if is_suspect else ():
            task.run()


def _is_comparable(tensor: TensorSpec) -> bool:
    """Whether it has several rows with enough numbers, and several columns. A depthwise convolution has one column."""
    if len(tensor.shape) < _MATRIX:
        return False
    rows, columns, *kernel = tensor.shape
    width = columns * prod(kernel)
    return rows > 1 and columns > 1 and width >= _FEWEST and width * tensor.dtype.bits // 8 <= _LONGEST


class _Weight:
    """One weight. Several tasks hash its rows, and the last one compares them."""

    def __init__(self, tensor: TensorSpec, reader: TensorReader, found: dict[str, Lines]) -> None:
        self.tensor, self.reader, self.found = tensor, reader, found
        self.width = prod(tensor.shape[1:])
        self.nbytes = self.width * tensor.dtype.bits // 8
        self.rows = min(tensor.shape[0], _MOST)
        self.hashes = np.empty(self.rows, np.uint64)
        self.is_zero = np.empty(self.rows, np.bool_)
        self.step = max(1, _PIECE // self.nbytes)
        self._left, self._lock = -(-self.rows // self.step), Lock()

    def tasks(self) -> Iterator[Task]:
        for start in range(0, self.rows, self.step):
            stop = min(start + self.step, self.rows)
            yield Task((stop - start) * self.nbytes, partial(self._hash, start, stop))

    def _hash(self, start: int, stop: int) -> None:
        words = _words(self._read(start, stop))
        self.hashes[start:stop] = _hashes(words)
        self.is_zero[start:stop] = _are_zero(words, self.tensor.dtype.width)
        with self._lock:
            self._left -= 1
            is_last = not self._left
        if is_last:
            zero = np.flatnonzero(self.is_zero)
            self.found[self.tensor.name] = Lines(zero, self._equal_rows(), self._equal_columns())

    def _read(self, start: int, stop: int) -> NDArray[np.uint8]:
        """The bytes of some rows, as rows of an array."""
        content = self.reader.read(self.tensor, start * self.width, stop * self.width)
        return content.reshape(stop - start, self.nbytes)

    def _equal_rows(self) -> tuple[int, int] | None:
        """Two rows that are equal and not zero; None if there are none."""
        pairs = _alike(self.hashes, np.flatnonzero(~self.is_zero))
        return next((pair for pair in pairs if self._is_equal_row(*pair)), None)

    def _is_equal_row(self, one: int, other: int) -> bool:
        return np.array_equal(self._read(one, one + 1), self._read(other, other + 1))

    def _equal_columns(self) -> tuple[int, int] | None:
        if self.rows < _FEWEST:
            return None
        rows, columns = range(0, self.rows, -(-self.rows // _SAMPLED)), self.tensor.shape[1]
        cells = self.reader.read_rows(self.tensor, rows, self.width).reshape(len(rows), columns, -1)
        pairs = _alike(_hashes(_words(cells.swapaxes(0, 1).reshape(columns, -1))), np.arange(columns))
        return next((pair for pair in pairs if self._are_equal_columns(*pair)), None)

    def _are_equal_columns(self, one: int, other: int) -> bool:
        for start in range(0, self.rows, self.step):
            stop = min(start + self.step, self.rows)
            content = self._read(start, stop).reshape(stop - start, self.tensor.shape[1], -1)
            if not np.array_equal(content[:, one], content[:, other]):
                return False
        return True


def _alike(hashes: Words, places: NDArray[np.intp]) -> Iterator[tuple[int, int]]:
    """Pairs of `places` whose hashes are equal. If there are many, only some."""
    order = places[np.argsort(hashes[places], kind="stable")]
    same = np.flatnonzero(hashes[order[1:]] == hashes[order[:-1]])
    return ((int(order[place]), int(order[place + 1])) for place in same[:_SAMPLED])


def _words(lines: NDArray[np.uint8]) -> Words:
    """Lines of bytes as words. The last word of a line is padded with zeros."""
    if lines.shape[1] % _WORD:
        lines = np.pad(lines, ((0, 0), (0, -lines.shape[1] % _WORD)))
    return np.ascontiguousarray(lines).view(np.uint64)


def _have_equal(hashes: Words) -> NDArray[np.bool_]:
    """Which lines of hashes contain equal ones."""
    in_order = np.sort(hashes, 1)
    found: NDArray[np.bool_] = (in_order[:, 1:] == in_order[:, :-1]).any(1)
    return found


def _hashes(words: Words) -> Words:
    """A hash of each line. Equal lines have equal hashes; other lines hardly ever."""
    found: Words = words @ _keys(words.shape[1])
    return found


@lru_cache(16)
def _keys(count: int) -> Words:
    """An odd number for each word of a line."""
    return np.random.default_rng(0).integers(0, 1 << 64, count, np.uint64) | np.uint64(1)


def _are_zero(words: Words, width: int) -> NDArray[np.bool_]:
    """Which lines have only zeros, of either sign. Their numbers have `width` bytes each."""
    sign = sum(1 << (8 * width * (number + 1) - 1) for number in range(_WORD // width))
    magnitude = np.uint64((1 << 64) - 1 - sign)
    found: NDArray[np.bool_] = (words[:, 0] & magnitude) == 0
    found[found] = ~(words[found] & magnitude).any(1)
    return found
