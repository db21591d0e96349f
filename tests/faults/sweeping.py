"""All faults of all scenarios, or a random sample, and their table."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from math import inf
from random import Random
from typing import TYPE_CHECKING

from tests.faults.injecting import Fault, Runner
from tests.faults.judging import Undisturbed, leftovers, tree, violations

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.faults.scenarios import Scenario

_ROUND = 25
"""Faults of one scenario that are tried before the next scenario has its turn."""


@dataclass
class Cell:
    """The runs of one scenario with one kind of fault: how many ended with each status."""

    statuses: Counter[int | None] = field(default_factory=Counter)
    violations: int = 0


class Sweep:
    """Runs of `scenarios`, each with one fault, in an order that `seed` decides."""

    def __init__(self, scenarios: Sequence[Scenario], folder: Path, seed: int) -> None:
        self.scenarios, self.folder = scenarios, folder
        self.cells: dict[tuple[str, str], Cell] = defaultdict(Cell)
        self.found: list[str] = []
        """The violations, each in a line."""
        self.total = 0
        self._random = Random(seed)

    def run(self, *, seconds: float = inf, at_most: float = inf) -> None:
        """Run until all faults were tried, the `seconds` have passed, or there were `at_most` runs."""
        with Runner(self.folder) as runner:
            known = {scenario: self._undisturbed(runner, scenario) for scenario in self.scenarios}
            waiting = {scenario: self._shuffled(runner.faults(scenario)) for scenario in self.scenarios}
            self.total = sum(map(len, waiting.values()))
            deadline = time.monotonic() + seconds
            while any(waiting.values()):
                for scenario, faults in waiting.items():
                    for fault in faults[:_ROUND]:
                        if time.monotonic() > deadline or self.runs >= at_most:
                            return
                        self._try(runner, scenario, fault, known[scenario])
                    del faults[:_ROUND]

    def table(self) -> Iterator[str]:
        """A line for each scenario and kind of fault: runs, their statuses, and violations."""
        yield f"{'scenario':20} {'fault':9} {'runs':>5} {'bad':>4}  statuses"
        for (scenario, kind), cell in sorted(self.cells.items()):
            ends = ", ".join(f"{status}: {runs}" for status, runs in sorted(cell.statuses.items(), key=str))
            yield f"{scenario:20} {kind:9} {cell.statuses.total():5} {cell.violations:4}  {ends}"
        yield f"{self.runs:,} runs of {self.total:,} possible ones, {len(self.found)} violations"

    @property
    def runs(self) -> int:
        return sum(cell.statuses.total() for cell in self.cells.values())

    def _undisturbed(self, runner: Runner, scenario: Scenario) -> Undisturbed:
        runner.load(scenario)
        runner.prepare(scenario)
        old = tree(self.folder)
        run = runner.run(scenario)
        if run.status != scenario.status or leftovers(self.folder):
            raise AssertionError(f"{scenario.name} ends with {run} if nothing fails")
        return Undisturbed(old, tree(self.folder), run.out)

    def _shuffled(self, faults: list[Fault]) -> list[Fault]:
        self._random.shuffle(faults)
        return faults

    def _try(self, runner: Runner, scenario: Scenario, fault: Fault, undisturbed: Undisturbed) -> None:
        runner.prepare(scenario)
        run = runner.run(scenario, fault)
        found = list(violations(scenario, fault, run, self.folder, undisturbed))
        if fault.is_kill and not found:
            found = list(self._after_a_kill(runner, scenario, undisturbed))
        cell = self.cells[scenario.name, fault.column]
        cell.statuses[run.status] += 1
        cell.violations += bool(found)
        self.found += [f"{scenario.name}: {fault}: {one}: {run.status} {run.err[:300]!r}" for one in found]

    def _after_a_kill(self, runner: Runner, scenario: Scenario, undisturbed: Undisturbed) -> Iterator[str]:
        """The same command again, with nothing that fails: it works, and cleans up."""
        run = runner.run(scenario)
        if run.status != scenario.status or (scenario.is_atomic and tree(self.folder) != undisturbed.new):
            yield f"the next run ends with {run}"
        if left := leftovers(self.folder):
            yield f"L: the next run leaves {left[0]}"
