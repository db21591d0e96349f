"""A file's content as pieces that can be written in any order: kept ranges, and elements of tensors to fill."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import local
from typing import TYPE_CHECKING, Protocol

from initctl.commit import copy_range, start_writeback, write_all
from initctl.errors import FitError, Problem, shown
from initctl.stream.engines import Unusable
from initctl.stream.key import stream_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from initctl.execution.ranges import Range
    from initctl.planning import Action
    from initctl.stream import Draws, Fill
    from initctl.stream.engines import Engine

COPIED_AT_ONCE = 16 << 20
"""Bytes of a kept range that make one piece."""
FILLED_AT_ONCE = 2 << 20
"""Bytes that are computed and written at once: few enough for a thread's buffer to stay in the processor's cache."""
_WRITTEN_BACK = 1 << 20
"""Bytes from which on a piece is sent to the disk as soon as it is written."""


class Piece(Protocol):
    """Some bytes of the output, which depend on no other piece."""

    @property
    def offset(self) -> int:
        """Where they begin in the file."""

    @property
    def nbytes(self) -> int: ...

    def write(self, source: int, destination: int) -> None:
        """Put the bytes into descriptor `destination`; `source` reads the input."""


@dataclass(frozen=True, slots=True)
class KeptPiece:
    """The input's bytes from `start` to `stop`."""

    start: int
    stop: int

    @property
    def offset(self) -> int:
        return self.start

    @property
    def nbytes(self) -> int:
        return self.stop - self.start

    def write(self, source: int, destination: int) -> None:
        copy_range(source, destination, self.start, self.stop)
        if self.nbytes >= _WRITTEN_BACK:
            start_writeback(destination, self.start, self.stop)


@dataclass(frozen=True, slots=True)
class Span:
    """The numbers from `start` to `stop` of the tensor that `action` fills, by `fill`: `nbytes` from `offset`."""

    action: Action
    fill: Fill
    start: int
    stop: int
    offset: int
    nbytes: int


@dataclass(slots=True)
class Filler:
    """Computes spans under a seed, each by the engine of its device, in a buffer that each thread has of its own."""

    seed: int
    engines: Mapping[str, Engine]
    _thread: local = field(default_factory=local)

    def fill(self, spans: Sequence[Span], nbytes: int) -> memoryview:
        """The bytes of `spans`, which are computed on one device. They stand until the thread's next call."""
        engine = self.engines[spans[0].action.device]
        buffer = self._buffer(engine, nbytes)
        reached = 0
        for span in spans:
            self._compute(engine, span, buffer[reached : reached + span.nbytes])
            reached += span.nbytes
        return buffer[:nbytes].data

    def draws(self, action: Action) -> Draws:
        """The random numbers of the tensor that `action` fills."""
        return self.engines[action.device].draws(stream_key(self.seed, action.tensor.name))

    def _compute(self, engine: Engine, span: Span, out: NDArray[np.uint8]) -> None:
        tensor = span.action.tensor
        key = stream_key(self.seed, tensor.name)
        try:
            engine.fill(span.fill, key, span.start, span.stop, tensor.dtype, out)
        except Unusable as fact:
            place = f"tensor {shown(tensor.name)}: {span.action.initializer}"
            hint = "mend the package that adds it"
            raise FitError(Problem("initializer.values", f"{place}: {fact}", hint)) from None

    def _buffer(self, engine: Engine, nbytes: int) -> NDArray[np.uint8]:
        buffers = self._thread.__dict__.setdefault("buffers", {})
        if engine not in buffers or len(buffers[engine]) < nbytes:
            buffers[engine] = engine.buffer(max(nbytes, FILLED_AT_ONCE))
        found: NDArray[np.uint8] = buffers[engine]
        return found


@dataclass(frozen=True, slots=True)
class FilledPiece:
    """Adjacent spans of one or more tensors."""

    spans: tuple[Span, ...]
    filler: Filler

    @property
    def offset(self) -> int:
        return self.spans[0].offset

    @property
    def nbytes(self) -> int:
        return sum(span.nbytes for span in self.spans)

    def write(self, source: int, destination: int) -> None:  # noqa: ARG002 - what was there does not matter
        offset, nbytes = self.offset, self.nbytes
        write_all(destination, self.filler.fill(self.spans, nbytes), offset)
        if nbytes >= _WRITTEN_BACK:
            start_writeback(destination, offset, offset + nbytes)


def kept_pieces(ranges: Iterable[Range]) -> Iterator[KeptPiece]:
    """Pieces that copy `ranges`."""
    for start, stop in ranges:
        for first in range(start, stop, COPIED_AT_ONCE):
            yield KeptPiece(first, min(first + COPIED_AT_ONCE, stop))


def filled_pieces(fills: Iterable[tuple[Action, Fill]], filler: Filler) -> Iterator[FilledPiece]:
    """Pieces that fill the tensors of actions, in order of offset: small neighbours together, large ones cut."""
    spans: list[Span] = []
    for span in _spans(fills):
        if spans and not _goes_with(spans, span):
            yield FilledPiece(tuple(spans), filler)
            spans = []
        spans.append(span)
    if spans:
        yield FilledPiece(tuple(spans), filler)


def _goes_with(spans: Sequence[Span], span: Span) -> bool:
    end = spans[-1].offset + spans[-1].nbytes
    fits = end + span.nbytes - spans[0].offset <= FILLED_AT_ONCE
    return span.offset == end and fits and span.action.device == spans[0].action.device


def _spans(fills: Iterable[tuple[Action, Fill]]) -> Iterator[Span]:
    for action, fill in sorted(fills, key=lambda entry: entry[0].tensor.offset):
        tensor, width = action.tensor, action.tensor.dtype.width
        for start in range(0, tensor.numbers, FILLED_AT_ONCE // width):
            stop = min(start + FILLED_AT_ONCE // width, tensor.numbers)
            yield Span(action, fill, start, stop, tensor.offset + start * width, (stop - start) * width)
