"""The values of a plan, read as if they were in files: they are computed when they are read."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from initctl.filling.targets import ElementRun, TargetBlock
from initctl.tensors import TensorSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from initctl.filling.computer import Computer
    from initctl.planning import Action


class ComputedFiles:
    """The values of `actions`, one after another in imaginary files: one file for each device, with the device's name.

    `tensors` has the filled part of each action as a tensor in these files, in the order of `actions`. Several threads
    may read at once. Tensors that are computed as a whole stay in memory as long as this object.
    """

    def __init__(self, actions: Iterable[Action], computer: Computer) -> None:
        self._computer = computer
        self._runs: dict[str, list[ElementRun]] = defaultdict(list)
        self.tensors = list(map(self._placed, actions))
        self._starts = {file: [run.offset for run in runs] for file, runs in self._runs.items()}

    def _placed(self, action: Action) -> TensorSpec:
        """The filled part of `action`, behind everything that is in its device's file already."""
        part, runs, law = action.part, self._runs[action.device], self._computer.prepared(action)
        offset = runs[-1].offset + runs[-1].nbytes if runs else 0
        alone = part.alone
        placed = TensorSpec.contiguous(alone.name, alone.dtype, alone.shape, action.device, offset)
        (block,) = placed.blocks
        if part.rows:
            block = block._replace(start=(part.rows[0], *block.start[1:]))
        runs += self._computer.runs([TargetBlock(action, block, law)])
        return placed

    def read(
        self, tensor: TensorSpec, start: int, stop: int, out: NDArray[np.uint8] | None = None
    ) -> NDArray[np.uint8]:
        """The bytes of the elements from number `start` to `stop` of one of the `tensors`; in `out` if it is given."""
        (block,), width = tensor.blocks, tensor.dtype.bits // 8
        return self.read_range(block.file, block.offset + start * width, block.offset + stop * width, out)

    def read_range(self, file: str, start: int, stop: int, out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
        """The bytes of a file from `start` to `stop`, both between two elements. Raises what `Computer` raises."""
        room = np.empty(stop - start, np.uint8) if out is None else out[: stop - start]
        return self._computer.filled(list(self._between(file, start, stop)), room)

    def _between(self, file: str, start: int, stop: int) -> Iterator[ElementRun]:
        """The runs of a file from `start` to `stop`, the first and the last cut."""
        runs = self._runs[file]
        number = bisect_right(self._starts[file], start) - 1
        while number < len(runs) and runs[number].offset < stop:
            run, width = runs[number], runs[number].numbers.dtype.width
            first, last = max(start, run.offset), min(stop, run.offset + run.nbytes)
            begin, end = (run.numbers.start + (place - run.offset) // width for place in (first, last))
            yield ElementRun(run.numbers._replace(start=begin, stop=end), run.action, first, last - first)
            number += 1
