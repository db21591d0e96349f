"""A file's content as pieces that can be written in any order: kept ranges, and elements of tensors to fill."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from threading import local
from typing import TYPE_CHECKING, Protocol

from initctl.commit import copy_range, start_writeback, write_all
from initctl.errors import FitError, Problem, shown
from initctl.execution.runs import runs
from initctl.stream.engines import Unusable
from initctl.stream.key import stream_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from initctl.execution.content import Target
    from initctl.execution.ranges import Range
    from initctl.planning import Action
    from initctl.stream import Draws, Fill
    from initctl.stream.engines import Engine

COPIED_AT_ONCE = 16 << 20
"""Bytes of a kept range that make one piece."""
FILLED_AT_ONCE = 4 << 20
"""Bytes of tensors that make one piece, computed and written in as many parts as its engine likes."""
_WRITTEN_BACK = 1 << 20
"""Bytes from which on a piece is sent to the disk as soon as it is written."""


class Piece(Protocol):
    """Some bytes of the output, which depend on no other piece."""

    @property
    def offset(self) -> int:
        """Where they begin in the file."""

    @property
    def nbytes(self) -> int: ...

    def write(self, destination: int) -> None:
        """Put the bytes into descriptor `destination`."""


@dataclass(frozen=True, slots=True)
class KeptPiece:
    """`nbytes` from `start` of the descriptor `source`."""

    source: int
    start: int
    nbytes: int
    offset: int

    def write(self, destination: int) -> None:
        copy_range(self.source, destination, self.start, self.start + self.nbytes, self.offset)
        if self.nbytes >= _WRITTEN_BACK:
            start_writeback(destination, self.offset, self.offset + self.nbytes)


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

    def parts(self, spans: Sequence[Span]) -> Iterator[tuple[int, memoryview]]:
        """Offset and bytes of one part after another of `spans`, which are of one device; it stands until the next."""
        engine = self.engines[spans[0].action.device]
        buffer = self._buffer(engine)
        for part in _adjoining(_cut(spans, buffer.size), buffer.size):
            reached = 0
            for span in part:
                self._compute(engine, span, buffer[reached : reached + span.nbytes])
                reached += span.nbytes
            yield part[0].offset, buffer[:reached].data

    def draws(self, action: Action) -> Draws:
        """The random numbers of the tensor that `action` fills."""
        return self.engines[action.device].draws(stream_key(self.seed, action.tensor.stream_name))

    def _compute(self, engine: Engine, span: Span, out: NDArray[np.uint8]) -> None:
        tensor = span.action.tensor
        key = stream_key(self.seed, tensor.stream_name)
        try:
            engine.fill(span.fill, key, span.start, span.stop, tensor.dtype, out)
        except Unusable as fact:
            place = f"tensor {shown(tensor.name)}: {span.action.initializer}"
            hint = "mend the package that adds it"
            raise FitError(Problem("initializer.values", f"{place}: {fact}", hint)) from None

    def _buffer(self, engine: Engine) -> NDArray[np.uint8]:
        buffers: dict[Engine, NDArray[np.uint8]] = self._thread.__dict__.setdefault("buffers", {})
        if engine not in buffers:
            buffers[engine] = engine.buffer()
        return buffers[engine]


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

    def write(self, destination: int) -> None:
        for offset, data in self.filler.parts(self.spans):
            write_all(destination, data, offset)
        if self.nbytes >= _WRITTEN_BACK:
            start_writeback(destination, self.offset, self.offset + self.nbytes)


def kept_pieces(source: int, ranges: Iterable[Range], shift: int = 0) -> Iterator[KeptPiece]:
    """Pieces that copy `ranges` of `source`, `shift` bytes further on."""
    for start, stop in ranges:
        for first in range(start, stop, COPIED_AT_ONCE):
            yield KeptPiece(source, first, min(COPIED_AT_ONCE, stop - first), first + shift)


def filled_pieces(fillings: Iterable[tuple[Target, Fill]], filler: Filler) -> Iterator[FilledPiece]:
    """Pieces that fill row-major blocks, in order of offset: small neighbours together, large ones cut."""
    ordered = sorted(fillings, key=lambda filling: filling[0].block.offset)
    content = chain.from_iterable(spans(target, fill) for target, fill in ordered)
    for adjoining in _adjoining(_cut(content, FILLED_AT_ONCE), FILLED_AT_ONCE):
        yield FilledPiece(adjoining, filler)


def spans(target: Target, fill: Fill) -> Iterator[Span]:
    """The spans of a row-major block."""
    tensor, width = target.action.tensor, target.width
    for run in runs(target.block, tensor.shape, width):
        first, last = run.start * tensor.dtype.parts, (run.start + run.numel) * tensor.dtype.parts
        yield Span(target.action, fill, first, last, run.offset, run.numel * width)


def _cut(spans: Iterable[Span], limit: int) -> Iterator[Span]:
    """`spans` in parts of at most `limit` bytes."""
    for span in spans:
        width = span.action.tensor.dtype.width
        step = limit // width
        for start in range(span.start, span.stop, step):
            stop = min(start + step, span.stop)
            offset = span.offset + (start - span.start) * width
            yield Span(span.action, span.fill, start, stop, offset, (stop - start) * width)


def _adjoining(spans: Iterable[Span], limit: int) -> Iterator[tuple[Span, ...]]:
    """`spans` in runs of at most `limit` bytes, each without a gap and of one device."""
    run: list[Span] = []
    for span in spans:
        if run and not (
            span.offset == run[-1].offset + run[-1].nbytes
            and span.offset + span.nbytes - run[0].offset <= limit
            and span.action.device == run[0].action.device
        ):
            yield tuple(run)
            run = []
        run.append(span)
    if run:
        yield tuple(run)
