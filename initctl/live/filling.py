"""Fill the tensors of a plan where they are in memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
import torch

from initctl.errors import FitError, Problem, listed, shown
from initctl.filling.computer import Computer
from initctl.filling.engines import choose_engines
from initctl.filling.memory import check_memory
from initctl.filling.targets import ElementRun, TargetBlock, needs_preparing, packed, range_of
from initctl.grouping import grouped
from initctl.layout.runs import tiles
from initctl.live.memory import Memory, MemoryReader
from initctl.live.pieces import torchs_own
from initctl.planning.plan import TORCH
from initctl.reading import olds
from initctl.stream import RevisingLaw
from initctl.stream.engines.device import TorchEngine
from initctl.stream.protocols import FromOld
from initctl.workers import Task, Workers

if TYPE_CHECKING:
    from initctl.events import Event
    from initctl.live.table import LiveTable
    from initctl.planning import Action, Plan
    from initctl.stream import AnyLaw
    from initctl.stream.engines import Engine
    from initctl.tensors import TensorSpec

_AT_ONCE = 16 << 20
"""Bytes of a task."""
_SMALL, _TOGETHER = 16 << 10, 32
"""Groups of at most as many bytes are computed together, up to this number of them."""


def check_fillable(plan: Plan, table: LiveTable) -> None:
    """Check what `fill` needs. Raises `FitError` if a tensor has no memory, or too little of it is in this process;
    `StorageError` if memory is too small.
    """
    actions = _distinct_actions(plan, table)
    problems = [*_without_memory(actions, table), *_in_part(actions)]
    if problems:
        raise FitError(*problems)
    check_memory(actions)


def fill(
    plan: Plan,
    table: LiveTable,
    *,
    threads: int,
    engines: Mapping[str, Engine] | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> None:
    """Carry out `plan`, which is for `table` and was checked, in the memory of its tensors.

    `engines` are those of the plan's devices, if they are chosen already. Raises `StorageError` if a device is missing;
    nothing is written then.
    """
    actions = _distinct_actions(plan, table)
    if engines is None:
        engines = choose_engines(actions, threads=threads, on_event=on_event)
    with torch.no_grad(), torch.inference_mode(mode=False), Workers(threads, on_event) as workers, ExitStack() as stack:
        _Filling(replace(plan, actions=actions), table, engines, workers, stack).run()


def _distinct_actions(plan: Plan, table: LiveTable) -> tuple[Action, ...]:
    """What is filled, tied tensors once."""
    actions = (*plan.actions, *_of_stand_ins(plan, table))
    return tuple(action for action in actions if action.tensor.represents_ties)


def _of_stand_ins(plan: Plan, table: LiveTable) -> Iterator[Action]:
    """What the plan does to each tensor in whose place a file has another: the same as to that one."""
    actions = grouped((action.tensor.name, action) for action in plan.actions if table.stand_ins)
    for name, spec in table.stand_ins.items():
        for action in actions.get(table.left_out[name], ()):
            yield action.of(spec)._replace(values_of=action.value_name)


def _without_memory(actions: Iterable[Action], table: LiveTable) -> Iterator[Problem]:
    """A problem if tensors are on the meta device."""
    blocks = ((action.tensor, block) for action in actions for block in action.part.blocks if block.numel)
    if names := dict.fromkeys(tensor.name for tensor, block in blocks if block.file not in table.storages):
        what = "tensor {}: is on the meta device" if len(names) == 1 else "tensors {}: are on the meta device"
        message = what.format(listed(list(map(shown, names)))) + ", without memory"
        yield Problem("live.meta", message, "call model.to_empty(device='cpu'), or another device, before")


def _in_part(actions: Iterable[Action]) -> Iterator[Problem]:
    """A problem for each initializer that reads all of a tensor of which this process has only a part."""
    for action in actions:
        if isinstance(action.law, RevisingLaw) and action.law.needs_whole and not _is_whole(action.tensor):
            fault = f"tensor {shown(action.tensor.name)}: {action.initializer} needs all old values of it"
            hint = "apply the rule to a file of the model"
            yield action.rule.problem("live.part", f"{fault}, and this process has only a part", hint)


def _is_whole(tensor: TensorSpec) -> bool:
    return sum(block.numel for block in tensor.blocks) == tensor.numel


class _Group(NamedTuple):
    """Runs that follow each other in a memory, of one device."""

    memory: Memory
    runs: Sequence[ElementRun]

    @property
    def device(self) -> str:
        return self.runs[0].action.device

    @property
    def nbytes(self) -> int:
        return sum(run.nbytes for run in self.runs)


class _Filling:
    """Fills the tensors of `plan`, of which each has one action for each of its rows."""

    def __init__(
        self,
        plan: Plan,
        table: LiveTable,
        engines: Mapping[str, Engine],
        workers: Workers,
        stack: ExitStack,
    ) -> None:
        self.plan, self.table, self.workers = plan, table, workers
        places = {block.file for action in plan.actions for block in action.tensor.blocks}
        sources = {b.file for action in plan.actions for at in action.sources.values() for b in at.tensor.blocks}
        self.memories = {place: Memory(table.storages[place]) for place in places | sources if place in table.storages}
        self.reader = MemoryReader(self.memories)
        self.computer = Computer(plan.seed, engines, olds(plan, stack, self.reader))

    def run(self) -> None:
        """Fill all. What is computed from old values is prepared before any is overwritten."""
        actions = self.plan.actions
        self.workers.total = sum(target.nbytes for action in actions for target in _targets(action, action.law))
        revising = [action for action in actions if isinstance(action.law, RevisingLaw)]
        self.reader.read_ahead(_read_late(revising, actions))
        laws = {id(action): self.computer.prepared(action) for action in revising}
        ready = [action for action in actions if id(action) in laws or not needs_preparing(type(action.law))]
        for device in {memory.device for memory in self.memories.values() if memory.device.type == "cuda"}:
            torch.cuda.synchronize(device)
        try:
            self._fill(chain.from_iterable(_targets(action, laws.get(id(action), action.law)) for action in ready))
            for action in actions:
                if needs_preparing(type(action.law)) and id(action) not in laws:
                    self._fill_whole(action)
        finally:
            self._count_versions()

    def _fill_whole(self, action: Action) -> None:
        """Fill a tensor whose values depend on each other. Torch's own generator must draw every tensor."""
        if self.plan.rng == TORCH or any(block.numel for block in action.part.blocks):
            self._fill(_targets(action, self.computer.prepared(action)))

    def _fill(self, targets: Iterable[TargetBlock]) -> None:
        by_place = grouped((target.block.file, target) for target in targets)
        groups = (_Group(self.memories[place], runs) for place in by_place for runs in self._runs(by_place[place]))
        strided = (target for targets in by_place.values() for target in targets if not target.block.is_row_major)
        self.workers.run(chain(self._row_major_tasks(groups), self._strided_tasks(strided)))

    def _runs(self, targets: Iterable[TargetBlock]) -> Iterator[Sequence[ElementRun]]:
        """The runs of those of `targets` in one storage that are row-major, in groups without gaps."""
        row_major = (target for target in targets if target.block.is_row_major)
        return packed(self.computer.runs(sorted(row_major, key=lambda target: target.block.offset)), _AT_ONCE)

    def _row_major_tasks(self, groups: Iterable[_Group]) -> Iterator[Task]:
        """Tasks for `groups`; small ones of a device are computed together, since a call takes longer than they do."""
        waiting: dict[str, list[_Group]] = defaultdict(list)
        for group in groups:
            if group.nbytes > _SMALL:
                yield Task(group.nbytes, partial(self._fill_runs, *group))
                continue
            small = waiting[group.device]
            small.append(group)
            if len(small) == _TOGETHER:
                yield self._task_of(waiting.pop(group.device))
        yield from map(self._task_of, waiting.values())

    def _task_of(self, groups: Sequence[_Group]) -> Task:
        return Task(sum(group.nbytes for group in groups), partial(self._fill_together, groups))

    def _strided_tasks(self, targets: Iterable[TargetBlock]) -> Iterator[Task]:
        for target in targets:
            for block in tiles(target.block, target.width, _AT_ONCE):
                tile = target._replace(block=block)
                yield Task(tile.nbytes, partial(self._fill_tile, self.memories[block.file], tile))

    def _fill_together(self, groups: Sequence[_Group]) -> None:
        """Fill small groups, which may be in different memories."""
        content = np.empty(sum(group.nbytes for group in groups), np.uint8)
        self.computer.filled([run for group in groups for run in group.runs], content)
        reached = 0
        for group in groups:
            group.memory.write(group.runs[0].offset, content[reached : reached + group.nbytes])
            reached += group.nbytes

    def _fill_runs(self, memory: Memory, group: Sequence[ElementRun]) -> None:
        """Fill adjacent runs: in their memory, unless their laws read there while they compute."""
        start, stop = range_of(group)
        engine = self.computer.engines[group[0].action.device]
        reads = any(isinstance(run.numbers.law, FromOld) for run in group)
        if not reads and isinstance(engine, TorchEngine) and engine.device.type == memory.device.type:
            self.computer.filled(group, memory.bytes[start:stop])
        elif not reads and memory.is_on_host:
            self.computer.filled(group, memory.array(start, stop))
        else:
            for part, content in self.computer.parts(group):
                memory.write(part[0].offset, content)

    def _fill_tile(self, memory: Memory, tile: TargetBlock) -> None:
        """Fill elements that are in any order, or have gaps."""
        engine = self.computer.engines[tile.action.device]
        runs = self.computer.runs_in_order(tile)
        if isinstance(engine, TorchEngine) and engine.device.type == memory.device.type:
            on_device = torch.empty(tile.nbytes, dtype=torch.uint8, device=memory.device)
            memory.put(tile.block, tile.width, self.computer.filled(runs, on_device))
        else:
            memory.put(tile.block, tile.width, self.computer.filled(runs, np.empty(tile.nbytes, np.uint8)))

    def _count_versions(self) -> None:
        """Let autograd notice that the tensors changed."""
        names = dict.fromkeys(
            name for action in self.plan.actions for name in (action.tensor.name, *action.tensor.tied)
        )
        changed = [torchs_own(self.table.tensors[name]) for name in names]
        torch.autograd.graph.increment_version([tensor for tensor in changed if not tensor.is_inference()])


def _targets(action: Action, law: AnyLaw) -> Iterator[TargetBlock]:
    """The blocks that `action` fills by `law`."""
    blocks = action.part.blocks if action.rows else action.tensor.blocks
    return (TargetBlock(action, block.distinct, law) for block in blocks if block.numel)


def _read_late(revising: Iterable[Action], actions: Iterable[Action]) -> Iterator[TensorSpec]:
    """The tensors that laws read while others, or they themselves, overwrite them."""
    filled = {name for action in actions for name in (action.tensor.name, *action.tensor.tied)}
    for action in revising:
        law = cast("RevisingLaw", action.law)
        if not law.in_place and not law.sources:
            yield action.tensor
        own = (at.tensor for source, at in action.sources.items() if source.checkpoint is None)
        yield from (tensor for tensor in own if tensor.name in filled)
