"""What a launcher says in the environment of a process that it started: which of how many it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple
from zlib import crc32

from initctl.errors import ConflictError, Problem, shown

_FIRST_PORT, _PORTS = 15_000, 20_000
"""A port for the meeting of ranks is one of these, if the environment names none."""
_HERE = "127.0.0.1"


class Launch(NamedTuple):
    """A process is number `rank`, from 0, of `size` that `launcher` started. They meet at `address`:`port`.

    `variable` has the number of processes. A process that has no such variable is alone.
    """

    launcher: str
    rank: int
    size: int
    address: str
    port: int
    variable: str


class _Launcher(NamedTuple):
    """The variables of a launcher: the rank, the number of ranks, that on this machine, and what only this run has."""

    name: str
    rank: str
    size: str
    local: str = ""
    run: tuple[str, ...] = ()


TORCHRUN = "torchrun"
_LAUNCHERS = (
    _Launcher(TORCHRUN, "RANK", "WORLD_SIZE"),
    _Launcher("srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", run=("SLURM_JOB_ID", "SLURM_STEP_ID")),
    _Launcher(
        "mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE", ("PMIX_NAMESPACE",)
    ),
    _Launcher("mpiexec", "PMI_RANK", "PMI_SIZE", "MPI_LOCALNRANKS"),
)
"""The first that started several processes counts: torchrun may run in a task of Slurm, and names its own ranks."""


def launched(environ: Mapping[str, str]) -> Launch | None:
    """What the environment says; None if this process is alone. Raises `ConflictError` if that is inconsistent."""
    for launcher in _LAUNCHERS:
        size = _number(environ, launcher.size)
        if size is not None and size > 1:
            return _launch(launcher, size, environ)
    return None


def _launch(launcher: _Launcher, size: int, environ: Mapping[str, str]) -> Launch:
    rank = _number(environ, launcher.rank)
    if rank is None or rank >= size:
        said = f"{launcher.rank} is {rank}" if rank is not None else f"{launcher.rank} is not set"
        hint = f"unset {launcher.size} if this process is alone; or start it with {launcher.name}"
        raise ConflictError(Problem("ranks.launcher", f"{launcher.size} is {size}, but {said}", hint))
    address, port = _address(launcher, size, environ), _port(launcher, environ)
    if address is None or port is None:
        fault = f"this is rank {rank} of {size}, but MASTER_ADDR and MASTER_PORT do not say where the ranks meet"
        hint = f"set them to the host of rank 0 and a port that is free there; or unset {launcher.size} to run alone"
        raise ConflictError(Problem("ranks.launcher", fault, hint))
    return Launch(launcher.name, rank, size, address, port, launcher.size)


def _address(launcher: _Launcher, size: int, environ: Mapping[str, str]) -> str | None:
    """The host of rank 0."""
    if address := environ.get("MASTER_ADDR"):
        return address
    if nodes := environ.get("SLURM_STEP_NODELIST") if launcher.name == "srun" else None:
        return first_host(nodes)
    return _HERE if _number(environ, launcher.local) == size else None


def _port(launcher: _Launcher, environ: Mapping[str, str]) -> int | None:
    if (port := _number(environ, "MASTER_PORT")) is not None:
        return port
    run = [environ[name] for name in launcher.run if name in environ]
    return _FIRST_PORT + crc32(" ".join(run).encode()) % _PORTS if run else None


def first_host(nodes: str) -> str:
    """The first host in a list as Slurm writes it: `a`, `a,b` or `node[01-04,7],b`."""
    found = re.match(r"([^\[,]*)(?:\[([^\],-]*)[^\]]*\])?([^,]*)", nodes)
    return "".join(part or "" for part in found.groups()) if found else nodes


def _number(environ: Mapping[str, str], name: str) -> int | None:
    """The whole number in a variable; None if it is not set. Raises `ConflictError` if it holds something else."""
    text = environ.get(name)
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        fault = f"{name} is {shown(text)}, which is not a number"
        raise ConflictError(Problem("ranks.launcher", fault, f"unset {name}"))
    return int(text)
