"""Processes of the command line that stand for the ranks of a launcher."""

from __future__ import annotations

import socket
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

from tests.readme import environment

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Ended(NamedTuple):
    status: int
    out: str
    err: str


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def started(
    size: int,
    arguments: Sequence[str],
    folder: Path,
    each: Sequence[Sequence[str]] = (),
    *,
    script: str | None = None,
) -> list[subprocess.Popen]:
    """Ranks as torchrun starts them, each with its own of `each`, further arguments. A `script` takes the place of the
    command line.
    """
    port = str(free_port())
    program = ["-m", "initctl"] if script is None else ["-c", script]
    return [
        subprocess.Popen(
            [sys.executable, *program, *arguments, *(each[rank] if each else ())],
            cwd=folder,
            env={
                **environment(),
                "RANK": str(rank),
                "LOCAL_WORLD_SIZE": str(size),
                "WORLD_SIZE": str(size),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": port,
                "GLOO_SOCKET_IFNAME": "lo",
                "OMP_NUM_THREADS": "1",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(size)
    ]


def ended(processes: Sequence[subprocess.Popen]) -> list[Ended]:
    return [Ended(process.wait(), out, err) for process in processes for out, err in [process.communicate(timeout=90)]]
