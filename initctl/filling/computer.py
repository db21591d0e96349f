"""Target blocks → runs of elements → bytes, by the engines of a plan."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from threading import local
from typing import TYPE_CHECKING, cast

import numpy as np

from initctl.errors import FitError, Problem, shown
from initctl.filling.targets import ElementRun, packed
from initctl.layout import runs
from initctl.stream import Overflow, RevisingLaw, WholeLaw
from initctl.stream.engines import Unusable
from initctl.stream.key import stream_key
from initctl.stream.torch_generator import NotDrawn, TorchGenerator
from initctl.tensors import row_major

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from initctl.filling.targets import TargetBlock
    from initctl.planning import Action
    from initctl.stream import Law, Old
    from initctl.stream.engines import Engine
    from initctl.tensors import TensorPart

    Bytes = NDArray[np.uint8]


@dataclass(slots=True)
class Computer:
    """Computes runs under a seed, each by the engine of its device, in a buffer that each thread has of its own.

    `olds` are what tensors hold that are filled from that, by the parts that are filled.
    """

    seed: int
    engines: Mapping[str, Engine]
    olds: Mapping[TensorPart, Old] = field(default_factory=dict)
    generator: TorchGenerator = field(init=False)
    _thread: local = field(default_factory=local)

    def __post_init__(self) -> None:
        self.generator = TorchGenerator(self.seed)

    def prepared(self, action: Action) -> Law:
        """What fills the tensor of `action` element by element, once all that its values share is known.

        Actions that draw from torch's own generator must be prepared in the order of the plan. Raises `FitError` if
        torch refuses.
        """
        law = action.law
        if not isinstance(law, (WholeLaw, RevisingLaw)):
            return law
        draws = self.engines[action.device].draws(stream_key(self.seed, action.stream_name))
        draws = replace(draws, generator=self.generator)
        try:
            return law.prepared(draws) if isinstance(law, WholeLaw) else law.prepared(draws, self.olds[action.part])
        except NotDrawn as fact:
            place = f"{action.rule}: tensor {shown(action.tensor.name)}"
            raise FitError(Problem("rng.torch", f"{place}: torch refuses: {shown(fact)}")) from None
        except Overflow as fact:
            raise _overflow(action, fact) from None

    def runs(self, targets: Iterable[TargetBlock]) -> Iterator[ElementRun]:
        """The runs of row-major blocks whose laws are ready."""
        for target in targets:
            tensor, width = target.action.tensor, target.width
            law, parts = cast("Law", target.law), tensor.dtype.parts
            key = stream_key(self.seed, target.action.stream_name)
            for start, numel, offset in runs(target.block, tensor.shape, width):
                stop = (start + numel) * parts
                yield ElementRun(law, key, start * parts, stop, tensor.dtype, target.action, offset, numel * width)

    def parts(self, runs: Sequence[ElementRun]) -> Iterator[tuple[Sequence[ElementRun], Bytes]]:
        """The runs and bytes of one part after another of `runs`, which are of one device and without a gap. Bytes stay
        until the next.
        """
        engine = self.engines[runs[0].action.device]
        buffer = self._buffer(engine)
        for part in packed(runs, buffer.size):
            out = buffer[: part[-1].offset + part[-1].nbytes - part[0].offset]
            self._fill(engine, part, out)
            yield part, out

    def values(self, target: TargetBlock) -> Bytes:
        """The bytes of the elements of a block in row-major order, in whatever order a file has them."""
        in_memory = target.block._replace(offset=0, strides=row_major(target.block.shape))
        return self._together(tuple(self.runs([target._replace(block=in_memory)])), target.nbytes)

    def elements(self, action: Action, law: Law, start: int, stop: int) -> Bytes:
        """The bytes of the elements from number `start` to `stop` of the tensor that `action` fills by `law`."""
        dtype, key = action.tensor.dtype, stream_key(self.seed, action.stream_name)
        nbytes = (stop - start) * dtype.bits // 8
        run = ElementRun(law, key, start * dtype.parts, stop * dtype.parts, dtype, action, 0, nbytes)
        return self._together([run], nbytes)

    def _together(self, runs: Sequence[ElementRun], nbytes: int) -> Bytes:
        values = np.empty(nbytes, np.uint8)
        if runs:
            self._fill(self.engines[runs[0].action.device], runs, values)
        return values

    def _fill(self, engine: Engine, runs: Sequence[ElementRun], out: Bytes) -> None:
        """Write the runs into `out`, one after another."""
        reached = 0
        for law, key, start, stop, dtype, action, _, nbytes in runs:
            try:
                engine.fill(law, key, start, stop, dtype, out[reached : reached + nbytes])
            except Unusable as fact:
                place = f"tensor {shown(action.tensor.name)}: {action.initializer}"
                hint = "mend the package that adds it"
                raise FitError(Problem("initializer.values", f"{place}: {fact}", hint)) from None
            except Overflow as fact:
                raise _overflow(action, fact) from None
            reached += nbytes

    def _buffer(self, engine: Engine) -> Bytes:
        buffers: dict[Engine, Bytes] = self._thread.__dict__.setdefault("buffers", {})
        if engine not in buffers:
            buffers[engine] = engine.buffer()
        return buffers[engine]


def _overflow(action: Action, fact: Overflow) -> FitError:
    place = f"{action.rule}: tensor {shown(action.tensor.name)} {list(action.tensor.shape)}"
    return FitError(Problem("rule.overflow", f"{place}: {action.initializer}: {fact}"))
