"""Whether a checkpoint holds exactly what a plan gives: every value computed once more, and compared."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from math import prod
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from initctl.errors import FitError, Problem, UsageError, listed, shown
from initctl.filling import Filler, TensorReader, Workers, check_memory, choose_engines, olds
from initctl.stream import Revision

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from initctl.filling import Chosen, Progress
    from initctl.formats import Checkpoint
    from initctl.planning import Action, Plan
    from initctl.stream import Fill
    from initctl.tensors import TensorPart, TensorSpec

_COMPARED_AT_ONCE = 4 << 20
"""Bytes of a tensor that are computed and compared as one piece."""
_SAMPLED_TOGETHER = 16
"""Elements of a sample that follow each other."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The first element of a tensor, at `index`, that is not as it should be. The numbers are as they are stored."""

    tensor: str
    index: tuple[int, ...]
    expected: complex
    found: complex

    def to_json(self) -> dict[str, Any]:
        return {
            "tensor": self.tensor,
            "index": list(self.index),
            "expected": _written(self.expected),
            "found": _written(self.found),
        }


@dataclass(frozen=True, slots=True)
class Verification:
    """What comparing a checkpoint with `plan` came to: how many elements were compared, and the `differences`.

    `sample` is how many were compared of each tensor at most, where not all were.
    """

    plan: Plan
    compared: int
    differences: tuple[Difference, ...]
    sample: int | None = None

    @property
    def holds(self) -> bool:
        """Whether every element that was compared is as it should be."""
        return not self.differences

    def to_json(self) -> dict[str, Any]:
        differences = [difference.to_json() for difference in self.differences]
        return {**self.plan.to_json(), "compared": self.compared, "differences": differences}


def verify_plan(
    plan: Plan,
    *,
    original: Checkpoint | None = None,
    sample: int | None = None,
    threads: int,
    on_event: Callable[[Chosen | Progress], None] | None = None,
) -> Verification:
    """Compare what rules fill with what the checkpoint of `plan` holds; and all else with the `original`, if given.

    With a `sample`, so many elements of each tensor are compared, or of each part of one that rules decide apart,
    spread evenly, its first and last among them.
    Raises `UsageError` where values depend on an original that is not given, `FitError` where that has other tensors.
    """
    _check_original(plan, original)
    check_memory(plan.actions)
    workers = Workers(threads, on_event)
    comparison = _Comparison(plan.checkpoint, sample)
    with ExitStack() as stack:
        held = stack.enter_context(TensorReader(plan.checkpoint))
        engines = choose_engines(plan.actions, threads=threads, on_event=on_event)
        filler = Filler(plan.seed, engines, olds(plan, stack, original))
        actions = [action for action in plan.fills if action.part.numel]
        untouched = list(_untouched(plan, original)) if original else []
        parts = [*(action.part for action in actions), *(part for part, _ in untouched)]
        workers.expect(sum(part.nbytes for part in parts))
        for action in actions:
            computed = _Computed(action, filler.prepared(action), filler)
            workers.write(comparison.pieces(action.part, computed, held), -1)
        if original:
            before = stack.enter_context(TensorReader(original))
            for part, stored in untouched:
                workers.write(comparison.pieces(part, _Stored(stored, before), held), -1)
            original.check_unchanged(original.files)
    plan.checkpoint.check_unchanged(plan.checkpoint.files)
    plan.check_sources()
    return Verification(plan, comparison.compared, comparison.differences(), sample)


def _untouched(plan: Plan, original: Checkpoint) -> Iterator[tuple[TensorPart, TensorSpec]]:
    """What no rule fills, and the tensor in the original that it must be as: tied ones once, where both are tied."""
    tensors = {tensor.name: tensor for tensor in original.tensors}
    for kept in plan.kept:
        there = tensors[kept.tensor.name]
        if kept.part.numel and kept.tensor.blocks and (kept.tensor.is_first or there.is_first):
            yield kept.part, there


def _check_original(plan: Plan, original: Checkpoint | None) -> None:
    if original is None:
        revised = [shown(action.tensor.name) for action in plan.actions if isinstance(action.fill, Revision)]
        if revised:
            message = f"{listed(revised)}: filled from what was there before"
            raise UsageError(Problem("verify.against", message, "name the original with --against"))
        return
    there = {tensor.name: (tensor.dtype, tensor.shape) for tensor in original.tensors}
    for tensor in plan.checkpoint.tensors:
        if there.get(tensor.name) != (tensor.dtype, tensor.shape):
            fault = "is of another shape or dtype" if tensor.name in there else "is not there"
            message = f"{shown(original.path)}: tensor {shown(tensor.name)} {fault}"
            raise FitError(Problem("verify.original", message, "name the checkpoint that the rules were applied to"))
    names = {name for tensor in plan.checkpoint.tensors for name in (tensor.name, *tensor.aliases)}
    if lost := [tensor.name for tensor in original.tensors if tensor.name not in names]:
        message = f"{shown(plan.checkpoint.path)}: tensor {shown(lost[0])} of {shown(original.path)} is not there"
        raise FitError(Problem("verify.original", message, "name the checkpoint that the rules were applied to"))


