"""Faults, and runs of a command with one of them."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.scenarios import Scenario

_TRACED = "%file,%desc,clone3,clone"
"""Calls that name a file or have a descriptor, and those that start a thread."""
_ERRORS = ("EIO", "ENOSPC", "EPERM", "EMFILE", "ENOMEM")
_SIGNALS = ("SIGKILL", "SIGTERM", "SIGINT")
_ENDING = 20.0
"""Seconds after which a run counts as hanging: the slowest takes one."""
_INTERRUPTIBLE = ("openat", "read", "pread64", "preadv", "write", "pwrite64", "fsync", "copy_file_range")
"""Calls that a signal can end without a transfer."""
_OF_MEMORY = ("mmap", "clone3", "clone")
"""Calls that fail only if memory is short."""
_TRANSFERS = {"pread64": "pread", "preadv": "preadv", "pwrite64": "pwrite", "copy_file_range": "copy_file_range"}
"""Calls that may transfer less than they are asked for, and their functions in Python's `os`."""
_OF_PYTHON = "os."
_CALL = re.compile(r"(?P<process>\d+) +(?P<name>\w+)\(")


class Fault(NamedTuple):
    """What happens at the call of this `number` to `call`, in each thread: an error, a signal, or a transfer of one
    byte. If it `persists`, so do all later calls.
    """

    call: str
    number: int
    kind: str
    persists: bool = False

    def __str__(self) -> str:
        return f"{self.call}:{self.kind}:{self.number}{'+' if self.persists else ''}"

    @property
    def is_kill(self) -> bool:
        return self.kind == "SIGKILL"

    @property
    def is_signal(self) -> bool:
        return self.kind in _SIGNALS

    @property
    def is_short(self) -> bool:
        return self.kind == "short"

    @property
    def column(self) -> str:
        """Its kind in the table."""
        return f"{self.kind}+" if self.persists else self.kind

    @property
    def strace(self) -> list[str]:
        """The option of strace that makes it happen."""
        what = f"signal={self.kind}" if self.is_signal else f"error={self.kind}"
        return ["-e", f"inject={self.call}:{what}:when={self.number}{'+' if self.persists else ''}"]


class Run(NamedTuple):
    """How a command ended: its status, None if it did not end; and what it wrote."""

    status: int | None
    out: str
    err: str


class Runner:
    """Runs commands in `folder`, which is made anew for each. To be entered."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._templates = folder, folder.parent / "templates"
        self._streams = [str(folder.parent / name) for name in ("stdout", "stderr")]

    def __enter__(self) -> Self:
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "COLUMNS": "120", "TERM": "dumb"}
        self._starter = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.starter"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=Path(__file__).parents[2],
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._starter.communicate()

    def prepare(self, scenario: Scenario) -> None:
        """Let the folder be as the command of `scenario` finds it."""
        template = self._templates / scenario.name
        if not template.exists():
            template.mkdir(parents=True)
            scenario.prepare(template)
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(template, self.folder, symlinks=True)

    def load(self, scenario: Scenario) -> None:
        """Load what the command of `scenario` needs."""
        self.prepare(scenario)
        self._ask(self._asked(scenario) | {"is_first": True})

    def run(self, scenario: Scenario, fault: Fault | None = None, *, log: str | None = None) -> Run:
        """Run the command of `scenario` in the folder as it is. `log` is a file for the calls that it makes."""
        short = [fault.call.removeprefix(_OF_PYTHON), fault.number] if fault and fault.is_short else None
        process = int(self._ask(self._asked(scenario) | {"short": short}))
        while _state(process) not in "TZ":  # before that, it gets ready
            time.sleep(0.001)
        options = ["-e", f"trace={_TRACED}", "-o", log] if log else ["-o", os.devnull]
        if fault and not short:
            options = ["-e", f"trace={fault.call}", *options, *fault.strace]
        status = self._traced(process, options) if log or (fault and not short) else self._ended(process)
        return Run(status, *(Path(stream).read_text(errors="replace") for stream in self._streams))

    def faults(self, scenario: Scenario) -> list[Fault]:
        """All faults of the calls that the command of `scenario` makes if nothing fails."""
        self.prepare(scenario)
        with tempfile.NamedTemporaryFile("r") as log:
            self.run(scenario, log=log.name)
            calls = _calls(log.read())
        return [fault for call, number in calls.items() for fault in _faults(call, number)]

    def _traced(self, process: int, options: list[str]) -> int | None:
        with subprocess.Popen(["strace", "-f", "-qq", *options, "-p", str(process)], stderr=subprocess.PIPE) as strace:
            while strace.poll() is None and not _is_traced(process):
                time.sleep(0.001)
            status = self._ended(process)
            assert strace.stderr
            if words := strace.stderr.read():
                raise RuntimeError(words.decode())
        return status

    def _ended(self, process: int) -> int | None:
        """Let `process` go on. Returns its status, or None if it had to be killed."""
        os.kill(process, signal.SIGCONT)
        deadline = time.monotonic() + _ENDING
        while not (is_over := _state(process) in "Z") and time.monotonic() < deadline:
            time.sleep(0.001)
        if not is_over:
            os.kill(process, signal.SIGKILL)
        status = int(self._ask(None))
        return status if is_over else None

    def _asked(self, scenario: Scenario) -> dict[str, object]:
        return {
            "folder": str(self.folder),
            "streams": self._streams,
            "arguments": scenario.arguments,
            "is_first": False,
        }

    def _ask(self, asked: object) -> str:
        stdin, stdout = _pipes(self._starter)
        stdin.write(json.dumps(asked) + "\n")
        stdin.flush()
        return stdout.readline()


def is_possible() -> str | None:
    """None if strace can trace a process here; otherwise why not."""
    if not shutil.which("strace"):
        return "strace is not installed"
    tried = subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True, check=False)
    return None if tried.returncode == 0 else f"strace may not trace: {tried.stderr.decode().strip()}"


def _faults(call: str, calls: int) -> Iterator[Fault]:
    """The faults of each of the `calls` to `call`."""
    for number in range(1, calls + 1):
        if call.startswith(_OF_PYTHON):
            yield Fault(call, number, "short")
            continue
        errors = ("ENOMEM",) if call in _OF_MEMORY else _ERRORS
        yield from (Fault(call, number, kind) for kind in (*errors, *_SIGNALS))
        yield from (Fault(call, number, kind, persists=True) for kind in errors if kind in ("EIO", "ENOSPC", "ENOMEM"))
        if call in _INTERRUPTIBLE:
            yield Fault(call, number, "EINTR")


def _calls(log: str) -> dict[str, int]:
    """The most calls that a thread made, by name; and as many of Python's functions that may transfer little."""
    counts = Counter((found["process"], found["name"]) for found in map(_CALL.match, log.splitlines()) if found)
    most: dict[str, int] = {}
    for (_, name), number in counts.items():
        most[name] = max(most.get(name, 0), number)
    return most | {_OF_PYTHON + function: most[name] for name, function in _TRANSFERS.items() if name in most}


def _is_traced(process: int) -> bool:
    return "TracerPid:\t0\n" not in _about(process)


def _state(process: int) -> str:
    found = re.search(r"State:\t(\w)", _about(process))
    return found[1] if found else "Z"


def _about(process: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{process}/status").read_text()
    return ""


def _pipes(process: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    assert process.stdin
    assert process.stdout
    return process.stdin, process.stdout
