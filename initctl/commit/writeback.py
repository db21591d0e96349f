"""Written bytes on their way to the disk before the end, while others are still being computed."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from typing import Any

_SYNC_FILE_RANGE_WRITE = 2


def start_writeback(descriptor: int, start: int, stop: int) -> None:
    """Let the system begin to write the bytes from `start` to `stop` to the disk, where it has a call for that.

    Only a hint: what went wrong on the way is told by the `fsync` that follows.
    """
    if function := _sync_file_range():
        function(descriptor, start, stop - start, _SYNC_FILE_RANGE_WRITE)


@cache
def _sync_file_range() -> Any:  # noqa: ANN401 - a foreign function
    libc: Any = ctypes.CDLL(None) if os.name == "posix" else None
    function = getattr(libc, "sync_file_range", None)
    if function:
        function.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return function
