"""Target blocks → runs of elements → bytes, by the engines of a plan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from threading import local
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np

from initctl.errors import FitError, Problem, shown
from initctl.filling.targets import ElementRun, TargetBlock, needs_preparing, packed, range_of
from initctl.layout.runs import runs
from initctl.stream import Law, Old, Overflow, RevisingLaw, WholeLaw
from initctl.stream.engines import Engine, LawRun, Unusable
from initctl.stream.key import stream_key
from initctl.stream.torch_generator import NotDrawn, TorchGenerator
from initctl.tensors import TensorPart, row_major

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from initctl.planning import Action

    Bytes = NDArray[np.uint8]

_Out = TypeVar("_Out")
"""An array of bytes, or another vector of bytes that the engine can write to."""


class Computer:
    """Computes runs under a seed, each by the engine of its device. Each thread has its own buffer.

    `olds` are the old values that laws read, by the part that is filled.
    """

    def __init__(self, seed: int, engines: Mapping[str, Engine], olds: Mapping[TensorPart, Old] | None = None) -> None:
        self.seed, self.engines, self.olds = seed, engines, olds or {}
        self.generator = TorchGenerator(seed)
        self._thread = local()
        self._revising: tuple[Action, Law] | None = None
        """The last law that was prepared from old values: a file that is written in windows asks for it again."""

    def prepared(self, action: Action) -> Law:
        """The law that fills the tensor of `action` element by element, once its shared values are computed.

        Actions that draw from torch's own generator must be prepared in the order of the plan. Raises `FitError` if
        torch raises an error.
        """
        law = action.law
        if not needs_preparing(type(law)):
            return cast("Law", law)
        draws = self.engines[action.device].draws(stream_key(self.seed, action.value_name))
        draws = replace(draws, generator=self.generator)
        try:
            if isinstance(law, WholeLaw):
                return law.prepared(draws)
            if self._revising is None or self._revising[0] is not action:
                self._revising = action, cast("RevisingLaw", law).prepared(draws, self.olds[action.part])
            return self._revising[1]
        except (NotDrawn, Overflow) as fact:
            raise _unfit(action, fact) from None

    def runs(self, targets: Iterable[TargetBlock]) -> Iterator[ElementRun]:
        """The runs of row-major blocks whose laws are ready, as far as they are in the windows of their targets."""
        for action, block, law, window in targets:
            dtype, key = action.tensor.dtype, stream_key(self.seed, action.value_name)
            width, parts = dtype.bits // 8, dtype.parts
            for start, numel, offset in runs(block, action.tensor.shape, width):
                numbers = LawRun(cast("Law", law), key, start * parts, (start + numel) * parts, dtype)
                run = ElementRun(numbers, action, offset, numel * width)
                if inside := run if window is None else run.within(window):
                    yield inside

    def parts(self, runs: Sequence[ElementRun]) -> Iterator[tuple[Sequence[ElementRun], Bytes]]:
        """Consecutive parts of `runs` with their bytes, which are valid until the next part. The runs have no gaps, and
        are of one device.
        """
        engine = self.engines[runs[0].action.device]
        buffer = self._buffer(engine)
        for part in packed(runs, buffer.size):
            start, stop = range_of(part)
            out = buffer[: stop - start]
            self._fill(engine, part, out)
            yield part, out

    def values(self, target: TargetBlock) -> Bytes:
        """The bytes of the elements of a block in row-major order, even if the file has them in another order."""
        return self.filled(self.runs_in_order(target), np.empty(target.nbytes, np.uint8))

    def runs_in_order(self, target: TargetBlock) -> Sequence[ElementRun]:
        """The runs of a block as if its elements were one after another in row-major order."""
        in_memory = target.block._replace(offset=0, strides=row_major(target.block.shape))
        return tuple(self.runs([target._replace(block=in_memory)]))

    def elements(self, action: Action, law: Law, start: int, stop: int) -> Bytes:
        """The bytes of the elements from number `start` to `stop` of the tensor that `action` fills by `law`."""
        dtype, key = action.tensor.dtype, stream_key(self.seed, action.value_name)
        nbytes = (stop - start) * dtype.bits // 8
        numbers = LawRun(law, key, start * dtype.parts, stop * dtype.parts, dtype)
        return self.filled([ElementRun(numbers, action, 0, nbytes)], np.empty(nbytes, np.uint8))

    def filled(self, runs: Sequence[ElementRun], out: _Out) -> _Out:
        """`out`, filled with the bytes of `runs` of one device, one after another. They fit exactly."""
        if runs:
            self._fill(self.engines[runs[0].action.device], runs, cast("Bytes", out))
        return out

    def _fill(self, engine: Engine, runs: Sequence[ElementRun], out: Bytes) -> None:
        """Write the runs into `out`, one after another."""
        try:
            engine.fill([run.numbers for run in runs], out)
        except (Unusable, Overflow) as fact:
            if len(runs) == 1:
                raise _unfit(runs[0].action, fact) from None
            for run in runs:  # find the one that failed
                self._fill(engine, [run], out[: run.nbytes])
            raise

    def _buffer(self, engine: Engine) -> Bytes:
        buffers: dict[Engine, Bytes] = self._thread.__dict__.setdefault("buffers", {})
        if engine not in buffers:
            buffers[engine] = engine.buffer()
        return buffers[engine]


def _unfit(action: Action, fact: Exception) -> FitError:
    """The error for values of `action` that the tensor cannot hold, or that torch does not compute."""
    place = f"tensor {shown(action.tensor.name)}"
    match fact:
        case Unusable():
            hint = "fix the package that adds it"
            problem = Problem("initializer.values", f"{place}: {action.initializer}: {fact}", hint)
        case Overflow():
            place = f"{action.rule}: {place} {list(action.tensor.shape)}"
            problem = Problem("rule.overflow", f"{place}: {action.initializer}: {fact}")
        case _:
            problem = Problem("rng.torch", f"{action.rule}: {place}: torch raised an error: {shown(fact)}")
    return FitError(problem)
