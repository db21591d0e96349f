"""Swap two paths in one step, if the system can."""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Any

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
"""A flag of Linux's renameat2."""
_RENAME_SWAP = 2
"""A flag of macOS's renamex_np."""


def exchange(one: str, other: str) -> None:
    """Swap two existing paths in one step. Raises `OSError`, with ENOSYS if the system has no call for it."""
    libc: Any = ctypes.CDLL(None, use_errno=True)
    first, second = os.fsencode(one), os.fsencode(other)
    if hasattr(libc, "renameat2"):
        failed = libc.renameat2(_AT_FDCWD, first, _AT_FDCWD, second, _RENAME_EXCHANGE)
    elif hasattr(libc, "renamex_np"):
        failed = libc.renamex_np(first, second, _RENAME_SWAP)
    else:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), one)
    if failed:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), one)
