"""Whole processes, run in turn: what they take from start to end, and how much memory at most."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

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


def warm_memory(nbytes: int) -> None:
    """Let the machine have `nbytes` of free memory that was used a moment ago.

    A virtual machine gives free memory back to its host, and gets it again at a tenth of the speed of a disk: of two
    sides the one pays that happens to need it. A process of its own, since a child's peak counts its parent's.
    """
    subprocess.run([sys.executable, "-c", f"bytes([1]) * {nbytes}"], check=True)
