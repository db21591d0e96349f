"""One fault at one call, and what must be true afterwards.

A  every reader sees the old result or the new one, never a mix
X  after success the new one is there, after a failure the old one; status 7 means that it is the new one
L  nothing else is left, unless the process was killed, or the message names it: then an old directory is whole

What is written in parts stays after an error, and the same work completes it. What is written beside a result may be
missing after status 7.
"""

from __future__ import annotations

import errno
import os
import random
import signal
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from threading import Lock
from typing import Any

import initctl
from initctl.traces import is_staged
from tests.protocol.counting import watched
from tests.protocol.scenarios import Stage, Tree, traces, tree

_SHORT = ("write", "copy", "preadv", "pread")
"""Calls that may do less than they were asked for."""
_REMOVING = ("unlink", "remove_directory", "remove_tree")
_TIMES = 3
_ENDS = {"TERM": signal.SIGTERM, "INT": signal.SIGINT, "HUP": signal.SIGHUP}


class Ended(BaseException):
    """What the handler of a signal raises."""


@dataclass
class Fault:
    """What happens at call `number` of a run; `name` is the name of that call, once it was made."""

    kind: str
    number: int
    name: str = ""

    def __post_init__(self) -> None:
        self.made = 0
        self._lock = Lock()

    def __call__(self, name: str, arguments: tuple[Any, ...], call: Callable[[], Any]) -> Any:
        with self._lock:
            self.made += 1
            at = self.made
        if at == self.number:
            self.name = name
        if at == self.number or self._lasts(name, at - self.number):
            return self._happen(name, arguments, call)
        return call()

    def _lasts(self, name: str, later: int) -> bool:
        """Whether a call so much `later` fails too."""
        _, _, how = self.kind.partition(" ")
        return later > 0 and (
            how == "for ever"
            or (how == "three times" and later < _TIMES)
            or (how == "and no removal" and name in _REMOVING)
        )

    def _happen(self, name: str, arguments: tuple[Any, ...], call: Callable[[], Any]) -> Any:
        if self.kind == "KILL":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.kind == "KILL after":
            with suppress(OSError):
                call()
            os.kill(os.getpid(), signal.SIGKILL)
        if self.kind in _ENDS:
            os.kill(os.getpid(), _ENDS[self.kind])
            return call()
        if self.kind == "TERM and INT":
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)
            return call()
        if self.kind == "short":
            return _short(name, arguments, call)
        if name == "remove_tree":  # it reports nothing
            return None
        if name == "close":  # a descriptor is closed even if an error is reported
            call()
        code = getattr(errno, self.kind.partition(" ")[0])
        raise OSError(code, os.strerror(code))


def _short(name: str, arguments: tuple[Any, ...], call: Callable[[], Any]) -> Any:
    """One byte is transferred instead of all."""
    if name not in _SHORT:
        return call()
    if name == "write":
        descriptor, data, offset = arguments
        return os.pwrite(descriptor, bytes(memoryview(data).cast("B")[:1]), offset)
    if name == "copy":
        source, destination, _, start, offset = arguments
        return os.copy_file_range(source, destination, 1, start, offset)
    if name == "preadv":
        descriptor, (room,), offset = arguments
        return os.preadv(descriptor, [memoryview(room).cast("B")[:1]], offset)
    descriptor, length, offset = arguments
    return os.pread(descriptor, min(length, 1), offset)


COMMON = (
    "EIO", "ENOSPC", "EPERM", "EACCES", "ENOMEM", "EMFILE", "EIO for ever", "short",
    "TERM", "INT", "HUP", "TERM and INT", "KILL", "KILL after", "EIO three times", "ENOSPC and no removal",
)  # fmt: skip
RARE = ("EDQUOT", "EFBIG", "ENFILE", "EROFS", "EXDEV", "EBUSY", "EINVAL", "EINTR")
KINDS = (*COMMON, *RARE)


def sampled(stage: Stage, tries: int, seed: str) -> list[int]:
    """The numbers of `tries` of the calls that a play of `stage` makes, in order."""
    stage.begin()
    counting = Fault("none", 0)
    with watched(counting):
        stage.play()
    return sorted(random.Random(seed).sample(range(1, counting.made + 1), min(tries, counting.made)))


