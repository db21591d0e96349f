"""A plan → statistics of its tensors before and after. Nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from initctl.errors import Problem, UsageError, shown
from initctl.filling.computer import Computer
from initctl.filling.engines import choose_engines
from initctl.filling.memory import check_memory
from initctl.filling.targets import in_turn
from initctl.manifest.changes import Change, Changes
from initctl.manifest.computed import ComputedFiles
from initctl.reading import TensorReader, olds
from initctl.statistics.measuring import ElementSource, Measuring, measuring_engine
from initctl.workers import Workers

if TYPE_CHECKING:
    from initctl.events import Chosen, Compiling, Progress
    from initctl.planning import Action, Plan
    from initctl.statistics import TensorStatistics
    from initctl.stream.engines import Engine
    from initctl.tensors import TensorSpec


def measured_changes(
    plan: Plan, *, digest: bool, threads: int, on_event: Callable[[Compiling | Chosen | Progress], None] | None = None
) -> Changes:
    """Statistics of each tensor that `plan` fills, now and after; with `digest`, the SHA-256 of its bytes too.

    Memory does not grow with the checkpoint, except that one whole tensor is held for initializers that need it. Raises
    the same errors as carrying out the plan, except those about the output.
    """
    if blank := [action for action in plan.actions if action.part.numel and not action.tensor.blocks]:
        fault = f"changes: {shown(blank[0].tensor.name)} has no old values"
        raise UsageError(Problem("usage.changes", fault, "look at the result: initctl.stats"))
    check_memory(plan.actions)
    distinct = plan.distinct_actions
    written = distinct + plan.resets
    with ExitStack() as stack:
        workers = stack.enter_context(Workers(threads, on_event))
        reader = stack.enter_context(TensorReader(plan.checkpoint))
        engines = choose_engines(written, threads=threads, on_event=on_event)
        computer = Computer(plan.seed, engines, olds(plan, stack))
        tensors = [_held(action) for action in written]
        workers.total += 2 * sum(tensor.nbytes for tensor in tensors)
        measure = _Measure(measuring_engine(tensors), workers, is_digested=digest)
        before = measure(tensors, reader)
        after = [found for group in in_turn(written) for found in _after(list(group), computer, measure)]
    plan.checkpoint.check_unchanged(plan.checkpoint.files)
    plan.check_sources()
    return _for_each_name(plan, distinct, list(zip(before, after, strict=True)))


class _Measure(NamedTuple):
    """Measures tensors of checkpoints and computed values in the same way."""

    engine: Engine
    workers: Workers
    is_digested: bool

    def __call__(self, tensors: Sequence[TensorSpec], source: ElementSource) -> list[TensorStatistics]:
        measuring = Measuring(tensors, source, self.engine, self.workers, is_digested=self.is_digested)
        self.workers.run(measuring.tasks())
        return measuring.results


def _after(actions: Sequence[Action], computer: Computer, measure: _Measure) -> list[TensorStatistics]:
    """Statistics of what each of `actions` gives. Tensors of the same dtype and size are computed together."""
    kinds = [(action.tensor.dtype.name, action.part.nbytes) for action in actions]
    order = sorted(range(len(actions)), key=kinds.__getitem__)
    files = ComputedFiles([actions[number] for number in order], computer)
    found = dict(zip(order, measure(files.tensors, files), strict=True))
    return [found.pop(number)._replace(tensor=action.part.alone) for number, action in enumerate(actions)]


def _for_each_name(
    plan: Plan, distinct: Sequence[Action], pairs: Sequence[tuple[TensorStatistics, TensorStatistics]]
) -> Changes:
    """The changes of all actions. `pairs` has the statistics of `distinct` actions, which tied tensors share, and then
    of resets.
    """
    by_key = {(action.value_name, action.rows): pair for action, pair in zip(distinct, pairs, strict=False)}
    found = [(action, by_key[action.value_name, action.rows]) for action in plan.actions]
    found += zip(plan.resets, pairs[len(distinct) :], strict=True)
    return Changes(plan, tuple(_change(action, *pair) for action, pair in found))


def _change(action: Action, before: TensorStatistics, after: TensorStatistics) -> Change:
    return Change(action, before._replace(tensor=_held(action)), after._replace(tensor=action.part.alone))


def _held(action: Action) -> TensorSpec:
    """What the checkpoint holds now of the part that `action` fills, as a separate tensor."""
    return action.part.with_values.alone
