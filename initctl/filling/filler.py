"""The bytes of what actions fill, computed by engines: spans of elements that follow each other in the tensor."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from threading import local
from typing import TYPE_CHECKING, NamedTuple

from initctl.errors import FitError, Problem, shown
from initctl.filling.runs import runs
from initctl.stream import Overflow, RevisingLaw, WholeLaw
from initctl.stream.engines import Unusable
from initctl.stream.key import stream_key
from initctl.stream.torch_generator import NotDrawn, TorchGenerator
from initctl.tensors import row_major

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from initctl.planning import Action
    from initctl.stream import Draws, Law, Old
    from initctl.stream.engines import Engine
    from initctl.tensors import Block, TensorPart


PREPARED = (WholeLaw, RevisingLaw)
"""Fills that must be prepared before any element is computed."""


class Target(NamedTuple):
    """A block that `action` fills."""

    action: Action
    block: Block

    @property
    def width(self) -> int:
        """Bytes of an element."""
        return self.action.tensor.dtype.bits // 8

    @property
    def nbytes(self) -> int:
        return self.block.numel * self.width


@dataclass(frozen=True, slots=True)
class Span:
    """The numbers from `start` to `stop` of the tensor that `action` fills, by `fill`: `nbytes` from `offset`."""

    action: Action
    law: Law
    start: int
    stop: int
    offset: int
    nbytes: int


@dataclass(slots=True)
class Filler:
    """Computes spans under a seed, each by the engine of its device, in a buffer that each thread has of its own.

    `olds` are what tensors hold that are filled from that, by the parts that are filled.
    """

    seed: int
    engines: Mapping[str, Engine]
    olds: Mapping[TensorPart, Old] = field(default_factory=dict)
    generator: TorchGenerator = field(init=False)
    _thread: local = field(default_factory=local)

    def __post_init__(self) -> None:
        self.generator = TorchGenerator(self.seed)

    def parts(self, spans: Sequence[Span]) -> Iterator[tuple[int, memoryview]]:
        """Offset and bytes of one part after another of `spans`, which are of one device; it stands until the next."""
        engine = self.engines[spans[0].action.device]
        buffer = self._buffer(engine)
        for part in adjoining(cut(spans, buffer.size), buffer.size):
            reached = 0
            for span in part:
                self._compute(engine, span, buffer[reached : reached + span.nbytes])
                reached += span.nbytes
            yield part[0].offset, buffer[:reached].data

    def values(self, target: Target, law: Law) -> NDArray[np.uint8]:
        """The bytes of the elements of a target in row-major order, however they lie in a file."""
        in_memory = target.block._replace(offset=0, strides=row_major(target.block.shape))
        return self._gathered(spans(target._replace(block=in_memory), law), target.nbytes)

    def elements(self, action: Action, law: Law, start: int, stop: int) -> NDArray[np.uint8]:
        """The bytes of the elements from number `start` to `stop` of the tensor that `action` fills."""
        dtype = action.tensor.dtype
        nbytes = (stop - start) * dtype.bits // 8
        return self._gathered([Span(action, law, start * dtype.parts, stop * dtype.parts, 0, nbytes)], nbytes)

    def _gathered(self, spans: Iterable[Span], nbytes: int) -> NDArray[np.uint8]:
        import numpy as np

        values = np.empty(nbytes, np.uint8)
        for offset, data in self.parts(tuple(spans)):
            values[offset : offset + len(data)] = data
        return values

    def prepared(self, action: Action) -> Law:
        """What fills the tensor of `action` element by element, once all that its values share is known.

        Actions that draw from torch's own generator must be prepared in the order of the plan. Raises `FitError` where
        torch refuses.
        """
        draws = self.engines[action.device].draws(stream_key(self.seed, action.stream_name))
        try:
            return self._prepared(action, replace(draws, generator=self.generator))
        except NotDrawn as fact:
            place = f"{action.rule}: tensor {shown(action.tensor.name)}"
            raise FitError(Problem("rng.torch", f"{place}: torch refuses: {shown(fact)}")) from None
        except Overflow as fact:
            raise _overflow(action, fact) from None

    def _prepared(self, action: Action, draws: Draws) -> Law:
        match action.law:
            case WholeLaw() as whole:
                return whole.prepared(draws)
            case RevisingLaw() as revision:
                return revision.prepared(draws, self.olds[action.part])
            case law:
                return law

    def _compute(self, engine: Engine, span: Span, out: NDArray[np.uint8]) -> None:
        tensor = span.action.tensor
        key = stream_key(self.seed, span.action.stream_name)
        try:
            engine.fill(span.law, key, span.start, span.stop, tensor.dtype, out)
        except Unusable as fact:
            place = f"tensor {shown(tensor.name)}: {span.action.initializer}"
            hint = "mend the package that adds it"
            raise FitError(Problem("initializer.values", f"{place}: {fact}", hint)) from None
        except Overflow as fact:
            raise _overflow(span.action, fact) from None

    def _buffer(self, engine: Engine) -> NDArray[np.uint8]:
        buffers: dict[Engine, NDArray[np.uint8]] = self._thread.__dict__.setdefault("buffers", {})
        if engine not in buffers:
            buffers[engine] = engine.buffer()
        return buffers[engine]


def _overflow(action: Action, fact: Overflow) -> FitError:
    place = f"{action.rule}: tensor {shown(action.tensor.name)} {list(action.tensor.shape)}"
    return FitError(Problem("rule.overflow", f"{place}: {action.initializer}: {fact}"))


def spans(target: Target, law: Law) -> Iterator[Span]:
    """The spans of a row-major block."""
    tensor, width = target.action.tensor, target.width
    for run in runs(target.block, tensor.shape, width):
        first, last = run.start * tensor.dtype.parts, (run.start + run.numel) * tensor.dtype.parts
        yield Span(target.action, law, first, last, run.offset, run.numel * width)


def cut(spans: Iterable[Span], limit: int) -> Iterator[Span]:
    """`spans` in parts of at most `limit` bytes."""
    for span in spans:
        width = span.action.tensor.dtype.width
        step = limit // width
        for start in range(span.start, span.stop, step):
            stop = min(start + step, span.stop)
            offset = span.offset + (start - span.start) * width
            yield Span(span.action, span.law, start, stop, offset, (stop - start) * width)


def adjoining(spans: Iterable[Span], limit: int) -> Iterator[tuple[Span, ...]]:
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
