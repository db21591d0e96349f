"""What no input may do to the process that reads it: keep it busy, fill its memory, make it run or import anything."""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

SECONDS, MEGABYTES = 1.0, 512
"""What reading one input may take of a processor, and of memory."""
_HARMLESS = frozenset((
    "open", "os.listdir", "os.scandir", "glob.glob", "sys._getframe", "object.__getattr__", "object.__setattr__",
    "object.__delattr__", "builtins.id", "array.__new__", "os.walk", "gc.get_objects", "code.__new__",
    "cpython.run_startup", "time.sleep",
))  # fmt: skip
"""Events of reading. `open` is harmless if it only reads."""
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_OURS = ("initctl.", "initctl")


class Hang(BaseException):
    """Raised inside a reader that does not end."""


class Ran(BaseException):
    """An input made the process do something."""


class Watch:
    """Notes what happens while a reader reads. One is made for a process: an audit hook cannot be removed."""

    def __init__(self, seconds: float = SECONDS) -> None:
        """`seconds` is what one input may take of a processor."""
        self._is_on = False
        self.events: list[str] = []
        sys.addaudithook(self._audit)
        self.seconds = 0.0
        """Of the last input, by the clock: on a busy machine it may be more than a processor took."""
        self._ticks = 0
        signal.signal(signal.SIGVTALRM, self._tick)
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds, seconds)

    def _audit(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self._is_on or (event in _HARMLESS and not (event == "open" and _writes(arguments))):
            return
        if event == "import" and str(arguments[0]).partition(".")[0] in _OURS:
            return
        self.events.append(f"{event} {str(arguments[:2])[:200]}")

    def _tick(self, *_: object) -> None:
        """Another such time is over. If it is the second one for an input, the input took all of it."""
        self._ticks += 1
        if self._is_on and self._ticks > 1:
            raise Hang

    def stop(self) -> None:
        """Stop the clock, whose signal would end a process that leaves Python."""
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Raises `Ran` after anything but reading, `Hang` and `MemoryError` at the limits."""
        self.events.clear()
        modules = len(sys.modules)
        started = time.perf_counter()
        self._ticks = 0
        self._is_on = True
        try:
            yield
        finally:
            self._is_on = False
            self.seconds = time.perf_counter() - started
        if len(sys.modules) > modules and (new := [n for n in list(sys.modules)[modules:] if not n.startswith(_OURS)]):
            self.events.append(f"new modules: {new}")
        if self.events:
            raise Ran("; ".join(self.events[:3]))


def _writes(arguments: tuple[object, ...]) -> bool:
    _, mode, flags = (*arguments, None, None, None)[:3]
    return (isinstance(mode, str) and mode not in ("r", "rb")) or bool(isinstance(flags, int) and flags & _WRITING)


def limit_memory() -> None:
    """From now on the process gets this much memory more, and no core file."""
    with open("/proc/self/statm", encoding="ascii") as statm:
        pages = int(statm.read().split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + MEGABYTES * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
