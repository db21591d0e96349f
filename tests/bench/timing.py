"""Whole processes, run in turn: what they take from start to end, and how much memory at most."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Command = str | list[str]
"""A line for the shell, or a program and its arguments."""


class Run(NamedTuple):
    """Seconds from start to end, and bytes of memory that the process held at most."""

    seconds: float
    peak: int


class Comparison(NamedTuple):
    """Seconds of each run, ours and theirs in turn."""

    ours: list[float]
    theirs: list[float]

    @property
    def ratio(self) -> float:
        """The median of the ratios of neighbouring runs: it holds when the machine's speed drifts."""
        return median(one / other for one, other in zip(self.ours, self.theirs, strict=True))


def timed(command: Command) -> Run:
    """Run `command`. Raises `RuntimeError` where it fails."""
    started = time.perf_counter()
    process = subprocess.Popen(command, shell=isinstance(command, str), stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command}: exit status {process.returncode}")
    return Run(seconds, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024))


def compared(ours: Command, theirs: Command, *, runs: int, before: Callable[[], None] = lambda: None) -> Comparison:
    """Both in turn, `runs` times each, after one that does not count; `before` runs ahead of each, untimed."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(runs + 1):
        for command, taken in zip((ours, theirs), seconds, strict=True):
            before()
            taken.append(timed(command).seconds)
    return Comparison(seconds[0][1:], seconds[1][1:])


def peak(commands: Sequence[Command]) -> int:
    """The most memory that one of `commands` held."""
    return max(timed(command).peak for command in commands)