def sweep(stage: Stage, kind: str, numbers: Iterable[int] | None = None) -> tuple[int, list[str]]:
    """Play `stage` with a fault of this `kind` at each call, or only at those with the given `numbers`.

    Returns how often, and what was violated.
    """
    runs = 0
    violations: list[str] = []
    for number in numbers or count(1):
        fault = Fault(kind, number)
        stage.begin()
        end = _killed(stage, fault) if kind.startswith("KILL") else _end(stage, fault)
        if not (fault.name or end == "killed"):
            break
        runs += 1
        try:
            if end == "killed":
                _check_killed(stage)
            else:
                _check(stage, end)
        except AssertionError as error:
            violations.append(f"{kind} at call {fault.number} ({fault.name}): {error}")
    return runs, violations


def _end(stage: Stage, fault: Fault) -> BaseException | None:
    """The exception that ended the play, if one did."""

    heeded = True

    def end(number: int, _: object) -> None:
        if heeded:
            ignore()
            raise Ended

    def ignore() -> None:  # as the command line does, once the result is in place
        nonlocal heeded
        heeded = False

    before = {number: signal.signal(number, end) for number in _ENDS.values()}
    try:
        with watched(fault):
            stage.play(ignore)
    except (initctl.InitctlError, Ended) as error:
        return error
    except BaseException as error:  # a bug
        return AssertionError(f"{type(error).__name__}: {error}")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return None


def _killed(stage: Stage, fault: Fault) -> str | None:
    """`killed`, or None if the play came to its end before."""
    child = os.fork()
    if not child:
        try:
            with watched(fault):
                stage.play()
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL), code
    return "killed" if code else None


def _check(stage: Stage, end: BaseException | None) -> None:
    found, left = tree(stage.folder), traces(stage.folder)
    if isinstance(end, AssertionError):
        raise end
    status = end.exit_status if isinstance(end, initctl.InitctlError) else 130 if end else 0
    said = str(end) if end else ""
    unnamed = [name for name in left if os.path.basename(name) not in said]
    if status == 7 and stage.scenario.is_patch and found != stage.new:
        assert any(not is_staged(os.path.basename(name)) for name in left), f"a patch without its journal: {said}"
        stage.play_again()
        found, unnamed = tree(stage.folder), traces(stage.folder)
    if status == 7:
        found = _without_kept(stage, found, said)
    wanted = [stage.new] if not status else stage.in_place if status == 7 else [stage.old]
    assert found in wanted, f"status {status}, {_difference(stage, found)}: {said}"
    if stage.scenario.is_in_parts and status not in (0, 7):
        stage.play_again()
        assert tree(stage.folder) == stage.new, f"status {status}, and it cannot be completed: {said}"
        unnamed = traces(stage.folder)
    assert not unnamed or (stage.scenario.is_patch and status == 7), f"status {status}, left {unnamed}: {said}"


def _without_kept(stage: Stage, found: Tree, said: str) -> Tree:
    """`found` without the old directory, which stays if the result is in doubt: whole, and named by the message."""
    kept = {name.partition("/")[0] for name in found if name.partition("/")[0].endswith(".old")}
    before = [_below(stage.old, name) for name in stage.old if "/" not in name]
    for name in kept:
        assert name in said, f"{name} is kept, but not named: {said}"
        assert _below(found, name) in before, f"{name} is not the old directory"
    return {name: entry for name, entry in found.items() if name.partition("/")[0] not in kept}


def _below(found: Tree, folder: str) -> Tree:
    """The part of `found` that is `folder`, by names relative to it."""
    return {name.removeprefix(folder): entry for name, entry in found.items() if f"{name}/".startswith(f"{folder}/")}


def _check_killed(stage: Stage) -> None:
    found, left = tree(stage.folder), traces(stage.folder)
    if not (stage.scenario.is_patch and any(not is_staged(os.path.basename(name)) for name in left)):
        assert found in (stage.old, *stage.in_place), f"killed, {_difference(stage, found)}"
    stage.play_again()
    found, left = tree(stage.folder), traces(stage.folder)
    if "flock" in stage.refusals:  # without locks, nobody knows whether a process still needs it
        left = [name for name in left if not is_staged(os.path.basename(name))]
    assert found == stage.new, f"killed and run again, {_difference(stage, found)}"
    assert not left, f"killed and run again, left {left}"


def _difference(stage: Stage, found: object) -> str:
    assert isinstance(found, dict)
    if found == stage.old:
        return "the old one"
    if found == stage.new:
        return "the new one"
    names = {n for n in {*found, *stage.old, *stage.new} if found.get(n) not in (stage.old.get(n), stage.new.get(n))}
    return f"a mix, {sorted(names)}" if names else "a mix of files"
