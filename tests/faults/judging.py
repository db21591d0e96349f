"""What must hold after each run, by a reader that knows nothing of initctl: it compares files byte by byte."""

from __future__ import annotations

import re
import stat
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.faults.injecting import Fault, Run
    from tests.faults.scenarios import Scenario

_STAGED = re.compile(r"\.initctl-[0-9a-f]{6}-\d+-[0-9a-f]{8}\.tmp")
_LINE = re.compile(r"initctl: (error|warning): .+|see: initctl help .+")
_JOURNAL = ".initctl-journal"
"""It stays if a patch is interrupted, so that it can be completed."""
_BUG = 70
_UNCERTAIN = 7
_SIGNALLED = {"SIGTERM": (143, -15), "SIGINT": (130, -2)}
"""The status of a command that a signal ends; and of the process, if it ends before the command begins."""
_TO_STREAMS = ("write", "mmap")
"""If these calls fail, there may be no way to write the line of an error; or one more line, about a lost report."""

Tree = dict[str, tuple[int, bytes]]
"""The mode and the content of each file by its name; links have their target."""


class Undisturbed(NamedTuple):
    """The files before and after a command that nothing disturbs, and what it writes to stdout."""

    old: Tree
    new: Tree
    out: str


def tree(folder: Path) -> Tree:
    """The files below `folder`, except those that only a process that was killed may leave."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name, mode = str(path.relative_to(folder)), path.lstat().st_mode
        if not any(map(_STAGED.fullmatch, path.relative_to(folder).parts)):
            content = str(path.readlink()).encode() if path.is_symlink() else b""
            found[name] = (mode, path.read_bytes() if stat.S_ISREG(mode) else content)
    return found


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob(".initctl-*")]


def violations(scenario: Scenario, fault: Fault, run: Run, folder: Path, undisturbed: Undisturbed) -> Iterator[str]:
    """What does not hold of `run`, which was made with `fault` and left `folder`."""
    if run.status is None:
        yield "it hangs"
        return
    yield from _of_files(scenario, fault, run, tree(folder), undisturbed)
    left = [name for name in leftovers(folder) if not (run.status == _UNCERTAIN and name.startswith(_JOURNAL))]
    if left and not fault.is_kill and not all(name in run.err for name in left):
        yield f"L: {left[0]} is left, and nothing says so"
    if fault.is_kill:
        return
    yield from _of_status(scenario, fault, run.status)
    yield from _of_lines(scenario, fault, run)


def _of_files(scenario: Scenario, fault: Fault, run: Run, now: Tree, of: Undisturbed) -> Iterator[str]:
    if scenario.is_atomic and now not in (of.old, of.new):
        changed = [name for name in {*now, *of.old} if now.get(name) != of.old.get(name)]
        yield f"A, U: neither the old nor the new files: {sorted(changed)}"
    if run.status == scenario.status and not fault.is_kill:
        if now != of.new:
            yield "X: it succeeds without the new files"
        if run.out != of.out and not (scenario.status and fault.call in _TO_STREAMS):
            yield "X: it succeeds with another result on stdout"
    elif run.status not in (_UNCERTAIN, scenario.status) and not fault.is_kill and now != of.old:
        yield f"X: status {run.status}, but the files are not the old ones"


def _of_status(scenario: Scenario, fault: Fault, status: int) -> Iterator[str]:
    """The environment fails: neither the input, nor the rules, nor the command line are at fault, nor initctl."""
    allowed = {scenario.status, _UNCERTAIN}
    if fault.is_signal:
        allowed |= {*_SIGNALLED[fault.kind]}
    elif not (fault.is_short or fault.kind == "EINTR"):
        allowed |= {5}
    if fault.kind == "EPERM":
        allowed |= {2, 3}  # of a recipe, of a checkpoint
    if status not in allowed:
        yield f"status {status}"


def _of_lines(scenario: Scenario, fault: Fault, run: Run) -> Iterator[str]:
    lines = run.err.splitlines()
    if strange := [line for line in lines if not _LINE.fullmatch(line)]:
        yield f"another line on stderr: {strange[0][:80]}"
    errors = [line for line in lines if line.startswith("initctl: error: ")]
    wanted = int(run.status != scenario.status and run.status >= 0)
    is_lost = fault.call in _TO_STREAMS and len(errors) == (0 if wanted else 1)
    if len(errors) != wanted and not is_lost:
        yield f"{len(errors)} lines of errors"
    if run.status == _BUG or "Traceback" in run.err:
        yield "it is reported as a bug"
