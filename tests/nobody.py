"""Users whom permissions hold back, although tests may run as root."""

from __future__ import annotations

import os
import struct
import sys
from contextlib import contextmanager
from ctypes import CDLL, create_string_buffer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_NOBODY = 65534
_VERSION = 0x20080522
"""Of the structures of capset(2): two times three words of bits, of which the first is what holds now."""
_DAC_OVERRIDE, _DAC_READ_SEARCH = 1 << 1, 1 << 2


@contextmanager
def nobody() -> Iterator[None]:
    """Root becomes another user for the body; others stay who they are. Nothing that is imported for the first time can
    be found then, if only root may read it: run the body once before.
    """
    user = os.geteuid()
    if user == 0:
        os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)


@contextmanager
def held_back() -> Iterator[None]:
    """Root obeys the permissions of its own files for the body, like every other user."""
    if os.geteuid() != 0 or sys.platform != "linux":
        yield
        return
    libc = CDLL(None, use_errno=True)
    header, before = create_string_buffer(struct.pack("=Ii", _VERSION, 0), 8), create_string_buffer(24)
    assert libc.capget(header, before) == 0
    effective, *rest = struct.unpack("=6I", before.raw)
    less = struct.pack("=6I", effective & ~(_DAC_OVERRIDE | _DAC_READ_SEARCH), *rest)
    assert libc.capset(header, create_string_buffer(less, 24)) == 0
    try:
        yield
    finally:
        assert libc.capset(header, before) == 0
