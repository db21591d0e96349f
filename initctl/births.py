"""When a file was created: two files that had the same inode, one after the other, differ in that."""

from __future__ import annotations

import os
import struct

_FROM_WORKING_DIRECTORY = -100
_BIRTH = 0x800
"""The bit that asks for the time of creation, and says that it is known."""
_SIZE, _TIME_AT = 256, 80
"""Of the structure that `statx` fills; its first four bytes say what is known."""


def born(path: str) -> int | None:
    """The time at which the file at `path`, after following links, was created, in nanoseconds; None if the system does
    not say.
    """
    status = os.stat(path)
    if (seconds := getattr(status, "st_birthtime", None)) is not None:
        return int(seconds * 1_000_000_000)
    from ctypes import CDLL, create_string_buffer

    statx = getattr(CDLL(None), "statx", None)
    found = create_string_buffer(_SIZE)
    if statx is None or statx(_FROM_WORKING_DIRECTORY, os.fsencode(path), 0, _BIRTH, found):
        return None
    (known,), (whole, rest) = struct.unpack_from("=I", found), struct.unpack_from("=qI", found, _TIME_AT)
    return int(whole) * 1_000_000_000 + int(rest) if known & _BIRTH else None
