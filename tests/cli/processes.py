"""The command line as a user starts it: a process of its own, with pipes or a terminal."""

from __future__ import annotations

import fcntl
import json
import os
import re
import struct
import subprocess
import sys
import termios
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRIPT = [os.path.join(os.path.dirname(sys.executable), "initctl")]
MODULE = [sys.executable, "-m", "initctl"]

SEE = re.compile(r"see: initctl help [a-z]+(, initctl help [a-z]+)*")
"""The last line of stderr, if a topic explains what is wrong."""
_CHANGE_OUTPUT = ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "COLUMNS", "LINES", "PYTHONIOENCODING", "GITHUB_ACTIONS")
_TERMINAL = {"TERM": "xterm-256color"}


@dataclass(frozen=True)
class Outcome:
    """How a command ended, and what it wrote."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)


def environment(**variables: str) -> dict[str, str]:
    """This environment without what changes output, and with `variables`."""
    inherited = {name: value for name, value in os.environ.items() if name not in _CHANGE_OUTPUT}
    return {**inherited, **_TERMINAL, **variables}


@pytest.fixture(scope="module", autouse=True)
def plain_environment() -> Iterator[None]:
    """The same for what runs in this process."""
    with pytest.MonkeyPatch.context() as patch:
        for name in _CHANGE_OUTPUT:
            patch.delenv(name, raising=False)
        patch.setenv("TERM", _TERMINAL["TERM"])
        yield


@pytest.fixture
def terminal() -> Iterator[TextIO]:
    """A stream that is a terminal, which nobody reads."""
    controller, descriptor = os.openpty()
    with open(descriptor, "w") as stream:
        yield stream
    os.close(controller)


def initctl(*arguments: str, command: list[str] = SCRIPT, **variables: str) -> Outcome:
    """`initctl ARGUMENTS`, with pipes."""
    run = subprocess.run([*command, *arguments], capture_output=True, check=False, env=environment(**variables))
    return Outcome(run.returncode, run.stdout.decode(), run.stderr.decode())


def shell(command: str, **variables: str) -> Outcome:
    """A line of bash in which `initctl` is the script, and which fails as its first command that does."""
    path = f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}"
    return initctl("-c", command, command=["bash", "-o", "pipefail"], PATH=path, **variables)


def small_files(kilobytes: int) -> str:
    """The beginning of a line of bash: no file may grow beyond this. Python would cut off compiled modules there."""
    return f"export PYTHONDONTWRITEBYTECODE=1; ulimit -f {kilobytes}; "


def on_terminal(*arguments: str, columns: int = 100, stdout: int | None = None, **variables: str) -> Outcome:
    """`initctl ARGUMENTS` on a terminal of `columns`; all it writes there is `out`. `stdout` can go elsewhere."""
    controller, terminal = os.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    output = terminal if stdout is None else stdout
    with subprocess.Popen(
        [*SCRIPT, *arguments], stdin=terminal, stdout=output, stderr=terminal, env=environment(**variables)
    ) as process:
        os.close(terminal)
        written = b""
        with suppress(OSError), open(controller, "rb", buffering=0) as reader:  # raises once nobody writes any more
            while text := reader.read(1 << 16):
                written += text
    return Outcome(process.returncode, written.decode().replace("\r\n", "\n"), "")


def messages(err: str) -> list[str]:
    """The lines of stderr that tell something; below one there may be two that show where a fault is, and at the end
    one that names a topic.
    """
    lines = err.splitlines()
    if lines and SEE.fullmatch(lines[-1]):
        del lines[-1]
    told = [line for line in lines if not line.startswith("  ")]
    for number, line in enumerate(lines):
        if line.startswith("  ") and not lines[number - 1].startswith("  "):
            assert set(lines[number + 1].strip()) == {"^"}
    assert len(lines) - len(told) in range(0, 2 * len(told) + 1, 2)
    return told
