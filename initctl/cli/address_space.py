"""Whether the process may use enough memory to load NumPy. If not, OpenBLAS would end the process in its own words."""

from __future__ import annotations

import os
import resource

from initctl.errors import Problem, StorageError

_OF_ANY = 80 << 20
"""Bytes that the libraries take (40 MB), and as much for the work."""
_OF_A_THREAD = 40 << 20
"""Bytes of each thread of OpenBLAS: its stack and its buffer."""
_VARIABLES = ("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS")
"""Where OpenBLAS looks for the number of its threads, in this order."""
_MOST_THREADS = 64
"""OpenBLAS as NumPy brings it starts no more."""


def check_address_space() -> None:
    """Raise `StorageError` if a limit of the process, such as that of `ulimit -v`, leaves too little room."""
    if resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY:
        return
    import mmap

    needed = _OF_ANY + min(_threads(), _MOST_THREADS) * _OF_A_THREAD
    try:
        mmap.mmap(-1, needed).close()
    except OSError:
        fault = f"there is not enough memory: NumPy needs {needed >> 20} MB of address space on this machine"
        raise StorageError(Problem("storage.memory", fault, "raise the limit of ulimit -v")) from None


def _threads() -> int:
    """The number of threads that OpenBLAS starts, by default one for each processor that the process may use."""
    for name in _VARIABLES:
        given = os.environ.get(name, "")
        if given.isdecimal() and int(given):
            return int(given)
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
