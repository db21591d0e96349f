"""Which system calls a command makes."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

_STRACE = shutil.which("strace")


def can_trace() -> bool:
    """Whether processes can be traced here."""
    return bool(_STRACE) and not subprocess.run([_STRACE, "-o", os.devnull, "true"], capture_output=True).returncode


def tracer(log: str | os.PathLike[str], calls: str) -> list[str]:
    """The beginning of a command whose `calls`, and those of the processes that it starts, are written to `log`. The
    test is skipped if no process can be traced here.
    """
    if not can_trace():
        pytest.skip("needs strace, and the right to use it")
    return [str(_STRACE), "-f", "-qq", "-y", "-e", f"trace={calls}", "-e", "signal=none", "-o", os.fspath(log)]
