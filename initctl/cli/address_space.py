"""Whether the process may use enough memory to load NumPy. If not, OpenBLAS would end the process in its own words."""

from __future__ import annotations

import os
import resource

from initctl.errors import Problem, StorageError
from initctl.threads import processors

_OF_ANY = 80 << 20
"""Bytes that the libraries take (40 MB), and as much for the work."""
_OF_A_THREAD = 40 << 20
"""Bytes of each thread of OpenBLAS: its stack and its buffer."""
_MOST_THREADS = 64
"""OpenBLAS as NumPy brings it starts no more."""


def check_address_space() -> None:
    """Raise `StorageError` if a limit of the process, such as that of `ulimit -v`, leaves too little room."""
    if resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY:
        return
    import mmap

    given = os.environ.get("OPENBLAS_NUM_THREADS", "")
    threads = min(int(given) if given.isdecimal() and int(given) else processors(), _MOST_THREADS)
    needed = _OF_ANY + threads * _OF_A_THREAD
    try:
        mmap.mmap(-1, needed).close()
    except OSError:
        fault = f"there is not enough memory: NumPy needs {needed >> 20} MB of address space on this machine"
        raise StorageError(Problem("storage.memory", fault, "raise the limit of ulimit -v")) from None
