"""The process that starts commands quickly: `python -m tests.faults.starter` has loaded their modules, and forks.

It reads a JSON line for each command, and answers with the number of a process. The process waits for SIGCONT before it
runs the command, so that it can be traced from its first call. After the next line, the answer is the status. Before
the first time, a command is run in this process itself, which loads what it needs: then the answer is an empty line.
"""

from __future__ import annotations

import ctypes
import gc
import io
import json
import os
import signal
import sys
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from itertools import count
from typing import Any

_SET_PTRACER, _ANY = 0x59616D61, -1
"""Arguments of prctl: any process may trace this one, also where only parents may."""


def load(asked: dict[str, Any]) -> None:
    """Run a command in this process, so that processes that run it later load no module and no file of the package."""
    from initctl.cli.main import run

    import_module("initctl.__main__")
    os.chdir(asked["folder"])
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        run(asked["arguments"])
    gc.freeze()


def transfer_little(function: str, number: int) -> None:
    """Let the call of this number to `os.FUNCTION` transfer one byte. strace can only leave a whole call out."""
    called, calls = getattr(os, function), count(1)

    def transfer(*arguments: Any) -> Any:
        return called(*(_one_byte(function, arguments) if next(calls) == number else arguments))

    setattr(os, function, transfer)


def _one_byte(function: str, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    first, second, *rest = arguments
    if function == "copy_file_range":
        return first, second, 1, *rest[1:]
    if function == "pread":
        return first, 1, *rest
    if function == "preadv":
        return first, [second[0][:1]], *rest
    return first, memoryview(second).cast("B")[:1], *rest


def become(asked: dict[str, Any]) -> None:
    """Turn this process into one that runs the command that is `asked` for, and wait."""
    os.chdir(asked["folder"])
    for descriptor, path in enumerate((os.devnull, *asked["streams"])):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), descriptor)
    os.closerange(3, 100)
    sys.argv = ["initctl", *asked["arguments"]]
    if asked["short"]:
        transfer_little(*asked["short"])
    ctypes.CDLL(None).prctl(_SET_PTRACER, _ANY, 0, 0, 0)
    os.kill(os.getpid(), signal.SIGSTOP)


def serve() -> bool:
    """Answer lines until they end. Returns whether this is a new process, which is to run a command."""
    while line := sys.stdin.readline():
        asked = json.loads(line)
        if asked["is_first"]:
            load(asked)
            print(flush=True)
            continue
        process = os.fork()
        if not process:
            become(asked)
            return True
        print(process, flush=True)
        sys.stdin.readline()
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
    return False


if __name__ == "__main__":
    if serve():
        from initctl.__main__ import main

        main()