@dataclass(frozen=True, slots=True)
class _Computed:
    """The bytes that an action gives."""

    action: Action
    fill: Fill
    filler: Filler

    def read(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Those of the elements from number `start` to `stop` of the tensor."""
        return self.filler.elements(self.action, self.fill, start, stop)


@dataclass(frozen=True, slots=True)
class _Stored:
    """The bytes that a tensor has in the original."""

    tensor: TensorSpec
    reader: TensorReader

    def read(self, start: int, stop: int) -> NDArray[np.uint8]:
        return self.reader.read(self.tensor, start, stop)


@dataclass(slots=True)
class _Comparison:
    """What was compared so far, and the first element of each tensor that differs. Used from several threads."""

    checkpoint: Checkpoint
    sample: int | None
    compared: int = 0
    found: dict[str, tuple[int, Difference]] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    def pieces(self, part: TensorPart, expected: _Computed | _Stored, held: TensorReader) -> Iterator[_Piece]:
        """What compares `part` with what is `expected`."""
        width = part.tensor.dtype.bits // 8
        per_row = prod(part.tensor.shape[1:])
        first = part.rows[0] * per_row if part.rows else 0
        for start, stop in _ranges(first, first + part.numel, self.sample, _COMPARED_AT_ONCE // width):
            yield _Piece(part.tensor, start, stop, expected, held, self)

    def add(self, tensor: TensorSpec, start: int, expected: NDArray[np.uint8], found: NDArray[np.uint8]) -> None:
        """Note how elements from number `start` on compare."""
        width = tensor.dtype.bits // 8
        differing = np.flatnonzero((expected != found).reshape(-1, width).any(axis=1))
        with self.lock:
            self.compared += found.size // width
            if not differing.size:
                return
            at = int(differing[0])
            number, place = start + at, slice(at * width, (at + 1) * width)
            if tensor.name not in self.found or number < self.found[tensor.name][0]:
                index = tuple(map(int, np.unravel_index(number, tensor.shape))) if tensor.shape else ()
                one, other = (_number(content[place], tensor) for content in (expected, found))
                self.found[tensor.name] = number, Difference(tensor.name, index, one, other)

    def differences(self) -> tuple[Difference, ...]:
        """In the order of the checkpoint."""
        found = (self.found.get(tensor.name) for tensor in self.checkpoint.tensors)
        return tuple(difference for _, difference in filter(None, found))


@dataclass(frozen=True, slots=True)
class _Piece:
    """Elements `start` to `stop` of a tensor, to be compared; writes nothing."""

    tensor: TensorSpec
    start: int
    stop: int
    expected: _Computed | _Stored
    held: TensorReader
    comparison: _Comparison

    @property
    def offset(self) -> int:
        return self.start

    @property
    def nbytes(self) -> int:
        return (self.stop - self.start) * self.tensor.dtype.bits // 8

    def write(self, destination: int) -> None:  # noqa: ARG002 - it only looks
        expected = self.expected.read(self.start, self.stop)
        self.comparison.add(self.tensor, self.start, expected, self.held.read(self.tensor, self.start, self.stop))


def _ranges(start: int, stop: int, sample: int | None, at_most: int) -> Iterator[tuple[int, int]]:
    """All of `start` to `stop` in ranges, or some of them that make up a sample."""
    if sample is None or sample >= stop - start:
        for first in range(start, stop, at_most):
            yield first, min(first + at_most, stop)
        return
    together = min(_SAMPLED_TOGETHER, sample)
    count = -(-sample // together)
    last = stop - start - together
    reached = start
    for number in range(count):
        first = max(reached, start + (last * number // (count - 1) if count > 1 else 0))
        reached = min(first + together, stop)
        if number == count - 1:
            first = reached - (sample - together * number)
        yield first, reached


def _number(content: NDArray[np.uint8], tensor: TensorSpec) -> complex:
    """The element that `content` stores: whole numbers as such."""
    parts: Sequence[Any] = content.view(tensor.dtype.numpy).tolist()
    if tensor.dtype.parts == 2:
        return complex(*map(float, parts))
    return float(parts[0]) if tensor.dtype.is_floating else int(parts[0])


def _written(number: complex) -> float | str:
    """A number as JSON can hold it."""
    return number if isinstance(number, (int, float)) and np.isfinite(float(number)) else str(number)
